import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// How much comes through: one flow over loss, round trips and buffers, and several flows through one bottleneck. The
/// tables are snapshots, so that a change of the sender shows.
struct GoodputTests {
    static let rate = 10_000_000
    static let seconds = 8
    static let losses = [0, 0.001, 0.01, 0.02, 0.05]
    static let roundTrips: [Int64] = [1, 20, 100]

    struct Cell: Hashable {
        let loss: Double
        let roundTrip: Int64
        let isSmall: Bool

        /// Bytes before the bottleneck: four packets, or what fills the path.
        var buffer: Int { isSmall ? 6_000 : max(6_000, GoodputTests.rate / 8 * Int(roundTrip) / 1_000) }
    }

    @Test func theGoodputTableIsAsRecorded() async throws {
        var lines = [
            "Goodput of one flow through a bottleneck of 10 Mbit/s in eight seconds, in Mbit/s; 9.7 is the most.",
            "The buffer before the bottleneck holds four packets, or as many bytes as the path (the larger).", "",
            "loss  | buffer |   1 ms |  20 ms | 100 ms | 20 ms without SACK",
        ]
        for loss in Self.losses {
            for isSmall in [true, false] {
                var cells: [String] = []
                for (roundTrip, sack) in Self.roundTrips.map({ ($0, true) }) + [(20, false)] {
                    let cell = Cell(loss: loss, roundTrip: roundTrip, isSmall: isSmall)
                    let run = BottleneckRun(
                        flows: 1, rate: Self.rate, roundTrip: .milliseconds(roundTrip), buffer: cell.buffer,
                        loss: loss, sack: sack)
                    let bytes = run.goodput(seconds: Self.seconds)[0]
                    #expect(run.failures == [])
                    cells.append(Self.number(Double(bytes) * 8 / Double(Self.seconds) / 1e6, width: 6))
                }
                let name = "\(Self.number(loss * 100, width: 4))%"
                lines.append("\(name) | \(isSmall ? "small " : "path  ") | \(cells.joined(separator: " | "))")
            }
        }
        try SnapshotFile.expect(lines.joined(separator: "\n") + "\n", isRecordedIn: "goodput.txt")
    }

    @Test func theFairnessTableIsAsRecorded() throws {
        var lines = [
            "Flows that share a bottleneck of 10 Mbit/s, with a buffer of the path's size: their goodput together in",
            "Mbit/s after the first five seconds, for ten, and Jain's index of how even it is (1: all have the same).",
            "", "round trip | flows | begin         | together | index",
        ]
        for roundTrip in [20, 100] as [Int64] {
            for flows in [2, 4, 8] {
                for isStaggered in [false, true] {
                    let run = BottleneckRun(
                        flows: flows, rate: Self.rate, roundTrip: .milliseconds(roundTrip),
                        buffer: Self.rate / 8 * Int(roundTrip) / 1_000, loss: 0,
                        stagger: isStaggered ? .milliseconds(1_000) : .zero)
                    let early = run.goodput(seconds: 5)
                    let all = run.goodput(seconds: 15)
                    #expect(run.failures == [])
                    let shares = zip(all, early).map { Double($0 - $1) }
                    let sum = shares.reduce(0, +)
                    let index = sum * sum / (Double(flows) * shares.reduce(0) { $0 + $1 * $1 })
                    let name = isStaggered ? "a second apart" : "at once       "
                    lines.append(
                        "\(Self.number(Double(roundTrip), width: 7)) ms | \(flows)     | \(name)| "
                            + "\(Self.number(sum * 8 / 10 / 1e6, width: 8)) | \(Self.number(index, digits: 2, width: 5))"
                    )
                    #expect(index > 0.7, "\(flows) flows, \(roundTrip) ms: \(shares)")
                }
            }
        }
        try SnapshotFile.expect(lines.joined(separator: "\n") + "\n", isRecordedIn: "fairness.txt")
    }

    private static func number(_ value: Double, digits: Int = 1, width: Int) -> String {
        var unit = 1
        for _ in 0..<digits { unit *= 10 }
        let scaled = Int((value * Double(unit)).rounded())
        let fraction = String(scaled % unit)
        let text = "\(scaled / unit)." + String(repeating: "0", count: digits - fraction.count) + fraction
        return String(repeating: " ", count: max(0, width - text.count)) + text
    }
}

/// Flows from one `FlowNAT` to as many peers, through one link with a rate, a buffer and loss. What comes back has a
/// delay and nothing else.
final class BottleneckRun {
    private var nat: FlowNAT
    private var peers: [SimTCPPeer] = []
    private var flows: [FlowID?]
    private var down: SimLink
    private var up: SimLink
    private var received: [Int]
    private var now = Instant(nanoseconds: 1_000_000_000)
    private let begin: Instant
    private let stagger: Interval
    private let destination = Endpoint("192.0.2.1:443")!
    private let buffer = PacketBuffer()
    private let filler = [UInt8](repeating: 0x5A, count: 64 << 10)
    private(set) var failures: [String] = []
    var counters: FlowCounters { nat.counters }

    init(
        flows count: Int, rate: Int, roundTrip: Interval, buffer: Int, loss: Double, stagger: Interval = .zero,
        sack: Bool = true, seed: UInt64 = 1
    ) {
        var random = SeededRandom(seed: seed)
        var settings = FlowSettings()
        settings.offload = false
        nat = FlowNAT(settings: settings, pool: BlockPool(byteLimit: 64 << 20), random: &random)
        down = SimLink(
            LinkConditions(delay: roundTrip / 2, loss: loss, rate: rate, queueLimit: buffer), seed: seed &+ 1)
        up = SimLink(LinkConditions(delay: roundTrip / 2), seed: seed &+ 2)
        flows = Array(repeating: nil, count: count)
        received = Array(repeating: 0, count: count)
        begin = now
        self.stagger = stagger
        var theirs = SimTCPPeer.Settings()
        theirs.maximumSegmentSize = 1_460
        theirs.receiveBuffer = 4 << 20
        theirs.timestamps = false
        theirs.sackPermitted = sack
        for i in 0..<count { peers.append(SimTCPPeer(settings: theirs, seed: seed &+ 10 &+ UInt64(i))) }
    }

    /// Runs until so many seconds after the last flow has begun; returns what each has received until then.
    func goodput(seconds: Int) -> [Int] {
        let end = begin + stagger * Int64(peers.count - 1) + .seconds(Int64(seconds))
        while now < end, failures.isEmpty {
            step()
            var next = earliest(earliest(down.nextArrival, up.nextArrival), nat.nextDeadline)
            for i in peers.indices {
                next = earliest(next, peers[i].nextDeadline)
                if peers[i].state == .closed { next = earliest(next, begin + stagger * Int64(i)) }
            }
            now = max(now, min(next ?? end, end))
            while let packet = down.receive(now: now) { arrive(packet) }
            while let packet = up.receive(now: now) {
                packet.withUnsafeBytes { bytes in
                    nat.handle(bytes, offload: .none, now: now) { _, bytes in bytes.count }
                }
            }
            for peer in peers { peer.handleTimeout(now: now) }
            nat.handleTimeout(now: now)
        }
        return received
    }

    private func step() {
        for i in peers.indices where peers[i].state == .closed && now >= begin + stagger * Int64(i) {
            peers[i].connect(to: destination, from: Endpoint("10.0.0.2:\(40_000 + i)")!, now: now)
        }
        while let event = nat.nextEvent() {
            switch event {
            case .connect(let id, let addresses):
                flows[Int(addresses.source.port) - 40_000] = id
                nat.accept(id)
            case .reset, .closed, .finished, .associationEnded, .datagramRefused: failures.append("\(event)")
            case .established, .drained: break
            }
        }
        for case let flow? in flows where nat.heldBytes(flow) < 512 << 10 {
            _ = nat.withSendQueue(flow) { queue in filler.withUnsafeBytes { queue.append($0) } }
        }
        while nat.nextPacket(into: buffer, now: now) { down.send(buffer.flattened(), now: now) }
        for peer in peers {
            while let packet = peer.nextPacket(now: now) { up.send(packet, now: now) }
        }
    }

    private func arrive(_ packet: [UInt8]) {
        let span = packet.span.bytes
        guard let ip = try? IPHeader.parse(span), let tcp = try? TCPHeader.parse(span.extracting(ip.upperLayer)) else {
            failures.append("a packet that cannot be read")
            return
        }
        let i = Int(tcp.destinationPort) - 40_000
        peers[i].handle(packet, now: now)
        received[i] += peers[i].read().count
        failures += peers[i].violations
    }
}

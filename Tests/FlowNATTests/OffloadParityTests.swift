import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// The same seeded traffic with the TUN's offloads and without: the same bytes, the same events, other packets.
struct OffloadParityTests {
    @Test(arguments: 0..<12 as Range<UInt64>)
    func theSameTrafficBothWays(seed: UInt64) {
        let with = ParityRun(seed: seed, offload: true)
        let without = ParityRun(seed: seed, offload: false)
        with.run()
        without.run()
        #expect(with.uploaded == with.upload && without.uploaded == without.upload, "seed \(seed)")
        #expect(with.downloaded == with.download && without.downloaded == without.download, "seed \(seed)")
        #expect(with.events == without.events, "seed \(seed)")
        #expect(with.peer.violations == [] && without.peer.violations == [], "seed \(seed)")
        #expect(with.datagramsIn == without.datagramsIn && with.datagramsIn == with.datagramsUp, "seed \(seed)")
        #expect(with.datagramsOut == without.datagramsOut && with.datagramsOut == with.datagramsDown, "seed \(seed)")
        let (a, b) = (with.nat.counters, without.nat.counters)
        #expect(a.superPacketsIn > 0 && a.superPacketsOut > 0, "seed \(seed)")
        #expect(b.superPacketsIn == 0 && b.superPacketsOut == 0, "seed \(seed)")
        // Whole, not cut: far fewer packets than segments.
        #expect(2 * a.packetsIn < b.packetsIn && 2 * a.packetsOut < b.packetsOut, "seed \(seed)")
        #expect(a.bytesIn == b.bytesIn && a.bytesOut == b.bytesOut, "seed \(seed)")
        #expect(with.pool.outstanding == 0 && without.pool.outstanding == 0, "seed \(seed)")
    }
}

/// One application with a TCP connection and a UDP socket, across a TUN that loses nothing.
final class ParityRun {
    let pool = BlockPool(byteLimit: 32 << 20)
    var nat: FlowNAT
    let peer: SimTCPPeer
    let offload: Bool
    let upload: [UInt8]
    let download: [UInt8]
    let datagramsUp: [[UInt8]]
    let datagramsDown: [[UInt8]]
    private(set) var uploaded: [UInt8] = []
    private(set) var downloaded: [UInt8] = []
    private(set) var datagramsIn: [[UInt8]] = []
    private(set) var datagramsOut: [[UInt8]] = []
    private(set) var events: [String] = []
    private let ear = Ear()
    private let buffer = PacketBuffer()
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    private var flow: FlowID?
    private var association: AssociationID?
    private var written = (up: 0, down: 0)
    private let application: Endpoint
    private let remote: Endpoint

    init(seed: UInt64, offload: Bool) {
        var random = SeededRandom(seed: seed)
        let isIPv4 = random.chance(0.5)
        application = isIPv4 ? DatagramTrace.application : DatagramTrace.applicationV6
        remote = isIPv4 ? DatagramTrace.remote : DatagramTrace.remoteV6
        upload = random.bytes(.random(in: 200_000...600_000, using: &random))
        download = random.bytes(.random(in: 200_000...600_000, using: &random))
        let size = Int.random(in: 100...1_400, using: &random)
        // Bursts of one size, as QUIC sends them, the last one smaller.
        datagramsUp = (0..<200).map { random.bytes($0 % 20 == 19 ? size / 2 : size) }
        datagramsDown = (0..<200).map { random.bytes($0 % 20 == 19 ? size / 3 : size) }
        self.offload = offload
        var settings = FlowSettings()
        settings.offload = offload
        settings.udpOffload = offload
        nat = FlowNAT(settings: settings, pool: pool, random: &random)
        var theirs = SimTCPPeer.Settings()
        theirs.segmentationOffload = offload
        theirs.timeWait = .milliseconds(100)
        peer = SimTCPPeer(settings: theirs, seed: seed)
        peer.connect(to: remote, from: Endpoint(application.address, 40_000), now: now)
    }

    func run() {
        let end = now + .seconds(120)
        sendDatagrams()
        while now < end, peer.state != .closed || nat.flowCount > 0 {
            act()
            exchange()
            let next = earliest(
                earliest(peer.nextDeadline, flow == nil ? nil : nat.nextDeadline), now + .milliseconds(5))
            now = max(now + .microseconds(1), next ?? now)
            peer.handleTimeout(now: now)
            nat.handleTimeout(now: now)
        }
        exchange()
    }

    private func act() {
        if written.up < upload.count {
            written.up += peer.write(Array(upload[written.up...].prefix(peer.writable)))
        } else {
            peer.shutdownWrite()
        }
        guard let flow else { return }
        if written.down < download.count {
            let piece = download[written.down...].prefix(100_000)
            written.down +=
                nat.withSendQueue(flow) { queue in piece.withUnsafeBytes { queue.append($0) } } ?? 0
            if written.down == download.count { nat.finish(flow) }
        }
    }

    /// The application's datagrams in bursts of twenty: one super-packet, or one by one.
    private func sendDatagrams() {
        for start in stride(from: 0, to: datagramsUp.count, by: 20) {
            let burst = datagramsUp[start..<start + 20]
            if offload {
                let whole = Array(burst.joined())
                let ipLength = application.address.isIPv4 ? 20 : 40
                take(
                    Built.udp(from: application, to: remote, whole),
                    .udp(ipHeaderLength: ipLength, payloadLength: whole.count, segmentSize: burst.first!.count))
            } else {
                for datagram in burst { take(Built.udp(from: application, to: remote, datagram), .none) }
            }
            guard let association else { continue }
            for datagram in datagramsDown[start..<start + 20] {
                datagram.withUnsafeBytes { _ = nat.sendDatagram(association, from: remote, $0) }
            }
            exchange()
        }
    }

    private func take(_ packet: [UInt8], _ header: VirtioHeader) {
        packet.withUnsafeBytes { bytes in
            nat.handle(
                bytes, offload: header, now: now,
                deliver: { _, bytes in
                    uploaded += bytes
                    return bytes.count
                }
            ) { id, to, payload in
                association = id
                if to == remote { datagramsIn.append(Array(payload)) }
            }
        }
        takeEvents()
    }

    private func takeEvents() {
        while let event = nat.nextEvent() {
            switch event {
            case .connect(let id, _):
                flow = id
                nat.accept(id)
                events.append("connect")
            case .established: events.append("established")
            case .finished: events.append("finished")
            case .drained: break
            case .reset: events.append("reset")
            case .closed: events.append("closed")
            case .associationEnded: events.append("association ended")
            case .datagramRefused: events.append("datagram refused")
            }
        }
    }

    /// All packets both ways until there are no more.
    private func exchange() {
        var isBusy = true
        while isBusy {
            isBusy = false
            while let packet = peer.nextPacket(now: now) {
                take(packet, peer.packetHeader)
                isBusy = true
            }
            if let flow { nat.release(flow, uploaded.count) }
            while nat.nextPacket(into: buffer, now: now) {
                isBusy = true
                let bytes = buffer.flattened()
                if peer.handle(bytes, virtioHeader: buffer.offload, now: now) { continue }
                var whole = bytes
                let header = buffer.offload
                let isDone = whole.withUnsafeMutableBytes { Segmentation.completeChecksum(packet: $0, header: header) }
                if isDone { datagramsOut += ear.hear(whole, header).map(\.payload) }
            }
            downloaded += peer.read()
            takeEvents()
        }
    }
}

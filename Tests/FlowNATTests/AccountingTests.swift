import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Each packet that comes in ends in one way, whatever it is: `FlowCounters.outcomesOfPacketsIn`.
struct AccountingTests {
    @Test(arguments: Seeds.upTo(40))
    func everyPacketIsAccountedFor(seed: UInt64) {
        let crowd = Crowd(seed: seed)
        for _ in 0..<2_000 { crowd.step() }
        let counters = crowd.t.nat.counters
        #expect(counters.packetsIn == crowd.packets && crowd.packets >= 2_000)
        #expect(
            counters.outcomesOfPacketsIn.reduce(0, +) == counters.packetsIn + counters.reassembled,
            "seed \(seed): \(counters)")
        // What says more of a flow's segments counts none twice.
        let parts =
            counters.segmentsWithoutAcknowledgment + counters.resetsInTimeWait + counters.ignoredWhileOpening
            + counters.textAfterFIN + counters.outsideWindow
        #expect(parts <= counters.flowSegments, "seed \(seed): \(counters)")
        let ofErrors = counters.icmpErrorsIgnored + counters.icmpErrorsUnmatched
        #expect(ofErrors <= counters.icmpErrorsIn, "seed \(seed): \(counters)")
    }

    /// The crowd really does all of it: no outcome is left out in all seeds together.
    @Test func everyOutcomeComes() {
        var sums: [Int] = []
        var withoutAcknowledgment = 0
        var reassembled = 0
        for seed in 0..<10 as Range<UInt64> {
            let crowd = Crowd(seed: seed)
            for _ in 0..<2_000 { crowd.step() }
            let counters = crowd.t.nat.counters
            let outcomes = counters.outcomesOfPacketsIn
            sums = sums.isEmpty ? outcomes : zip(sums, outcomes).map { $0 + $1 }
            withoutAcknowledgment += counters.segmentsWithoutAcknowledgment
            reassembled += counters.reassembled
        }
        #expect(!sums.contains(0), "\(sums)")
        #expect(withoutAcknowledgment > 0 && reassembled > 0)
    }
}

/// Applications that send packets of every kind, some of them damaged.
private final class Crowd {
    let t: DatagramTrace
    /// Given to FlowNAT so far.
    private(set) var packets = 0
    private let maker: Trace
    private var random: SeededRandom
    private var associations: [AssociationID] = []
    private var sent: [[UInt8]] = []

    init(seed: UInt64) {
        t = DatagramTrace {
            $0.maximumFlows = 24
            $0.maximumHalfOpen = 12
            $0.maximumHalfOpenPerSource = 2
            $0.maximumFlowsPerSource = 3
            $0.maximumAssociations = seed % 5 == 0 ? 0 : 6
            $0.maximumReassemblies = 4
            $0.timeWait = .seconds(2)
        }
        // Only makes segments.
        maker = Trace(seed: seed)
        random = SeededRandom(seed: seed)
    }

    func step() {
        let isIPv4 = random.chance(0.7)
        let host = Int.random(in: 0...4, using: &random)
        let port = Int.random(in: 0...5, using: &random)
        maker.source = Endpoint(isIPv4 ? "10.0.0.\(host):\(port)" : "[fd00::\(host)]:\(port)")!
        maker.destination = Endpoint(isIPv4 ? "192.0.2.1:443" : "[2001:db8::1]:443")!
        if random.chance(0.02) { maker.destination = Endpoint(isIPv4 ? "224.0.0.1:443" : "[ff02::1]:443")! }
        var packet: [UInt8]
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5: packet = segment()
        case 5..<7: packet = datagram()
        case 7: packet = sent.randomElement(using: &random).map(error) ?? segment()
        case 8: packet = optional(random.chance(0.5) ? segment() : datagram())
        default: packet = other()
        }
        var pieces = [packet]
        if random.chance(0.15), packet.count > 60, let ip = try? IPHeader.parse(packet.span.bytes),
            ip.headerLength == PacketWriter.ipHeaderLength(isIPv4: ip.isIPv4)
        {
            pieces = Built.fragments(of: packet, size: 24, identification: .random(in: 1...6, using: &random))
            if random.chance(0.4) { pieces.remove(at: .random(in: 0..<pieces.count, using: &random)) }
        }
        for var piece in pieces {
            if random.chance(0.1) { piece[.random(in: 0..<piece.count, using: &random)] ^= 0x11 }
            if random.chance(0.02) { piece.removeLast() }
            packets += 1
            associations += t.inject(piece).map(\.id)
        }
        act()
    }

    private func segment() -> [UInt8] {
        let flags: TCPFlags = [.syn, .syn, .ack, .rst, [.fin, .ack], []].randomElement(using: &random)!
        let known = t.nat.numbers(between: maker.source, and: maker.destination)
        let fits = random.chance(0.7) ? known : nil
        return maker.app.segment(
            flags, sequence: (fits?.next ?? 100) &+ .random(in: 0...4, using: &random) &- 1,
            acknowledgment: flags == .syn || flags.isEmpty
                ? nil : fits?.highest ?? .random(in: .min ... .max, using: &random),
            payload: Array(repeating: 1, count: [0, 10, 100].randomElement(using: &random)!))
    }

    private func datagram() -> [UInt8] {
        Built.udp(
            from: maker.source, to: maker.destination,
            random.bytes([0, 5, 100].randomElement(using: &random)!))
    }

    /// An ICMP error about something that was sent to an application, or about nothing.
    private func error(about packet: [UInt8]) -> [UInt8] {
        guard let ip = try? IPHeader.parse(packet.span.bytes) else { return datagram() }
        let types: [(UInt8, UInt8)] =
            ip.isIPv4 ? [(3, 1), (3, 3), (3, 4), (11, 0), (8, 0)] : [(1, 0), (1, 4), (2, 0), (3, 0), (128, 0)]
        let (type, code) = types.randomElement(using: &random)!
        return Built.icmp(
            type: type, code: code, rest: .random(in: 0...1_500, using: &random), quoting: Array(packet.prefix(60)),
            from: IPAddress(ip.isIPv4 ? "10.0.0.254" : "fd00::fe")!, to: ip.source)
    }

    /// The same with options that are harmless, unknown or a source route.
    private func optional(_ packet: [UInt8]) -> [UInt8] {
        guard packet[0] >> 4 == 4 else {
            let headers: [(number: UInt8, bytes: [UInt8])] = [
                (IPProtocol.destinationOptions, [0, 0, 1, 4, 0, 0, 0, 0]),
                (IPProtocol.destinationOptions, [0, 0, 0xBE, 4, 0, 0, 0, 0]),
                (IPProtocol.routing, [0, 0, 0, 1, 0, 0, 0, 0]),
            ]
            return Built.withExtensions(packet, [headers.randomElement(using: &random)!])
        }
        let options: [[UInt8]] = [[7, 7, 4, 0, 0, 0, 0, 0], [131, 3, 4, 1], [1, 7, 200, 0]]
        return Built.withOptions(packet, options.randomElement(using: &random)!)
    }

    /// GRE, a ping, or noise.
    private func other() -> [UInt8] {
        switch Int.random(in: 0...2, using: &random) {
        case 0: Built.ip(from: maker.source.address, to: maker.destination.address, 47, random.bytes(30))
        case 1:
            Built.icmp(
                type: maker.source.address.isIPv4 ? 8 : 128, code: 0, quoting: random.bytes(16),
                from: maker.source.address, to: maker.destination.address)
        default: random.bytes(.random(in: 1...80, using: &random))
        }
    }

    /// The owner, the clock, and the TUN's other direction.
    private func act() {
        for event in t.events() {
            if case .connect(let id, _) = event, random.chance(0.6) { t.nat.accept(id) }
        }
        if let id = associations.last, random.chance(0.3) { _ = t.delivers([1, 2, 3], to: id) }
        if random.chance(0.05) { t.after(.milliseconds(.random(in: 1...3_000, using: &random))) }
        while let packet = t.nextPacket() {
            sent.append(packet.bytes)
            if sent.count > 8 { sent.removeFirst() }
        }
    }
}

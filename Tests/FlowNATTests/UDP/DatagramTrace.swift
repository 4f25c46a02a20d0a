import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// A `FlowNAT` that carries UDP, on a virtual clock: what the owner was given, and what the application gets.
final class DatagramTrace {
    struct Received: Equatable {
        var id: AssociationID
        var destination: Endpoint
        var payload: [UInt8]
    }

    /// A datagram that the application gets, once put together and taken apart again.
    struct Arrived: Equatable {
        var remote: Endpoint
        var application: Endpoint
        var payload: [UInt8]
    }

    static let application = Endpoint("10.0.0.2:5000")!
    static let remote = Endpoint("192.0.2.9:53000")!
    static let applicationV6 = Endpoint("[fd00::2]:5000")!
    static let remoteV6 = Endpoint("[2001:db8::9]:53000")!

    let pool: BlockPool
    var nat: FlowNAT
    var now = Instant(nanoseconds: 1_000_000_000_000)
    let buffer = PacketBuffer()
    private var received: [Received] = []

    init(poolBytes: Int = 64 << 20, _ change: (inout FlowSettings) -> Void = { _ in }) {
        var settings = FlowSettings()
        change(&settings)
        pool = BlockPool(byteLimit: poolBytes)
        var random = SeededRandom(seed: 7)
        nat = FlowNAT(settings: settings, pool: pool, random: &random)
    }

    /// Gives packets to FlowNAT; returns the datagrams that its owner got.
    @discardableResult
    func inject(_ packets: [UInt8]..., header: VirtioHeader = .none) -> [Received] {
        for packet in packets {
            packet.withUnsafeBytes { bytes in
                nat.handle(bytes, offload: header, now: now, deliver: { _, bytes in bytes.count }) { id, to, payload in
                    received.append(Received(id: id, destination: to, payload: Array(payload)))
                }
            }
        }
        defer { received = [] }
        return received
    }

    /// The application sends; the owner must get it as one datagram.
    @discardableResult
    func sends(
        _ payload: [UInt8] = [1, 2, 3], from source: Endpoint = application, to destination: Endpoint = remote,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> AssociationID? {
        let got = inject(Built.udp(from: source, to: destination, payload))
        #expect(got.map(\.payload) == [payload], sourceLocation: sourceLocation)
        #expect(got.map(\.destination) == [destination], sourceLocation: sourceLocation)
        return got.first?.id
    }

    func delivers(_ payload: [UInt8], to id: AssociationID, from remote: Endpoint = remote) -> Bool {
        payload.withUnsafeBytes { nat.sendDatagram(id, from: remote, $0) }
    }

    func events() -> [FlowEvent] {
        var events: [FlowEvent] = []
        while let event = nat.nextEvent() { events.append(event) }
        return events
    }

    func after(_ interval: Interval) {
        now = now + interval
        nat.handleTimeout(now: now)
    }

    // MARK: - Packets out

    /// The next packet, its checksum finished as the kernel would; with its virtio header.
    func nextPacket(sourceLocation: SourceLocation = #_sourceLocation) -> (bytes: [UInt8], header: VirtioHeader)? {
        guard nat.nextPacket(into: buffer, now: now) else { return nil }
        var bytes = buffer.flattened()
        let header = buffer.offload
        if header.flags & VirtioHeader.needsChecksum != 0 {
            let isCompleted = bytes.withUnsafeMutableBytes { Segmentation.completeChecksum(packet: $0, header: header) }
            #expect(isCompleted, sourceLocation: sourceLocation)
        }
        #expect(buffer.count == bytes.count, sourceLocation: sourceLocation)
        return (bytes, header)
    }

    /// Everything that waits, as the datagrams that the application gets.
    func arrivals(sourceLocation: SourceLocation = #_sourceLocation) -> [Arrived] {
        var arrived: [Arrived] = []
        let ear = Ear()
        while let (bytes, header) = nextPacket(sourceLocation: sourceLocation) {
            arrived += ear.hear(bytes, header, sourceLocation: sourceLocation)
        }
        return arrived
    }
}

/// The application's kernel: cuts super-packets, puts fragments together, checks checksums. Fragments must come in order.
final class Ear {
    private var partial: [UInt32: [UInt8]] = [:]
    private(set) var fragments = 0

    func hear(
        _ bytes: [UInt8], _ header: VirtioHeader, sourceLocation: SourceLocation = #_sourceLocation
    ) -> [DatagramTrace.Arrived] {
        guard header.gsoType == .none else {
            var pieces: [[UInt8]] = []
            var scratch = [UInt8](repeating: 0, count: 65_536)
            scratch.withUnsafeMutableBytes { scratch in
                _ = try? Segmentation.split(packet: bytes.span.bytes, header: header, scratch: scratch) {
                    pieces.append(Array($0))
                }
            }
            #expect(pieces.count > 1, sourceLocation: sourceLocation)
            return pieces.flatMap { hear($0, .none, sourceLocation: sourceLocation) }
        }
        guard let ip = try? IPHeader.parse(bytes.span.bytes), ip.totalLength == bytes.count else {
            Issue.record("a packet that cannot be read", sourceLocation: sourceLocation)
            return []
        }
        guard ip.protocol == IPProtocol.udp else { return [] }
        var message = Array(bytes[ip.headerLength...])
        if ip.isFragment {
            fragments += 1
            #expect(!ip.isIPv4 || !ip.dontFragment, sourceLocation: sourceLocation)
            let before = partial[ip.identification, default: []]
            #expect(before.count == ip.fragmentOffset, sourceLocation: sourceLocation)
            message = before + message
            partial[ip.identification] = ip.moreFragments ? message : nil
            if ip.moreFragments { return [] }
        }
        guard let udp = try? UDPHeader.parse(message.span.bytes), udp.length == message.count else {
            Issue.record("a UDP header that cannot be read", sourceLocation: sourceLocation)
            return []
        }
        let isValid = Checksum.isValid(
            segment: message.span.bytes, source: ip.source, destination: ip.destination, protocol: IPProtocol.udp)
        #expect(isValid && udp.checksum != 0, "a wrong UDP checksum", sourceLocation: sourceLocation)
        return [
            DatagramTrace.Arrived(
                remote: Endpoint(ip.source, udp.sourcePort), application: Endpoint(ip.destination, udp.destinationPort),
                payload: Array(message[8...]))
        ]
    }
}

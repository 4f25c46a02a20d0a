import Packets
import Primitives

/// Packets that do not come in one plain piece: fragments, and headers with options.
extension FlowNAT {
    mutating func handleFragment(
        _ ip: IPHeader, _ packet: UnsafeRawBufferPointer, offload: VirtioHeader, now: Instant, carriesDatagrams: Bool,
        deliver: FlowConsumer, datagrams: DatagramConsumer
    ) {
        // What is refused anyway needs no memory; what comes after is refused in silence.
        if Self.isRefused(ip, carriesDatagrams: carriesDatagrams) { return refuseProtocol(ip, packet, now: now) }
        guard offload.gsoType == .none else {
            counters.malformed += 1
            return
        }
        guard let whole = reassembly.add(packet, ip, now: now, counters: &tally.pointee) else { return }
        guard let header = try? IPHeader.parse(whole.bytes), !header.isFragment else {
            counters.malformed += 1  // fragments of fragments
            return
        }
        handle(
            whole, offload: .none, now: now, carriesDatagrams: carriesDatagrams, deliver: deliver,
            datagrams: datagrams)
    }

    /// Whether the protocol is known and not carried. Behind a later IPv6 fragment's header there may be another header.
    private static func isRefused(_ ip: IPHeader, carriesDatagrams: Bool) -> Bool {
        switch ip.protocol {
        case IPProtocol.tcp, IPProtocol.hopByHopOptions, IPProtocol.routing, IPProtocol.destinationOptions,
            IPProtocol.fragment:
            false
        case IPProtocol.udp: !carriesDatagrams
        case IPProtocol.icmp: !ip.isIPv4
        case IPProtocol.icmpv6: ip.isIPv4
        default: true
        }
    }

    /// Whether a packet with IPv4 options or IPv6 extension headers may go on; counts it when it may not.
    mutating func admitsOptions(_ ip: IPHeader, _ packet: RawSpan) -> Bool {
        switch HeaderOptions.examine(ip, packet) {
        case .harmless: return true
        case .sourceRouted: counters.sourceRouted += 1
        case .unknownOption: counters.unknownOptions += 1
        case .malformed: counters.malformed += 1
        }
        return false
    }
}

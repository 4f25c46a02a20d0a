import Packets
import Primitives

/// ICMP errors from the TUN: the application's kernel, or a router of a LAN behind it, about a packet that we sent.
extension FlowNAT {
    mutating func handleICMP(
        _ ip: IPHeader, _ packet: UnsafeRawBufferPointer, offload: VirtioHeader, now: Instant
    ) {
        let message = packet.bytes.extracting(ip.upperLayer)
        guard let icmp = try? ICMPHeader.parse(message) else {
            counters.malformed += 1
            return
        }
        guard icmp.isError(isIPv4: ip.isIPv4) else { return refuseProtocol(ip, packet, now: now) }
        guard offload.checksumIsTrusted || Self.hasValidICMPChecksum(message, ip) else {
            counters.badChecksum += 1
            return
        }
        counters.icmpErrorsIn += 1
        guard let error = ICMPError(icmp, message, isIPv4: ip.isIPv4) else {
            counters.icmpErrorsIgnored += 1
            return
        }
        switch error.protocol {
        case IPProtocol.tcp: receiveForFlow(error, now: now)
        case IPProtocol.udp: receiveForAssociation(error)
        default: counters.icmpErrorsIgnored += 1
        }
    }

    private static func hasValidICMPChecksum(_ message: RawSpan, _ ip: IPHeader) -> Bool {
        ip.isIPv4
            ? Checksum.fold(Checksum.sum(message)) == 0xFFFF
            : Checksum.isValid(
                segment: message, source: ip.source, destination: ip.destination, protocol: IPProtocol.icmpv6)
    }

    private mutating func receiveForFlow(_ error: ICMPError, now: Instant) {
        guard let flow = flows.find(FlowAddresses(source: error.application, destination: error.remote)),
            flow.pointee.isOutstanding(error.sequence)
        else {
            counters.icmpErrorsUnmatched += 1
            return
        }
        switch error.kind {
        case .packetTooBig:
            let current = flow.pointee.packetSize
            guard let mtu = error.pathMTU(current: current) else {
                counters.icmpErrorsIgnored += 1
                return
            }
            counters.pathMTULowered += 1
            apply(flow.pointee.lowerSegmentSize(toFit: mtu), to: flow, tcp: nil, payloadCount: 0, now: now)
        case .unreachable(let isHard):
            counters.icmpUnreachables += 1
            flow.pointee.softError = (error.type, error.code)
            // RFC 5461, section 4.1: a hard error ends what is not established yet; afterwards it is a soft one, or
            // anyone who guesses a sequence number could cut a connection.
            if isHard, flow.pointee.state == .synReceived {
                apply(.resetByPeer, to: flow, tcp: nil, payloadCount: 0, now: now)
            }
        case .other:
            flow.pointee.softError = (error.type, error.code)
        }
    }

    private mutating func receiveForAssociation(_ error: ICMPError) {
        guard let association = associations.find(error.application) else {
            counters.icmpErrorsUnmatched += 1
            return
        }
        switch error.kind {
        case .packetTooBig:
            guard let mtu = error.pathMTU(current: association.pointee.mtu) else {
                counters.icmpErrorsIgnored += 1
                return
            }
            counters.pathMTULowered += 1
            association.pointee.mtu = mtu
        case .unreachable:
            counters.icmpUnreachables += 1
            events.append(.datagramRefused(association.pointee.id, error.remote))
        case .other:
            counters.icmpErrorsIgnored += 1
        }
    }

    /// Type and code of the last ICMP error about a flow that did not end it (RFC 1122, section 4.2.3.9: to be told when
    /// the flow dies of it later); nil when there was none or the flow is gone.
    public func softError(of id: FlowID) -> (type: UInt8, code: UInt8)? { flows.find(id)?.pointee.softError }
}

import Packets
import Primitives

/// Answers that belong to no flow, or end one: RST and ICMP errors.
extension FlowNAT {
    /// RFC 9293, section 3.10.7.1: a segment for a connection that does not exist.
    mutating func answerWithReset(_ tcp: TCPHeader, payloadCount: Int, _ addresses: FlowAddresses, now: Instant) {
        guard !tcp.flags.contains(.rst) else { return }
        guard resets.take(now: now) else {
            counters.resetsSkipped += 1
            return
        }
        counters.resetsSent += 1
        if tcp.flags.contains(.ack) {
            queueReset(addresses, sequence: tcp.acknowledgment, acknowledgment: nil)
        } else {
            let length = payloadCount + (tcp.flags.contains(.syn) ? 1 : 0) + (tcp.flags.contains(.fin) ? 1 : 0)
            queueReset(addresses, sequence: SequenceNumber(0), acknowledgment: tcp.sequence + length)
        }
    }

    mutating func sendReset(_ flow: UnsafeMutablePointer<TCPFlow>) {
        switch flow.pointee.state {
        case .opening:
            // The application is in SYN-SENT: only a RST that acknowledges its SYN counts (RFC 9293, 3.10.7.3).
            queueReset(
                flow.pointee.addresses, sequence: SequenceNumber(0), acknowledgment: flow.pointee.nextReceive)
        case .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck, .timeWait:
            queueReset(
                flow.pointee.addresses, sequence: flow.pointee.acceptableNumber,
                acknowledgment: flow.pointee.nextReceive)
        }
    }

    private mutating func queueReset(
        _ addresses: FlowAddresses, sequence: SequenceNumber, acknowledgment: SequenceNumber?
    ) {
        let count = ReplyWriter.reset(
            from: addresses.destination, to: addresses.source, sequence: sequence, acknowledgment: acknowledgment,
            into: scratch)
        queueReply(count)
    }

    mutating func sendUnreachable(_ flow: UnsafeMutablePointer<TCPFlow>, _ reason: UnreachableReason) {
        let count = ReplyWriter.unreachable(
            reason, addresses: flow.pointee.addresses, sequence: flow.pointee.initialReceive, into: scratch)
        queueReply(count)
    }

    /// What Penstock does not carry is refused in words: an application that is told can fall back at once.
    mutating func refuseProtocol(_ ip: IPHeader, _ packet: UnsafeRawBufferPointer, now: Instant) {
        // No error goes to or speaks for a group or nobody (RFC 1122, section 3.2.2).
        guard Self.isPossible(ip.source), Self.isPossible(ip.destination) else {
            counters.impossibleAddress += 1
            return
        }
        counters.unsupportedProtocol += 1
        guard mayTellUnreachable(now: now) else { return }
        let count = ICMPWriter.destinationUnreachable(
            code: .administrativelyProhibited, quoting: packet.bytes, from: ip.destination, into: scratch)
        queueReply(count)
    }

    /// Whether an ICMP error may go out within their rate; counts it when it may not.
    mutating func mayTellUnreachable(now: Instant) -> Bool {
        if unreachables.take(now: now) { return true }
        counters.unreachablesSkipped += 1
        return false
    }

    mutating func queueReply(_ count: Int) {
        guard count > 0 else { return }
        if !replies.append(UnsafeRawBufferPointer(rebasing: scratch[..<count])) { counters.replyQueueFull += 1 }
    }
}

import Packets
import Primitives

/// Whole packets that answer without a flow.
enum ReplyWriter {
    /// A RST, with ACK where `acknowledgment` is given. Returns its length.
    static func reset(
        from source: Endpoint, to destination: Endpoint, sequence: SequenceNumber, acknowledgment: SequenceNumber?,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        segment(
            from: source, to: destination, sequence: sequence, acknowledgment: acknowledgment ?? SequenceNumber(0),
            flags: acknowledgment == nil ? .rst : [.rst, .ack], into: output)
    }

    /// An ICMP error about the SYN that opened a flow. The SYN itself is long gone; what the application's kernel looks
    /// at, the addresses, ports and the sequence number (RFC 5927, section 4.1), is written anew. Returns its length.
    static func unreachable(
        _ reason: UnreachableReason, addresses: FlowAddresses, sequence: SequenceNumber,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        withUnsafeTemporaryAllocation(byteCount: 128, alignment: 16) { original in
            let count = segment(
                from: addresses.source, to: addresses.destination, sequence: sequence,
                acknowledgment: SequenceNumber(0), flags: .syn, into: original)
            return ICMPWriter.destinationUnreachable(
                code: reason, quoting: UnsafeRawBufferPointer(rebasing: original[..<count]).bytes,
                from: addresses.destination.address, into: output)
        }
    }

    /// An ICMP error about a datagram that is long gone: its addresses and ports, without its payload. Returns its length.
    static func unreachableDatagram(
        _ reason: UnreachableReason, source: Endpoint, destination: Endpoint,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { original in
            let memory = original.baseAddress!
            let at = PacketWriter.writeIPHeader(
                to: memory, source: source.address, destination: destination.address, protocol: IPProtocol.udp,
                payloadLength: UDPHeader.byteCount)
            PacketWriter.writeUDPHeader(
                to: memory + at, sourcePort: source.port, destinationPort: destination.port, payloadLength: 0)
            PacketWriter.setChecksum(
                at: memory + at, length: UDPHeader.byteCount, protocol: .udp, source: source.address,
                destination: destination.address)
            return ICMPWriter.destinationUnreachable(
                code: reason,
                quoting: UnsafeRawBufferPointer(rebasing: original[..<(at + UDPHeader.byteCount)]).bytes,
                from: destination.address, into: output)
        }
    }

    private static func segment(
        from source: Endpoint, to destination: Endpoint, sequence: SequenceNumber, acknowledgment: SequenceNumber,
        flags: TCPFlags, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        let memory = output.baseAddress!
        let offset = PacketWriter.ipHeaderLength(isIPv4: source.address.isIPv4)
        let length = PacketWriter.writeTCPHeader(
            to: memory + offset, sourcePort: source.port, destinationPort: destination.port, sequence: sequence,
            acknowledgment: acknowledgment, flags: flags, window: 0)
        PacketWriter.writeIPHeader(
            to: memory, source: source.address, destination: destination.address, protocol: IPProtocol.tcp,
            payloadLength: length)
        PacketWriter.setChecksum(
            at: memory + offset, length: length, protocol: .tcp, source: source.address,
            destination: destination.address)
        return offset + length
    }
}

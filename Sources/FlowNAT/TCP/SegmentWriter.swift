import Packets
import Primitives

/// Writes IP and TCP headers before a payload that lies in the buffer's regions.
enum SegmentWriter {
    static func write(
        from source: Endpoint, to destination: Endpoint, sequence: SequenceNumber, acknowledgment: SequenceNumber,
        flags: TCPFlags, window: UInt16, options: TCPOptions, payloadCount: Int, segmentSize: Int, offload: Bool,
        trafficClass: UInt8 = 0, into buffer: PacketBuffer
    ) {
        let isIPv4 = source.address.isIPv4
        let tcpOffset = PacketWriter.ipHeaderLength(isIPv4: isIPv4)
        let tcp = buffer.head + tcpOffset
        let tcpLength = PacketWriter.writeTCPHeader(
            to: tcp, sourcePort: source.port, destinationPort: destination.port, sequence: sequence,
            acknowledgment: acknowledgment, flags: flags, window: window, options: options)
        PacketWriter.writeIPHeader(
            to: buffer.head, source: source.address, destination: destination.address, protocol: IPProtocol.tcp,
            payloadLength: tcpLength + payloadCount, trafficClass: trafficClass)
        buffer.headCount = tcpOffset + tcpLength
        if offload {
            PacketWriter.setPartialChecksum(
                at: tcp, length: tcpLength + payloadCount, protocol: .tcp, source: source.address,
                destination: destination.address)
            buffer.offload = .tcp(
                isIPv4: isIPv4, ipHeaderLength: tcpOffset, tcpHeaderLength: tcpLength, payloadLength: payloadCount,
                segmentSize: segmentSize)
            buffer.offload.ecn = flags.contains(.cwr) && buffer.offload.gsoType != .none
        } else {
            var payload = Checksum.Accumulator()
            for region in buffer.regions { payload.add(region) }
            PacketWriter.setChecksum(
                at: tcp, headerLength: tcpLength, payload: payload, protocol: .tcp, source: source.address,
                destination: destination.address)
            buffer.offload = .none
        }
    }
}

import Packets
import Primitives

/// Writes IP and UDP headers before a payload that lies in the buffer's regions.
enum DatagramWriter {
    /// One datagram, or several of `segmentSize` bytes each, the last perhaps smaller.
    static func write(
        from source: Endpoint, to destination: Endpoint, payloadCount: Int, segmentSize: Int, offload: Bool,
        into buffer: PacketBuffer
    ) {
        let ipLength = PacketWriter.ipHeaderLength(isIPv4: source.address.isIPv4)
        let udp = buffer.head + ipLength
        PacketWriter.writeIPHeader(
            to: buffer.head, source: source.address, destination: destination.address, protocol: IPProtocol.udp,
            payloadLength: UDPHeader.byteCount + payloadCount)
        PacketWriter.writeUDPHeader(
            to: udp, sourcePort: source.port, destinationPort: destination.port, payloadLength: payloadCount)
        buffer.headCount = ipLength + UDPHeader.byteCount
        if offload {
            PacketWriter.setPartialChecksum(
                at: udp, length: UDPHeader.byteCount + payloadCount, protocol: .udp, source: source.address,
                destination: destination.address)
            buffer.offload = .udp(ipHeaderLength: ipLength, payloadLength: payloadCount, segmentSize: segmentSize)
        } else {
            var payload = Checksum.Accumulator()
            for region in buffer.regions { payload.add(region) }
            PacketWriter.setChecksum(
                at: udp, headerLength: UDPHeader.byteCount, payload: payload, protocol: .udp, source: source.address,
                destination: destination.address)
            buffer.offload = .none
        }
    }

    // MARK: - Fragments

    /// Bytes of UDP header and payload in every fragment but the last: a multiple of eight.
    static func fragmentPayload(mtu: Int, isIPv4: Bool) -> Int {
        let headers =
            PacketWriter.ipHeaderLength(isIPv4: isIPv4) + (isIPv4 ? 0 : Fragment.fragmentHeaderLength)
        return max(8, (mtu - headers) & ~7)
    }

    /// The checksum of a whole datagram.
    static func checksum(from source: Endpoint, to destination: Endpoint, payload: Checksum.Accumulator) -> UInt16 {
        withUnsafeTemporaryAllocation(byteCount: UDPHeader.byteCount, alignment: 8) { memory in
            let udp = memory.baseAddress!
            PacketWriter.writeUDPHeader(
                to: udp, sourcePort: source.port, destinationPort: destination.port, payloadLength: payload.count)
            PacketWriter.setChecksum(
                at: udp, headerLength: UDPHeader.byteCount, payload: payload, protocol: .udp, source: source.address,
                destination: destination.address)
            return UnsafeRawPointer(udp).loadBigEndian(at: UDPHeader.checksumOffset, as: UInt16.self)
        }
    }

    /// The headers of one fragment (RFC 791, section 2.3; RFC 8200, section 4.5); the first one's UDP header too.
    ///
    /// - Parameters:
    ///   - datagramLength: bytes of UDP header and payload in all.
    ///   - offset: how many of them went before.
    ///   - count: how many this fragment carries; the regions hold them, but for the UDP header.
    static func writeFragment(
        from source: Endpoint, to destination: Endpoint, datagramLength: Int, offset: Int, count: Int,
        identification: UInt32, checksum: UInt16, into buffer: PacketBuffer
    ) {
        let memory = buffer.head
        let hasMore = offset + count < datagramLength
        var at: Int
        if source.address.isIPv4 {
            at = PacketWriter.writeIPHeader(
                to: memory, source: source.address, destination: destination.address, protocol: IPProtocol.udp,
                payloadLength: count, identification: UInt16(truncatingIfNeeded: identification))
            memory.storeBigEndian(UInt16(offset / 8) | (hasMore ? 0x2000 : 0), at: 6)
            PacketWriter.setIPv4HeaderChecksum(at: memory, headerLength: at)
        } else {
            at = PacketWriter.writeIPHeader(
                to: memory, source: source.address, destination: destination.address, protocol: IPProtocol.fragment,
                payloadLength: Fragment.fragmentHeaderLength + count)
            memory.storeBigEndian(UInt16(IPProtocol.udp) << 8, at: at)
            memory.storeBigEndian(UInt16(offset) | (hasMore ? 1 : 0), at: at + 2)
            memory.storeBigEndian(identification, at: at + 4)
            at += Fragment.fragmentHeaderLength
        }
        if offset == 0 {
            PacketWriter.writeUDPHeader(
                to: memory + at, sourcePort: source.port, destinationPort: destination.port,
                payloadLength: datagramLength - UDPHeader.byteCount)
            (memory + at).storeBigEndian(checksum, at: UDPHeader.checksumOffset)
            at += UDPHeader.byteCount
        }
        buffer.headCount = at
    }
}

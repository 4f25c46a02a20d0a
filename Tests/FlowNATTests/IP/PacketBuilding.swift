import Packets
import Primitives

/// Packets as the application's side sends them, made by hand.
enum Built {
    /// A UDP datagram in one packet.
    ///
    /// - Parameter extra: IPv4 options, or IPv6 extension headers whose first byte is replaced so that UDP follows.
    static func udp(
        from source: Endpoint, to destination: Endpoint, _ payload: [UInt8], checksum: Bool = true
    ) -> [UInt8] {
        var message = [UInt8](repeating: 0, count: 8) + payload
        message.withUnsafeMutableBytes { bytes in
            PacketWriter.writeUDPHeader(
                to: bytes.baseAddress!, sourcePort: source.port, destinationPort: destination.port,
                payloadLength: payload.count)
            if checksum {
                PacketWriter.setChecksum(
                    at: bytes.baseAddress!, length: bytes.count, protocol: .udp, source: source.address,
                    destination: destination.address)
            }
        }
        return ip(from: source.address, to: destination.address, IPProtocol.udp, message)
    }

    static func ip(
        from source: IPAddress, to destination: IPAddress, _ number: UInt8, _ payload: [UInt8],
        identification: UInt16 = 0, trafficClass: UInt8 = 0
    ) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: PacketWriter.ipHeaderLength(isIPv4: source.isIPv4))
        header.withUnsafeMutableBytes { bytes in
            _ = PacketWriter.writeIPHeader(
                to: bytes.baseAddress!, source: source, destination: destination, protocol: number,
                payloadLength: payload.count, trafficClass: trafficClass, identification: identification)
        }
        return header + payload
    }

    /// The same packet with IPv4 options, whose length is a multiple of four.
    static func withOptions(_ packet: [UInt8], _ options: [UInt8]) -> [UInt8] {
        var packet = Array(packet[..<20]) + options + packet[20...]
        let (total, length) = (packet.count, 20 + options.count)
        packet[0] = 0x40 | UInt8(length / 4)
        packet.withUnsafeMutableBytes { bytes in
            bytes.baseAddress!.storeBigEndian(UInt16(total), at: 2)
            PacketWriter.setIPv4HeaderChecksum(at: bytes.baseAddress!, headerLength: length)
        }
        return packet
    }

    /// The same IPv6 packet with extension headers before the upper layer.
    ///
    /// - Parameter headers: number and content of each; the first byte of the content is overwritten.
    static func withExtensions(_ packet: [UInt8], _ headers: [(number: UInt8, bytes: [UInt8])]) -> [UInt8] {
        var extra: [UInt8] = []
        var next = packet[6]
        for header in headers.reversed() {
            var bytes = header.bytes
            bytes[0] = next
            extra = bytes + extra
            next = header.number
        }
        var packet = Array(packet[..<40]) + extra + packet[40...]
        packet[6] = next
        let length = packet.count - 40
        packet[4] = UInt8(length >> 8)
        packet[5] = UInt8(length & 255)
        return packet
    }

    // MARK: - Fragments

    /// One fragment of a whole packet: the bytes `range` of what follows its fixed IP header.
    static func fragment(
        of packet: [UInt8], _ range: Range<Int>, hasMore: Bool, identification: UInt32, trafficClass: UInt8? = nil
    ) -> [UInt8] {
        let isIPv4 = packet[0] >> 4 == 4
        let headerLength = isIPv4 ? Int(packet[0] & 15) * 4 : 40
        let piece = packet[(headerLength + range.lowerBound)..<(headerLength + range.upperBound)]
        return fragment(
            header: Array(packet[..<headerLength]), Array(piece), at: range.lowerBound, hasMore: hasMore,
            identification: identification, trafficClass: trafficClass)
    }

    /// A fragment that need not be a piece of anything.
    static func fragment(
        header: [UInt8], _ piece: [UInt8], at offset: Int, hasMore: Bool, identification: UInt32,
        trafficClass: UInt8? = nil
    ) -> [UInt8] {
        var header = header
        if header[0] >> 4 == 4 {
            if let trafficClass { header[1] = trafficClass }
            header.withUnsafeMutableBytes { bytes in
                let memory = bytes.baseAddress!
                memory.storeBigEndian(UInt16(bytes.count + piece.count), at: 2)
                memory.storeBigEndian(UInt16(truncatingIfNeeded: identification), at: 4)
                memory.storeBigEndian(UInt16(offset / 8) | (hasMore ? 0x2000 : 0), at: 6)
                PacketWriter.setIPv4HeaderChecksum(at: memory, headerLength: bytes.count)
            }
            return header + piece
        }
        var fragmentHeader = [UInt8](repeating: 0, count: 8)
        fragmentHeader[0] = header[6]
        fragmentHeader.withUnsafeMutableBytes { bytes in
            bytes.baseAddress!.storeBigEndian(UInt16(offset) | (hasMore ? 1 : 0), at: 2)
            bytes.baseAddress!.storeBigEndian(identification, at: 4)
        }
        header[6] = IPProtocol.fragment
        if let trafficClass { header[1] = trafficClass << 4 }
        let length = 8 + piece.count
        header[4] = UInt8(length >> 8)
        header[5] = UInt8(length & 255)
        return header + fragmentHeader + piece
    }

    /// A packet in fragments of `size` payload bytes, a multiple of eight.
    static func fragments(of packet: [UInt8], size: Int, identification: UInt32 = 77) -> [[UInt8]] {
        let total = packet.count - (packet[0] >> 4 == 4 ? Int(packet[0] & 15) * 4 : 40)
        return stride(from: 0, to: total, by: size).map { start in
            let end = min(start + size, total)
            return fragment(of: packet, start..<end, hasMore: end < total, identification: identification)
        }
    }

    // MARK: - ICMP

    /// An ICMP or ICMPv6 error with the right checksum.
    static func icmp(
        type: UInt8, code: UInt8, rest: UInt32 = 0, quoting quoted: [UInt8], from source: IPAddress,
        to destination: IPAddress
    ) -> [UInt8] {
        var message =
            [type, code, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: rest >> UInt32(24 - 8 * $0)) } + quoted
        message.withUnsafeMutableBytes { bytes in
            let memory = bytes.baseAddress!
            if source.isIPv4 {
                memory.storeBigEndian(Checksum.finish(Checksum.sum(UnsafeRawBufferPointer(bytes))), at: 2)
            } else {
                PacketWriter.setChecksum(
                    at: memory, length: bytes.count, protocol: .icmpv6, source: source, destination: destination)
            }
        }
        return ip(
            from: source, to: destination, source.isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6, message)
    }
}

import Packets
import Primitives

/// Packets as the application's side sends them, with everything right that a fuzzer cannot guess.
enum Made {
    enum UDPChecksum { case right, wrong, none, partial }

    /// A UDP datagram in one packet.
    static func datagram(
        from source: Endpoint, to destination: Endpoint, _ payload: [UInt8], checksum: UDPChecksum = .right
    ) -> [UInt8] {
        var message = [UInt8](repeating: 0, count: UDPHeader.byteCount) + payload
        message.withUnsafeMutableBytes { bytes in
            let memory = bytes.baseAddress!
            PacketWriter.writeUDPHeader(
                to: memory, sourcePort: source.port, destinationPort: destination.port, payloadLength: payload.count)
            switch checksum {
            case .none: break
            case .right, .wrong:
                PacketWriter.setChecksum(
                    at: memory, length: bytes.count, protocol: .udp, source: source.address,
                    destination: destination.address)
                // A bit of the port is no longer what was summed.
                if checksum == .wrong { bytes[1] ^= 1 }
            case .partial:
                PacketWriter.setPartialChecksum(
                    at: memory, length: bytes.count, protocol: .udp, source: source.address,
                    destination: destination.address)
            }
        }
        return packet(from: source.address, to: destination.address, IPProtocol.udp, message)
    }

    static func packet(
        from source: IPAddress, to destination: IPAddress, _ number: UInt8, _ message: [UInt8]
    ) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: PacketWriter.ipHeaderLength(isIPv4: source.isIPv4))
        header.withUnsafeMutableBytes { bytes in
            _ = PacketWriter.writeIPHeader(
                to: bytes.baseAddress!, source: source, destination: destination, protocol: number,
                payloadLength: message.count)
        }
        return header + message
    }

    // MARK: - Fragments

    /// One fragment: `piece` at `offset` of what follows the headers of a whole packet.
    ///
    /// - Parameter options: IPv4 options, or an IPv6 extension header before the fragment header; whole units of eight
    ///   bytes. Its kind is 0 (end of options; hop-by-hop options).
    static func fragment(
        of packet: [UInt8], _ piece: [UInt8], at offset: Int, hasMore: Bool, identification: UInt32,
        options: Int = 0, trafficClass: UInt8 = 0
    ) -> [UInt8] {
        let isIPv4 = packet[0] >> 4 == 4
        guard isIPv4 else {
            var extra = [UInt8](repeating: 0, count: options + 8)
            if options > 0 {
                extra[0] = IPProtocol.fragment
                extra[1] = UInt8(options / 8 - 1)
            }
            var header = Array(packet[..<PacketWriter.ipv6HeaderLength])
            extra[options] = header[6]
            header[6] = options > 0 ? IPProtocol.hopByHopOptions : IPProtocol.fragment
            header[1] = trafficClass << 4
            header.withUnsafeMutableBytes {
                $0.baseAddress!.storeBigEndian(UInt16(truncatingIfNeeded: extra.count + piece.count), at: 4)
            }
            extra.withUnsafeMutableBytes {
                $0.baseAddress!.storeBigEndian(
                    UInt16(truncatingIfNeeded: offset & ~7) | (hasMore ? 1 : 0), at: options + 2)
                $0.baseAddress!.storeBigEndian(identification, at: options + 4)
            }
            return header + extra + piece
        }
        var header = Array(packet[..<PacketWriter.ipv4HeaderLength]) + [UInt8](repeating: 0, count: options)
        header[0] = 0x40 | UInt8(header.count / 4)
        header[1] = trafficClass
        header.withUnsafeMutableBytes { bytes in
            let memory = bytes.baseAddress!
            memory.storeBigEndian(UInt16(truncatingIfNeeded: bytes.count + piece.count), at: 2)
            memory.storeBigEndian(UInt16(truncatingIfNeeded: identification), at: 4)
            memory.storeBigEndian(UInt16(offset / 8 & 0x1FFF) | (hasMore ? 0x2000 : 0), at: 6)
            PacketWriter.setIPv4HeaderChecksum(at: memory, headerLength: bytes.count)
        }
        return header + piece
    }

    // MARK: - ICMP

    /// What an application's kernel, or a router before it, says about a packet of ours.
    static func icmpError(
        type: UInt8, code: UInt8, rest: UInt32, quoting quoted: [UInt8], from source: IPAddress,
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
        return packet(
            from: source, to: destination, source.isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6, message)
    }
}

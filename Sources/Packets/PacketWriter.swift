import Primitives

/// Writes headers into memory whose room the caller has checked: 20 or 40 bytes for IP, up to 60 for TCP, 8 for UDP.
public enum PacketWriter {
    public static let ipv4HeaderLength = 20
    public static let ipv6HeaderLength = 40

    /// Bytes that `writeIPHeader` writes for addresses of this family.
    @inlinable public static func ipHeaderLength(isIPv4: Bool) -> Int { isIPv4 ? ipv4HeaderLength : ipv6HeaderLength }

    /// An IPv4 header without options, DF set and its checksum in place, or an IPv6 header without extensions.
    ///
    /// - Parameters:
    ///   - source: of the same family as `destination`.
    ///   - payloadLength: bytes after this header; with it at most 65 535 in IPv4.
    ///   - identification: IPv4's; free to be 0, since no fragment can arise (RFC 6864, section 4.1).
    /// - Returns: the header's length, 20 or 40.
    @discardableResult
    public static func writeIPHeader(
        to memory: UnsafeMutableRawPointer, source: IPAddress, destination: IPAddress, protocol: UInt8,
        payloadLength: Int, hopLimit: UInt8 = 64, trafficClass: UInt8 = 0, identification: UInt16 = 0
    ) -> Int {
        switch (source, destination) {
        case (.v4(let from), .v4(let to)):
            assert(payloadLength <= 0xFFFF - ipv4HeaderLength)
            memory.storeBigEndian(UInt16(0x4500) | UInt16(trafficClass), at: 0)
            memory.storeBigEndian(UInt16(truncatingIfNeeded: ipv4HeaderLength + payloadLength), at: 2)
            memory.storeBigEndian(identification, at: 4)
            memory.storeBigEndian(UInt16(0x4000), at: 6)
            memory.storeBigEndian(UInt16(hopLimit) << 8 | UInt16(`protocol`), at: 8)
            memory.storeBigEndian(UInt16(0), at: 10)
            memory.storeBigEndian(from.value, at: 12)
            memory.storeBigEndian(to.value, at: 16)
            memory.storeBigEndian(Checksum.finish(Checksum.sumOfIPv4Header(memory)), at: 10)
            return ipv4HeaderLength
        case (.v6(let from), .v6(let to)):
            assert(payloadLength <= 0xFFFF)
            memory.storeBigEndian(UInt32(6) << 28 | UInt32(trafficClass) << 20, at: 0)
            memory.storeBigEndian(UInt16(truncatingIfNeeded: payloadLength), at: 4)
            memory.storeBigEndian(UInt16(`protocol`) << 8 | UInt16(hopLimit), at: 6)
            memory.storeBigEndian(from.high, at: 8)
            memory.storeBigEndian(from.low, at: 16)
            memory.storeBigEndian(to.high, at: 24)
            memory.storeBigEndian(to.low, at: 32)
            return ipv6HeaderLength
        case (.v4, .v6), (.v6, .v4):
            preconditionFailure("source and destination of different families")
        }
    }

    /// Computes the checksum of an IPv4 header in place.
    public static func setIPv4HeaderChecksum(at header: UnsafeMutableRawPointer, headerLength: Int) {
        header.storeBigEndian(UInt16(0), at: 10)
        let sum = Checksum.sum(UnsafeRawBufferPointer(start: header, count: headerLength))
        header.storeBigEndian(Checksum.finish(sum), at: 10)
    }

    /// A TCP header with its options, the checksum 0.
    ///
    /// - Parameters:
    ///   - window: as on the wire, already scaled down.
    ///   - options: SACK blocks that do not fit are left out, the last first.
    /// - Returns: the header's length, 20 plus `options.encodedLength`.
    @discardableResult
    public static func writeTCPHeader(
        to memory: UnsafeMutableRawPointer, sourcePort: UInt16, destinationPort: UInt16, sequence: SequenceNumber,
        acknowledgment: SequenceNumber, flags: TCPFlags, window: UInt16, urgentPointer: UInt16 = 0,
        options: TCPOptions = .none
    ) -> Int {
        let length = TCPHeader.minimumLength + options.store(to: memory + TCPHeader.minimumLength)
        memory.storeBigEndian(sourcePort, at: 0)
        memory.storeBigEndian(destinationPort, at: 2)
        memory.storeBigEndian(sequence.rawValue, at: 4)
        memory.storeBigEndian(acknowledgment.rawValue, at: 8)
        memory.storeBigEndian(UInt16(length / 4) << 12 | UInt16(flags.rawValue), at: 12)
        memory.storeBigEndian(window, at: 14)
        memory.storeBigEndian(UInt16(0), at: 16)
        memory.storeBigEndian(urgentPointer, at: 18)
        return length
    }

    /// A UDP header, the checksum 0.
    /// - Returns: the header's length, 8.
    @discardableResult
    public static func writeUDPHeader(
        to memory: UnsafeMutableRawPointer, sourcePort: UInt16, destinationPort: UInt16, payloadLength: Int
    ) -> Int {
        assert(payloadLength <= 0xFFFF - UDPHeader.byteCount)
        memory.storeBigEndian(sourcePort, at: 0)
        memory.storeBigEndian(destinationPort, at: 2)
        memory.storeBigEndian(UInt16(truncatingIfNeeded: UDPHeader.byteCount + payloadLength), at: 4)
        memory.storeBigEndian(UInt16(0), at: 6)
        return UDPHeader.byteCount
    }
}

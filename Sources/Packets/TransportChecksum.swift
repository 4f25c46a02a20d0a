import Primitives

/// The protocols whose checksum covers the pseudo-header.
public enum TransportProtocol: UInt8, Sendable {
    case tcp = 6
    case udp = 17
    case icmpv6 = 58

    /// Offset of the checksum field in the header.
    @inlinable public var checksumOffset: Int {
        switch self {
        case .tcp: 16
        case .udp: 6
        case .icmpv6: 2
        }
    }
}

/// Filling in the checksum of a TCP, UDP or ICMPv6 message that was just written.
extension PacketWriter {
    /// Over a message that lies in one piece at `segment`, `length` bytes.
    public static func setChecksum(
        at segment: UnsafeMutableRawPointer, length: Int, protocol: TransportProtocol, source: IPAddress,
        destination: IPAddress
    ) {
        setChecksum(
            at: segment, headerLength: length, payload: Checksum.Accumulator(), protocol: `protocol`, source: source,
            destination: destination)
    }

    /// Over a header at `segment` and a payload elsewhere, in any number of pieces, that was summed as it was copied.
    public static func setChecksum(
        at segment: UnsafeMutableRawPointer, headerLength: Int, payload: Checksum.Accumulator,
        protocol: TransportProtocol, source: IPAddress, destination: IPAddress
    ) {
        assert(headerLength & 1 == 0 || payload.count == 0)
        let pseudo = Checksum.pseudoHeader(
            source: source, destination: destination, protocol: `protocol`.rawValue,
            length: headerLength + payload.count)
        segment.storeBigEndian(UInt16(0), at: `protocol`.checksumOffset)
        let header = Checksum.sum(UnsafeRawBufferPointer(start: segment, count: headerLength), initial: pseudo)
        store(Checksum.finish(Checksum.add(header, payload.sum)), at: segment, protocol: `protocol`)
    }

    /// The pseudo-header's sum alone, for a packet that goes out with `VirtioHeader.needsChecksum`.
    ///
    /// - Parameter length: bytes of transport header and payload; of the whole super-segment.
    public static func setPartialChecksum(
        at segment: UnsafeMutableRawPointer, length: Int, protocol: TransportProtocol, source: IPAddress,
        destination: IPAddress
    ) {
        let pseudo = Checksum.pseudoHeader(
            source: source, destination: destination, protocol: `protocol`.rawValue, length: length)
        segment.storeBigEndian(Checksum.fold(pseudo), at: `protocol`.checksumOffset)
    }

    private static func store(_ checksum: UInt16, at segment: UnsafeMutableRawPointer, protocol: TransportProtocol) {
        // UDP writes 0xFFFF for a sum of zero: zero says "no checksum" (RFC 768).
        let value = `protocol` == .udp && checksum == 0 ? 0xFFFF : checksum
        segment.storeBigEndian(value, at: `protocol`.checksumOffset)
    }
}

import Primitives

/// A UDP header (RFC 768).
public struct UDPHeader: Equatable, Sendable {
    public enum ParseError: Error, Equatable {
        /// Fewer bytes than the header, or than its length field says.
        case truncated
        /// A length field below the header's own eight bytes.
        case badLength
    }

    public static let byteCount = 8
    /// Offset of the checksum field.
    public static let checksumOffset = 6

    public var sourcePort: UInt16
    public var destinationPort: UInt16
    /// Bytes of header and payload; what follows in the packet is padding.
    public var length: Int
    /// Zero: the sender made none. Allowed over IPv4 only (RFC 8200, section 8.1).
    public var checksum: UInt16

    /// Decodes the header at the start of the span, which is the rest of the packet.
    ///
    /// A super-segment (`VirtioHeader.GSOType.udpL4`) carries the length of the whole.
    public static func parse(_ datagram: RawSpan) throws(ParseError) -> UDPHeader {
        guard datagram.byteCount >= byteCount else { throw .truncated }
        let length = Int(datagram.bigEndian(at: 4, as: UInt16.self))
        guard length >= byteCount else { throw .badLength }
        guard length <= datagram.byteCount else { throw .truncated }
        return UDPHeader(
            sourcePort: datagram.bigEndian(at: 0, as: UInt16.self),
            destinationPort: datagram.bigEndian(at: 2, as: UInt16.self), length: length,
            checksum: datagram.bigEndian(at: 6, as: UInt16.self))
    }
}

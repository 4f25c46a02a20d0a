import Primitives

/// The control bits of a TCP header (RFC 9293, section 3.1; RFC 3168 for ECE and CWR).
public struct TCPFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let fin = TCPFlags(rawValue: 1)
    public static let syn = TCPFlags(rawValue: 2)
    public static let rst = TCPFlags(rawValue: 4)
    public static let psh = TCPFlags(rawValue: 8)
    public static let ack = TCPFlags(rawValue: 16)
    public static let urg = TCPFlags(rawValue: 32)
    public static let ece = TCPFlags(rawValue: 64)
    public static let cwr = TCPFlags(rawValue: 128)
}

/// A TCP header with its options (RFC 9293, section 3.1).
public struct TCPHeader: Equatable, Sendable {
    public enum ParseError: Error, Equatable {
        /// Fewer bytes than the header needs.
        case truncated
        /// A data offset below five words.
        case badHeaderLength
    }

    @inlinable public static var minimumLength: Int { 20 }
    @inlinable public static var maximumLength: Int { 60 }
    /// Offset of the checksum field.
    public static let checksumOffset = 16

    public var sourcePort: UInt16
    public var destinationPort: UInt16
    public var sequence: SequenceNumber
    /// Meaningless without the ACK flag.
    public var acknowledgment: SequenceNumber
    public var flags: TCPFlags
    /// As on the wire, not scaled.
    public var window: UInt16
    public var checksum: UInt16
    public var urgentPointer: UInt16
    /// Offset of the payload in the segment.
    public var headerLength: Int
    public var options: TCPOptions

    @inlinable init(
        sourcePort: UInt16, destinationPort: UInt16, sequence: SequenceNumber, acknowledgment: SequenceNumber,
        flags: TCPFlags, window: UInt16, checksum: UInt16, urgentPointer: UInt16, headerLength: Int, options: TCPOptions
    ) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.sequence = sequence
        self.acknowledgment = acknowledgment
        self.flags = flags
        self.window = window
        self.checksum = checksum
        self.urgentPointer = urgentPointer
        self.headerLength = headerLength
        self.options = options
    }

    /// Decodes the header at the start of the span; the checksum is not checked (see `Checksum.isValid`).
    @inlinable @inline(__always) public static func parse(_ segment: RawSpan) throws(ParseError) -> TCPHeader {
        guard segment.byteCount >= minimumLength else { throw .truncated }
        let headerLength = Int(segment.byte(at: 12) >> 4) * 4
        guard headerLength >= minimumLength else { throw .badHeaderLength }
        guard headerLength <= segment.byteCount else { throw .truncated }
        return TCPHeader(
            sourcePort: segment.bigEndian(at: 0, as: UInt16.self),
            destinationPort: segment.bigEndian(at: 2, as: UInt16.self),
            sequence: SequenceNumber(segment.bigEndian(at: 4, as: UInt32.self)),
            acknowledgment: SequenceNumber(segment.bigEndian(at: 8, as: UInt32.self)),
            flags: TCPFlags(rawValue: segment.byte(at: 13)),
            window: segment.bigEndian(at: 14, as: UInt16.self),
            checksum: segment.bigEndian(at: 16, as: UInt16.self),
            urgentPointer: segment.bigEndian(at: 18, as: UInt16.self),
            headerLength: headerLength,
            options: TCPOptions(segment.extracting(minimumLength..<headerLength)))
    }
}

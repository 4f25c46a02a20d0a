import Primitives

/// The first eight bytes of an ICMP message (RFC 792) or ICMPv6 message (RFC 4443).
public struct ICMPHeader: Equatable, Sendable {
    public enum ParseError: Error, Equatable {
        case truncated
    }

    public static let byteCount = 8
    /// Offset of the checksum field.
    public static let checksumOffset = 2

    /// ICMP types for IPv4.
    public enum TypeV4 {
        public static let echoReply: UInt8 = 0
        public static let destinationUnreachable: UInt8 = 3
        public static let sourceQuench: UInt8 = 4
        public static let redirect: UInt8 = 5
        public static let echoRequest: UInt8 = 8
        public static let timeExceeded: UInt8 = 11
        public static let parameterProblem: UInt8 = 12
    }

    /// ICMPv6 types.
    public enum TypeV6 {
        public static let destinationUnreachable: UInt8 = 1
        public static let packetTooBig: UInt8 = 2
        public static let timeExceeded: UInt8 = 3
        public static let parameterProblem: UInt8 = 4
        public static let echoRequest: UInt8 = 128
        public static let echoReply: UInt8 = 129
    }

    public var type: UInt8
    public var code: UInt8
    public var checksum: UInt16
    /// The last four bytes: identifier and sequence of an echo, MTU of "packet too big", else unused.
    public var rest: UInt32

    /// Of an echo request or reply.
    @inlinable public var identifier: UInt16 { UInt16(truncatingIfNeeded: rest >> 16) }
    /// Of an echo request or reply.
    @inlinable public var sequence: UInt16 { UInt16(truncatingIfNeeded: rest) }

    /// Decodes the header at the start of the span; what follows from `byteCount` is the echo's data or the quoted
    /// packet of an error (see `IPHeader.parseQuoted`).
    public static func parse(_ message: RawSpan) throws(ParseError) -> ICMPHeader {
        guard message.byteCount >= byteCount else { throw .truncated }
        return ICMPHeader(
            type: message.byte(at: 0), code: message.byte(at: 1), checksum: message.bigEndian(at: 2, as: UInt16.self),
            rest: message.bigEndian(at: 4, as: UInt32.self))
    }

    /// An error message, about which no error message may be sent (RFC 1122, section 3.2.2; RFC 4443, section 2.4).
    public func isError(isIPv4: Bool) -> Bool {
        guard isIPv4 else { return type < 128 }
        return switch type {
        case TypeV4.destinationUnreachable, TypeV4.sourceQuench, TypeV4.redirect, TypeV4.timeExceeded,
            TypeV4.parameterProblem:
            true
        default: false
        }
    }

    public func isEchoRequest(isIPv4: Bool) -> Bool {
        type == (isIPv4 ? TypeV4.echoRequest : TypeV6.echoRequest) && code == 0
    }

    public func isEchoReply(isIPv4: Bool) -> Bool {
        type == (isIPv4 ? TypeV4.echoReply : TypeV6.echoReply) && code == 0
    }
}

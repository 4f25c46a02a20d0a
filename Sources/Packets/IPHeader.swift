import Primitives

/// The headers of an IPv4 or IPv6 packet, up to the upper layer.
public struct IPHeader: Equatable, Sendable {
    public enum ParseError: Error, Equatable {
        /// Fewer bytes than the headers need, or than the total length says.
        case truncated
        case badVersion
        /// A header length below the minimum, or beyond the packet's total length.
        case badLength
        /// IPv4 only.
        case badHeaderChecksum
        /// More than `maximumExtensionHeaders` of IPv6.
        case tooManyExtensionHeaders
    }

    /// The most IPv6 extension headers that are walked; no sender of good will comes near.
    public static let maximumExtensionHeaders = 8

    public var source: IPAddress
    public var destination: IPAddress
    /// The upper layer's, after IPv6's extension headers.
    public var `protocol`: UInt8
    /// Offset of the upper-layer header: IPv4's options and IPv6's extension headers are before it.
    public var headerLength: Int
    /// Bytes of the whole packet; what follows in the buffer is padding.
    public var totalLength: Int
    /// TTL in IPv4.
    public var hopLimit: UInt8
    /// DSCP and ECN (RFC 2474, RFC 3168).
    public var trafficClass: UInt8
    /// IPv4's identification, or the one of IPv6's fragment header; else 0.
    public var identification: UInt32
    /// IPv4's DF; always true for IPv6.
    public var dontFragment: Bool
    /// Bytes of the original payload before this fragment's.
    public var fragmentOffset: Int
    public var moreFragments: Bool

    @inlinable public var isFragment: Bool { moreFragments || fragmentOffset != 0 }
    @inlinable public var isIPv4: Bool { source.isIPv4 }
    /// Where the upper-layer header and its payload lie in the packet.
    @inlinable public var upperLayer: Range<Int> { headerLength..<totalLength }

    @inlinable init(
        source: IPAddress, destination: IPAddress, protocol: UInt8, headerLength: Int, totalLength: Int,
        hopLimit: UInt8,
        trafficClass: UInt8, identification: UInt32, dontFragment: Bool, fragmentOffset: Int, moreFragments: Bool
    ) {
        self.source = source
        self.destination = destination
        self.protocol = `protocol`
        self.headerLength = headerLength
        self.totalLength = totalLength
        self.hopLimit = hopLimit
        self.trafficClass = trafficClass
        self.identification = identification
        self.dontFragment = dontFragment
        self.fragmentOffset = fragmentOffset
        self.moreFragments = moreFragments
    }

    /// Checks and decodes the headers of the packet at the start of the span.
    @inlinable @inline(__always) public static func parse(_ packet: RawSpan) throws(ParseError) -> IPHeader {
        try parse(packet, isQuoted: false)
    }

    /// Decodes the start of a packet as an ICMP error quotes it: cut off, its header checksum perhaps outdated.
    /// `totalLength` is what the sender wrote and may lie beyond the span; `headerLength` lies within it.
    public static func parseQuoted(_ packet: RawSpan) throws(ParseError) -> IPHeader {
        try parse(packet, isQuoted: true)
    }

    @inlinable @inline(__always) static func parse(_ packet: RawSpan, isQuoted: Bool) throws(ParseError) -> IPHeader {
        guard packet.byteCount > 0 else { throw .truncated }
        switch packet.byte(at: 0) >> 4 {
        case 4: return try parseIPv4(packet, isQuoted: isQuoted)
        case 6: return try parseIPv6(packet, isQuoted: isQuoted)
        default: throw .badVersion
        }
    }
}

// MARK: - IPv4 (RFC 791, section 3.1)

extension IPHeader {
    @inlinable @inline(__always) static func parseIPv4(_ packet: RawSpan, isQuoted: Bool) throws(ParseError) -> IPHeader
    {
        guard packet.byteCount >= 20 else { throw .truncated }
        let headerLength = Int(packet.byte(at: 0) & 15) * 4
        let totalLength = Int(packet.bigEndian(at: 2, as: UInt16.self))
        guard headerLength >= 20, headerLength <= totalLength else { throw .badLength }
        guard headerLength <= packet.byteCount else { throw .truncated }
        if !isQuoted {
            guard totalLength <= packet.byteCount else { throw .truncated }
            let sum = packet.withUnsafeBytes { bytes in
                headerLength == 20
                    ? Checksum.sumOfIPv4Header(bytes.baseAddress!)
                    : Checksum.sum(UnsafeRawBufferPointer(rebasing: bytes[..<headerLength]))
            }
            guard Checksum.fold(sum) == 0xFFFF else { throw .badHeaderChecksum }
        }
        let fragment = packet.bigEndian(at: 6, as: UInt16.self)
        return IPHeader(
            source: .v4(IPv4Address(packet.bigEndian(at: 12, as: UInt32.self))),
            destination: .v4(IPv4Address(packet.bigEndian(at: 16, as: UInt32.self))),
            protocol: packet.byte(at: 9), headerLength: headerLength, totalLength: totalLength,
            hopLimit: packet.byte(at: 8), trafficClass: packet.byte(at: 1),
            identification: UInt32(packet.bigEndian(at: 4, as: UInt16.self)),
            dontFragment: fragment & 0x4000 != 0, fragmentOffset: Int(fragment & 0x1FFF) * 8,
            moreFragments: fragment & 0x2000 != 0)
    }
}

// MARK: - IPv6 (RFC 8200, sections 3 and 4)

extension IPHeader {
    @usableFromInline static func parseIPv6(_ packet: RawSpan, isQuoted: Bool) throws(ParseError) -> IPHeader {
        guard packet.byteCount >= 40 else { throw .truncated }
        let word = packet.bigEndian(at: 0, as: UInt32.self)
        let totalLength = 40 + Int(packet.bigEndian(at: 4, as: UInt16.self))
        guard isQuoted || totalLength <= packet.byteCount else { throw .truncated }
        var header = IPHeader(
            source: .v6(ipv6Address(packet, at: 8)), destination: .v6(ipv6Address(packet, at: 24)),
            protocol: packet.byte(at: 6), headerLength: 40, totalLength: totalLength,
            hopLimit: packet.byte(at: 7), trafficClass: UInt8(truncatingIfNeeded: word >> 20),
            identification: 0, dontFragment: true, fragmentOffset: 0, moreFragments: false)
        try header.walkExtensions(packet)
        return header
    }

    /// Moves `protocol` and `headerLength` past the extension headers.
    private mutating func walkExtensions(_ packet: RawSpan) throws(ParseError) {
        for _ in 0...Self.maximumExtensionHeaders {
            switch `protocol` {
            case IPProtocol.hopByHopOptions, IPProtocol.routing, IPProtocol.destinationOptions:
                try skipExtension(packet, isFragmentHeader: false)
            case IPProtocol.fragment:
                let at = headerLength
                try skipExtension(packet, isFragmentHeader: true)
                let field = packet.bigEndian(at: at + 2, as: UInt16.self)
                fragmentOffset = Int(field & 0xFFF8)
                moreFragments = field & 1 != 0
                identification = packet.bigEndian(at: at + 4, as: UInt32.self)
                // What follows in a later fragment is payload, whatever the next header says (section 4.5).
                if fragmentOffset != 0 { return }
            default:
                return
            }
        }
        throw .tooManyExtensionHeaders
    }

    private mutating func skipExtension(_ packet: RawSpan, isFragmentHeader: Bool) throws(ParseError) {
        guard headerLength + 8 <= totalLength else { throw .badLength }
        guard headerLength + 8 <= packet.byteCount else { throw .truncated }
        let length = isFragmentHeader ? 8 : 8 + Int(packet.byte(at: headerLength + 1)) * 8
        guard headerLength + length <= totalLength else { throw .badLength }
        guard headerLength + length <= packet.byteCount else { throw .truncated }
        `protocol` = packet.byte(at: headerLength)
        headerLength += length
    }

    private static func ipv6Address(_ packet: RawSpan, at offset: Int) -> IPv6Address {
        IPv6Address(
            high: packet.bigEndian(at: offset, as: UInt64.self), low: packet.bigEndian(at: offset + 8, as: UInt64.self))
    }
}

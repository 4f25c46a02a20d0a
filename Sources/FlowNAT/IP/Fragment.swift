import Packets
import Primitives

/// What fragments of one datagram have in common: RFC 791, section 2.3; RFC 8200, section 4.5.
struct FragmentKey: Equatable {
    var identification: UInt32
    var source: IPAddress
    var destination: IPAddress
    /// IPv4's; zero for IPv6, where the identification stands alone.
    var `protocol`: UInt8
}

/// Where the parts of a fragment lie.
struct Fragment {
    let key: FragmentKey
    /// What every fragment repeats, and IPv6's fragment header.
    let headerLength: Int
    /// IPv6: offset of the byte that says that a fragment header follows.
    let nextHeaderField: Int
    /// IPv6: what follows the fragment header.
    let nextHeader: UInt8
    /// Where the bytes belong in the datagram: offset and end.
    let start: Int
    let end: Int
    let isLast: Bool
    let trafficClass: UInt8
    /// The first fragment holds the whole transport header: no filter can be fooled by what is not there yet
    /// (RFC 1858, section 3; RFC 7112, section 5).
    let holdsTransportHeader: Bool

    var isFirst: Bool { start == 0 }
    var length: Int { end - start }

    /// - Parameters:
    ///   - ip: the fragment's headers as they were parsed.
    ///   - packet: the fragment from its IP header on.
    /// - Returns: nil when it is malformed: no payload, one of odd size before the last, or headers in disorder.
    init?(_ ip: IPHeader, _ packet: RawSpan) {
        var headerLength = ip.headerLength
        var nextHeaderField = 0
        var nextHeader = ip.protocol
        if !ip.isIPv4 {
            guard let at = Self.fragmentHeader(in: packet, nextHeaderField: &nextHeaderField) else { return nil }
            headerLength = at + Self.fragmentHeaderLength
            nextHeader = packet.byte(at: at)
            // Two fragment headers: the walk found the first, the parser keeps the last.
            let field = packet.bigEndian(at: at + 2, as: UInt16.self)
            guard nextHeader != IPProtocol.fragment, Int(field & 0xFFF8) == ip.fragmentOffset,
                (field & 1 != 0) == ip.moreFragments,
                packet.bigEndian(at: at + 4, as: UInt32.self) == ip.identification
            else { return nil }
        }
        let length = ip.totalLength - headerLength
        guard length > 0, !ip.moreFragments || length % 8 == 0 else { return nil }
        self.headerLength = headerLength
        self.nextHeaderField = nextHeaderField
        self.nextHeader = nextHeader
        start = ip.fragmentOffset
        end = ip.fragmentOffset + length
        isLast = !ip.moreFragments
        trafficClass = ip.trafficClass
        holdsTransportHeader = ip.totalLength - ip.headerLength >= Self.transportHeaderLength(ip.protocol)
        key = FragmentKey(
            identification: ip.identification, source: ip.source, destination: ip.destination,
            protocol: ip.isIPv4 ? ip.protocol : 0)
    }

    static let fragmentHeaderLength = 8

    private static func transportHeaderLength(_ number: UInt8) -> Int {
        number == IPProtocol.tcp ? TCPHeader.minimumLength : 8
    }

    /// Offset of the first fragment header. The parser has walked the same way and checked the lengths.
    private static func fragmentHeader(in packet: RawSpan, nextHeaderField: inout Int) -> Int? {
        nextHeaderField = 6
        var at = PacketWriter.ipv6HeaderLength
        for _ in 0...IPHeader.maximumExtensionHeaders where at + fragmentHeaderLength <= packet.byteCount {
            switch packet.byte(at: nextHeaderField) {
            case IPProtocol.fragment:
                return at
            case IPProtocol.hopByHopOptions, IPProtocol.routing, IPProtocol.destinationOptions:
                nextHeaderField = at
                at += 8 + Int(packet.byte(at: at + 1)) * 8
            default:
                return nil
            }
        }
        return nil
    }
}

import Packets
import Primitives

/// An ICMP error about a packet that we sent: RFC 792, RFC 1191, RFC 4443.
struct ICMPError {
    enum Kind: Equatable {
        /// "Hard" in the sense of RFC 1122, section 4.2.3.9, and RFC 5461, section 2.1: nobody is there for this protocol or port.
        case unreachable(isHard: Bool)
        /// - Parameter mtu: what the next hop takes; zero where the router is too old to say (RFC 1191, section 5).
        case packetTooBig(mtu: Int)
        /// Time exceeded, parameter problem.
        case other
    }

    let kind: Kind
    let type: UInt8
    let code: UInt8
    /// Of the quoted packet: TCP, UDP or another.
    let `protocol`: UInt8
    /// The far end for which we spoke, and the application that was spoken to.
    let remote: Endpoint
    let application: Endpoint
    /// TCP's; nothing of meaning with UDP.
    let sequence: SequenceNumber
    /// Bytes of the quoted packet as it was sent.
    let quotedLength: Int

    /// - Parameter message: from the ICMP header on, its checksum checked.
    /// - Returns: nil when there is nothing in it that could be acted on.
    init?(_ icmp: ICMPHeader, _ message: RawSpan, isIPv4: Bool) {
        guard let kind = Self.kind(icmp, isIPv4: isIPv4) else { return nil }
        let quoted = message.extracting(ICMPHeader.byteCount..<message.byteCount)
        // Eight bytes behind the IP header: ports, and TCP's sequence number.
        guard let ip = try? IPHeader.parseQuoted(quoted), ip.isIPv4 == isIPv4, ip.fragmentOffset == 0,
            quoted.byteCount >= ip.headerLength + 8
        else { return nil }
        self.kind = kind
        type = icmp.type
        code = icmp.code
        `protocol` = ip.protocol
        remote = Endpoint(ip.source, quoted.bigEndian(at: ip.headerLength, as: UInt16.self))
        application = Endpoint(ip.destination, quoted.bigEndian(at: ip.headerLength + 2, as: UInt16.self))
        sequence = SequenceNumber(quoted.bigEndian(at: ip.headerLength + 4, as: UInt32.self))
        quotedLength = ip.totalLength
    }

    /// Nil for what is not to be acted on: redirects, and source quench (RFC 6633).
    private static func kind(_ icmp: ICMPHeader, isIPv4: Bool) -> Kind? {
        guard isIPv4 else {
            return switch icmp.type {
            case ICMPHeader.TypeV6.destinationUnreachable: .unreachable(isHard: icmp.code == 1 || icmp.code == 4)
            case ICMPHeader.TypeV6.packetTooBig: .packetTooBig(mtu: Int(icmp.rest))
            case ICMPHeader.TypeV6.timeExceeded, ICMPHeader.TypeV6.parameterProblem: .other
            default: nil
            }
        }
        return switch (icmp.type, icmp.code) {
        case (ICMPHeader.TypeV4.destinationUnreachable, 4): .packetTooBig(mtu: Int(icmp.rest & 0xFFFF))
        case (ICMPHeader.TypeV4.destinationUnreachable, let code): .unreachable(isHard: code == 2 || code == 3)
        case (ICMPHeader.TypeV4.timeExceeded, _), (ICMPHeader.TypeV4.parameterProblem, _): .other
        default: nil
        }
    }

    /// What a packet may have from now on; nil when the error says nothing that can be believed.
    ///
    /// - Parameter current: bytes of the largest packet until now.
    func pathMTU(current: Int) -> Int? {
        guard case .packetTooBig(let told) = kind else { return nil }
        let isIPv4 = remote.address.isIPv4
        // RFC 1191, section 7.1: the plateau below what did not fit.
        let mtu = told == 0 && isIPv4 ? Self.plateaus.first { $0 < quotedLength } ?? 0 : told
        if !isIPv4, mtu < Self.minimumV6 { return nil }  // RFC 8201, section 4
        let floored = isIPv4 ? max(mtu, Self.minimumV4) : mtu
        return floored < current ? floored : nil
    }

    private static let plateaus = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508]
    /// No smaller, whatever is said, or strangers could make us send mostly headers. Linux's own floor
    /// (`net.ipv4.route.min_pmtu`).
    static let minimumV4 = 552
    static let minimumV6 = 1_280
}

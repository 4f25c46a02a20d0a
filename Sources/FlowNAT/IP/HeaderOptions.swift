import Packets
import Primitives

/// Looks through IPv4's options and IPv6's extension headers for what must not be followed. Packets without either never
/// come here.
enum HeaderOptions {
    enum Verdict: Equatable {
        case harmless
        /// The sender chooses the way: RFC 7126, sections 4.3 and 4.4 (LSRR, SSRR); RFC 5095 (routing header).
        case sourceRouted
        /// An option that says of itself that whoever does not know it drops the packet (RFC 8200, section 4.2).
        case unknownOption
        case malformed
    }

    /// - Parameter ip: of `packet`, whose header is longer than the fixed one.
    static func examine(_ ip: IPHeader, _ packet: RawSpan) -> Verdict {
        ip.isIPv4
            ? examineIPv4(packet.extracting(PacketWriter.ipv4HeaderLength..<ip.headerLength))
            : examineIPv6(ip, packet)
    }

    // MARK: - IPv4 (RFC 791, section 3.1)

    private static func examineIPv4(_ options: RawSpan) -> Verdict {
        var at = 0
        while at < options.byteCount {
            switch options.byte(at: at) {
            case endOfOptions: return .harmless
            case noOperation: at += 1
            case looseSourceRoute, strictSourceRoute: return .sourceRouted
            default:
                guard at + 2 <= options.byteCount else { return .malformed }
                let length = Int(options.byte(at: at + 1))
                guard length >= 2, at + length <= options.byteCount else { return .malformed }
                at += length
            }
        }
        return .harmless
    }

    private static let endOfOptions: UInt8 = 0
    private static let noOperation: UInt8 = 1
    private static let looseSourceRoute: UInt8 = 131
    private static let strictSourceRoute: UInt8 = 137

    // MARK: - IPv6 (RFC 8200, section 4)

    private static func examineIPv6(_ ip: IPHeader, _ packet: RawSpan) -> Verdict {
        var next = packet.byte(at: 6)
        var at = PacketWriter.ipv6HeaderLength
        // The parser has walked the same headers and checked their lengths.
        while at + 8 <= ip.headerLength {
            let length = next == IPProtocol.fragment ? 8 : 8 + Int(packet.byte(at: at + 1)) * 8
            guard at + length <= ip.headerLength else { return .malformed }
            switch next {
            case IPProtocol.routing:
                // Segments left: the packet has not arrived where it wants to be seen, whatever the type.
                if packet.byte(at: at + 3) != 0 { return .sourceRouted }
            case IPProtocol.hopByHopOptions, IPProtocol.destinationOptions:
                // Hop-by-hop options stand first or not at all (section 4.1).
                if next == IPProtocol.hopByHopOptions, at != PacketWriter.ipv6HeaderLength { return .malformed }
                let verdict = examineOptions(packet.extracting(at + 2..<at + length))
                if verdict != .harmless { return verdict }
            default:
                break
            }
            next = packet.byte(at: at)
            at += length
        }
        return .harmless
    }

    private static func examineOptions(_ options: RawSpan) -> Verdict {
        var at = 0
        while at < options.byteCount {
            let kind = options.byte(at: at)
            if kind == padOne {
                at += 1
                continue
            }
            // The two highest bits: 00 means that strangers skip the option.
            guard kind >> 6 == 0 else { return .unknownOption }
            guard at + 2 <= options.byteCount else { return .malformed }
            at += 2 + Int(options.byte(at: at + 1))
            guard at <= options.byteCount else { return .malformed }
        }
        return .harmless
    }

    private static let padOne: UInt8 = 0
}

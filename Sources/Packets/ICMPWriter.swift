import Primitives

/// Why a destination cannot be reached, apart from the family's codes.
public enum UnreachableReason: Sendable, CaseIterable {
    case network
    case host
    case port
    case administrativelyProhibited
    case noRoute
    case address

    /// RFC 792 and RFC 1812, section 5.2.7.1.
    public var codeV4: UInt8 {
        switch self {
        case .network, .noRoute: 0
        case .host, .address: 1
        case .port: 3
        case .administrativelyProhibited: 13
        }
    }

    /// RFC 4443, section 3.1.
    public var codeV6: UInt8 {
        switch self {
        case .network, .noRoute: 0
        case .administrativelyProhibited: 1
        case .host, .address: 3
        case .port: 4
        }
    }
}

/// Writes whole ICMP and ICMPv6 packets, IP header included.
public enum ICMPWriter {
    /// The most bytes of an error message with its IP header: RFC 1812, section 4.3.2.3.
    public static let maximumErrorV4 = 576
    /// The minimum MTU of IPv6: RFC 4443, section 2.4(c).
    public static let maximumErrorV6 = 1280

    /// Tells the sender of `original` that it cannot be delivered.
    ///
    /// - Parameters:
    ///   - original: the whole packet from its IP header on; not in the memory of `output`.
    ///   - source: who reports, of the original's family.
    /// - Returns: the packet's length, or 0 when no error may be sent about the original (see `mayReport`), the
    ///   families differ, or `output` is too small.
    public static func destinationUnreachable(
        code reason: UnreachableReason, quoting original: RawSpan, from source: IPAddress,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        source.isIPv4
            ? error(
                type: ICMPHeader.TypeV4.destinationUnreachable, code: reason.codeV4, rest: 0, quoting: original,
                from: source, into: output)
            : error(
                type: ICMPHeader.TypeV6.destinationUnreachable, code: reason.codeV6, rest: 0, quoting: original,
                from: source, into: output)
    }

    /// Tells the sender of `original` the MTU that it does not fit (RFC 1191, section 4; RFC 4443, section 3.2).
    ///
    /// Parameters and result as with `destinationUnreachable`.
    public static func packetTooBig(
        mtu: Int, quoting original: RawSpan, from source: IPAddress, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        source.isIPv4
            ? error(
                type: ICMPHeader.TypeV4.destinationUnreachable, code: 4, rest: UInt32(UInt16(clamping: mtu)),
                quoting: original, from: source, into: output)
            : error(
                type: ICMPHeader.TypeV6.packetTooBig, code: 0, rest: UInt32(clamping: mtu), quoting: original,
                from: source, into: output)
    }

    /// Tells the sender of a fragment that the others did not come in time (RFC 792; RFC 4443, section 3.3).
    ///
    /// - Parameter original: the first fragment; about later ones nothing may be said.
    ///
    /// Source, memory and result as with `destinationUnreachable`.
    public static func reassemblyTimeExceeded(
        quoting original: RawSpan, from source: IPAddress, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        error(
            type: source.isIPv4 ? ICMPHeader.TypeV4.timeExceeded : ICMPHeader.TypeV6.timeExceeded, code: 1, rest: 0,
            quoting: original, from: source, into: output)
    }

    /// An echo request or reply with its data.
    /// - Returns: the packet's length, or 0 when it does not fit or the families differ.
    public static func echo(
        isReply: Bool, identifier: UInt16, sequence: UInt16, data: RawSpan, from source: IPAddress,
        to destination: IPAddress, hopLimit: UInt8 = 64, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        guard source.isIPv4 == destination.isIPv4 else { return 0 }
        let type =
            source.isIPv4
            ? (isReply ? ICMPHeader.TypeV4.echoReply : ICMPHeader.TypeV4.echoRequest)
            : (isReply ? ICMPHeader.TypeV6.echoReply : ICMPHeader.TypeV6.echoRequest)
        return message(
            type: type, code: 0, rest: UInt32(identifier) << 16 | UInt32(sequence), body: data, from: source,
            to: destination, hopLimit: hopLimit, into: output)
    }

    /// Whether an error may be sent about this packet (RFC 1122, section 3.2.2; RFC 4443, section 2.4(e)): it is no
    /// ICMP error itself, no later fragment, and goes from one host to one host.
    public static func mayReport(_ header: IPHeader, _ packet: RawSpan) -> Bool {
        guard isOneHost(header.source), !header.source.isUnspecified, !header.source.isLoopback,
            isOneHost(header.destination), header.fragmentOffset == 0
        else { return false }
        guard header.protocol == (header.isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6) else { return true }
        guard let icmp = try? ICMPHeader.parse(packet.extracting(header.upperLayer)) else { return false }
        return !icmp.isError(isIPv4: header.isIPv4)
    }

    private static func isOneHost(_ address: IPAddress) -> Bool {
        if case .v4(let a) = address, a.value == 0xFFFF_FFFF { return false }
        return !address.isMulticast
    }

    private static func error(
        type: UInt8, code: UInt8, rest: UInt32, quoting original: RawSpan, from source: IPAddress,
        into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        guard let header = try? IPHeader.parse(original), header.isIPv4 == source.isIPv4, mayReport(header, original)
        else { return 0 }
        let limit = source.isIPv4 ? maximumErrorV4 : maximumErrorV6
        let room = limit - PacketWriter.ipHeaderLength(isIPv4: source.isIPv4) - ICMPHeader.byteCount
        return message(
            type: type, code: code, rest: rest, body: original.extracting(0..<min(header.totalLength, room)),
            from: source, to: header.source, hopLimit: 64, into: output)
    }

    private static func message(
        type: UInt8, code: UInt8, rest: UInt32, body: RawSpan, from source: IPAddress, to destination: IPAddress,
        hopLimit: UInt8, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        let isIPv4 = source.isIPv4
        let length = ICMPHeader.byteCount + body.byteCount
        let total = PacketWriter.ipHeaderLength(isIPv4: isIPv4) + length
        guard let memory = output.baseAddress, total <= output.count, total <= 0xFFFF else { return 0 }
        let icmp =
            memory
            + PacketWriter.writeIPHeader(
                to: memory, source: source, destination: destination,
                protocol: isIPv4 ? IPProtocol.icmp : IPProtocol.icmpv6, payloadLength: length, hopLimit: hopLimit)
        icmp.storeBigEndian(UInt16(type) << 8 | UInt16(code), at: 0)
        icmp.storeBigEndian(UInt16(0), at: 2)
        icmp.storeBigEndian(rest, at: 4)
        body.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress {
                (icmp + ICMPHeader.byteCount).copyMemory(from: start, byteCount: bytes.count)
            }
        }
        if isIPv4 {
            let sum = Checksum.sum(UnsafeRawBufferPointer(start: icmp, count: length))
            icmp.storeBigEndian(Checksum.finish(sum), at: ICMPHeader.checksumOffset)
        } else {
            PacketWriter.setChecksum(
                at: icmp, length: length, protocol: .icmpv6, source: source, destination: destination)
        }
        return total
    }
}

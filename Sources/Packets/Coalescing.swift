import Primitives

/// Joins consecutive TCP segments of one flow into a super-segment (GRO), for paths where no kernel did.
///
/// Segments are joined when splitting the result gives them back: same headers but for the sequence number, options the
/// same byte for byte, sizes equal but for a last smaller one; PSH or FIN ends the super-segment. One flow at a time:
/// whoever has several interleaved takes what is there and begins anew.
public struct Coalescing: ~Copyable {
    public enum Outcome: Equatable, Sendable {
        /// The segment is the first of a new super-segment.
        case started
        case joined
        /// The segment does not follow what is there, which must be taken first; the segment was not copied.
        case mustFlush
        /// Nothing is there, and this packet can begin nothing: pass it on alone.
        case notEligible
    }

    /// An IP packet cannot say more.
    public static let maximumLength = 65_535

    private let memory: UnsafeMutableRawPointer
    private let capacity: Int
    private var ip: IPHeader?
    private var tcp: TCPHeader?
    private var length = 0
    private var segmentSize = 0
    private var segments = 0
    /// After PSH, FIN or a smaller segment nothing may follow.
    private var isComplete = false

    /// - Parameter buffer: where the super-segment grows; it outlives this value.
    public init(buffer: UnsafeMutableRawBufferPointer) {
        precondition(buffer.count > 0, "a buffer of no bytes")
        memory = buffer.baseAddress!
        capacity = min(buffer.count, Self.maximumLength)
    }

    public var isEmpty: Bool { segments == 0 }

    /// Takes a segment over, if it fits to those before.
    ///
    /// - Parameters:
    ///   - packet: a whole packet with its checksum in place.
    ///   - checksumIsTrusted: somebody has checked it; else it is checked here, so that no damage is papered over.
    public mutating func append(_ packet: RawSpan, checksumIsTrusted: Bool = false) -> Outcome {
        guard let (newIP, newTCP) = Self.eligible(packet, checksumIsTrusted: checksumIsTrusted),
            newIP.totalLength <= capacity
        else { return isEmpty ? .notEligible : .mustFlush }
        guard let ip, let tcp else {
            start(packet, newIP, newTCP)
            return .started
        }
        let payload = newIP.upperLayer.count - newTCP.headerLength
        guard !isComplete, payload <= segmentSize, length + payload <= capacity, follows(newIP, newTCP, ip, tcp),
            repeatsBytes(packet, newIP, newTCP)
        else { return .mustFlush }
        let from = newIP.headerLength + newTCP.headerLength
        packet.withUnsafeBytes { bytes in
            (memory + length).copyMemory(from: bytes.baseAddress! + from, byteCount: payload)
        }
        length += payload
        segments += 1
        isComplete = payload < segmentSize || !newTCP.flags.isDisjoint(with: [.psh, .fin])
        let flags = tcp.flags.union(newTCP.flags)
        memory.storeBytes(of: flags.rawValue, toByteOffset: ip.headerLength + 13, as: UInt8.self)
        return .joined
    }

    /// The super-segment at the start of the buffer, whose checksum field holds the pseudo-header's sum, or the single
    /// segment as it came. Then the buffer is free again.
    /// - Returns: nil when there is none.
    public mutating func take() -> (length: Int, header: VirtioHeader)? {
        guard let ip, let tcp else { return nil }
        let result = (
            length: length, header: segments > 1 ? finish(ip, tcp) : VirtioHeader(flags: VirtioHeader.dataValid)
        )
        self.ip = nil
        self.tcp = nil
        segments = 0
        return result
    }

    private func finish(_ ip: IPHeader, _ tcp: TCPHeader) -> VirtioHeader {
        if ip.isIPv4 {
            memory.storeBigEndian(UInt16(truncatingIfNeeded: length), at: 2)
            PacketWriter.setIPv4HeaderChecksum(at: memory, headerLength: ip.headerLength)
        } else {
            memory.storeBigEndian(UInt16(truncatingIfNeeded: length - PacketWriter.ipv6HeaderLength), at: 4)
        }
        PacketWriter.setPartialChecksum(
            at: memory + ip.headerLength, length: length - ip.headerLength, protocol: .tcp, source: ip.source,
            destination: ip.destination)
        return .tcp(
            isIPv4: ip.isIPv4, ipHeaderLength: ip.headerLength, tcpHeaderLength: tcp.headerLength,
            payloadLength: length - ip.headerLength - tcp.headerLength, segmentSize: segmentSize)
    }

    private mutating func start(_ packet: RawSpan, _ newIP: IPHeader, _ newTCP: TCPHeader) {
        packet.withUnsafeBytes { bytes in
            memory.copyMemory(from: bytes.baseAddress!, byteCount: newIP.totalLength)
        }
        ip = newIP
        tcp = newTCP
        length = newIP.totalLength
        segmentSize = newIP.upperLayer.count - newTCP.headerLength
        segments = 1
        isComplete = !newTCP.flags.isDisjoint(with: [.psh, .fin])
    }

    /// Plain data segments: no fragment, no IP options or extension headers, no flags but ACK, PSH and FIN.
    private static func eligible(_ packet: RawSpan, checksumIsTrusted: Bool) -> (IPHeader, TCPHeader)? {
        guard let ip = try? IPHeader.parse(packet), ip.protocol == IPProtocol.tcp, !ip.isFragment, ip.dontFragment,
            ip.headerLength == PacketWriter.ipHeaderLength(isIPv4: ip.isIPv4)
        else { return nil }
        let segment = packet.extracting(ip.upperLayer)
        guard let tcp = try? TCPHeader.parse(segment), tcp.flags.contains(.ack),
            tcp.flags.isSubset(of: [.ack, .psh, .fin]), segment.byteCount > tcp.headerLength
        else { return nil }
        guard
            checksumIsTrusted
                || Checksum.isValid(
                    segment: segment, source: ip.source, destination: ip.destination, protocol: IPProtocol.tcp)
        else { return nil }
        return (ip, tcp)
    }

    /// Whether the segment is the next of the flow, with headers that repeat the first's.
    private func follows(_ newIP: IPHeader, _ newTCP: TCPHeader, _ ip: IPHeader, _ tcp: TCPHeader) -> Bool {
        newIP.source == ip.source && newIP.destination == ip.destination && newTCP.sourcePort == tcp.sourcePort
            && newTCP.destinationPort == tcp.destinationPort && newIP.hopLimit == ip.hopLimit
            && newIP.trafficClass == ip.trafficClass && newTCP.headerLength == tcp.headerLength
            && newTCP.acknowledgment == tcp.acknowledgment && newTCP.window == tcp.window
            && newTCP.sequence == tcp.sequence + (length - ip.headerLength - tcp.headerLength)
    }

    /// What the decoded headers do not show: IPv6's flow label and the TCP options.
    private func repeatsBytes(_ packet: RawSpan, _ newIP: IPHeader, _ newTCP: TCPHeader) -> Bool {
        func isSame(at offset: Int) -> Bool {
            packet.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
                == memory.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        }
        if !newIP.isIPv4, !isSame(at: 0) { return false }
        let start = newIP.headerLength + TCPHeader.minimumLength
        for at in stride(from: start, to: newIP.headerLength + newTCP.headerLength, by: 4) where !isSame(at: at) {
            return false
        }
        return true
    }
}

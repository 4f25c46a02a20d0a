import Primitives

/// What the TUN's offloads do, done in software: cutting super-segments (TSO, USO) and finishing checksums.
public enum Segmentation {
    public enum SplitError: Error, Equatable {
        /// No IP packet with a TCP or UDP header of the kind that the virtio header says.
        case malformed
        /// A super-segment without a segment size, or with SYN or RST set.
        case notDivisible
        /// The scratch memory does not hold one segment.
        case noRoom
    }

    /// Cuts a packet into segments, each with all of its checksums, and hands them to `body` one after the other.
    ///
    /// - Parameters:
    ///   - packet: the whole packet from its IP header on.
    ///   - header: what came with it; of type `.none`, the packet comes out as one segment with its checksum finished.
    ///   - scratch: memory for one segment, not the packet's own.
    /// - Returns: how many segments there were.
    @discardableResult
    public static func split(
        packet: RawSpan, header: VirtioHeader, scratch: UnsafeMutableRawBufferPointer,
        each body: (UnsafeRawBufferPointer) -> Void
    ) throws(SplitError) -> Int {
        var segmenter = try Segmenter(packet: packet, header: header)
        var count = 0
        while let length = try segmenter.next(of: packet, into: scratch) {
            body(UnsafeRawBufferPointer(rebasing: scratch[..<length]))
            count += 1
        }
        return count
    }

    /// Finishes the checksum of a packet with `VirtioHeader.needsChecksum`, in place (linux/virtio_net.h).
    /// - Returns: false, and nothing is written, when the header points outside the packet.
    public static func completeChecksum(packet: UnsafeMutableRawBufferPointer, header: VirtioHeader) -> Bool {
        guard header.flags & VirtioHeader.needsChecksum != 0 else { return true }
        let start = Int(header.checksumStart)
        let offset = Int(header.checksumOffset)
        guard start + offset + 2 <= packet.count else { return false }
        let sum = Checksum.finish(Checksum.sum(UnsafeRawBufferPointer(rebasing: packet[start...])))
        // Zero means "none" to UDP, and 0xFFFF is the same number in ones' complement (RFC 768).
        let checksum = sum == 0 && offset == UDPHeader.checksumOffset ? 0xFFFF : sum
        (packet.baseAddress! + start).storeBigEndian(checksum, at: offset)
        return true
    }
}

/// Cuts one super-segment, a segment a call. Holds no memory: the packet is handed in again each time.
///
/// Every segment repeats the headers. The sequence number and IPv4's identification go up; FIN and PSH stand on the
/// last segment alone, CWR on the first alone (RFC 3168, section 6.1.2).
public struct Segmenter: Sendable {
    private let ip: IPHeader
    /// The first segment's; nil when datagrams are cut or the packet stays whole.
    private let tcp: TCPHeader?
    private let header: VirtioHeader
    /// IP and transport headers.
    private let headerLength: Int
    private let segmentSize: Int
    /// The next payload byte to send, and how many segments went before it.
    private var offset: Int
    private var index = 0

    public init(packet: RawSpan, header: VirtioHeader) throws(Segmentation.SplitError) {
        guard let ip = try? IPHeader.parse(packet) else { throw .malformed }
        self.ip = ip
        self.header = header
        switch header.gsoType {
        case .none:
            tcp = nil
            headerLength = 0
            segmentSize = ip.totalLength
        case .tcpv4, .tcpv6:
            guard (header.gsoType == .tcpv4) == ip.isIPv4, ip.protocol == IPProtocol.tcp, !ip.isFragment,
                let tcp = try? TCPHeader.parse(packet.extracting(ip.upperLayer))
            else { throw .malformed }
            guard header.segmentSize > 0, tcp.flags.isDisjoint(with: [.syn, .rst]) else { throw .notDivisible }
            self.tcp = tcp
            headerLength = ip.headerLength + tcp.headerLength
            segmentSize = Int(header.segmentSize)
        case .udpL4:
            guard ip.protocol == IPProtocol.udp, !ip.isFragment, ip.upperLayer.count >= UDPHeader.byteCount else {
                throw .malformed
            }
            guard header.segmentSize > 0 else { throw .notDivisible }
            tcp = nil
            headerLength = ip.headerLength + UDPHeader.byteCount
            segmentSize = Int(header.segmentSize)
        case .udp:
            throw .notDivisible
        }
        offset = headerLength
    }

    /// Writes the next segment to the start of `output`.
    /// - Parameter packet: the one that `init` got.
    /// - Returns: the segment's length; nil after the last.
    public mutating func next(
        of packet: RawSpan, into output: UnsafeMutableRawBufferPointer
    ) throws(Segmentation.SplitError) -> Int? {
        // A super-segment without payload is one segment all the same.
        guard offset < ip.totalLength || index == 0 else { return nil }
        guard packet.byteCount >= ip.totalLength else { throw .malformed }
        let size = min(segmentSize, ip.totalLength - offset)
        let length = headerLength + size
        guard let memory = output.baseAddress, length <= output.count else { throw .noRoom }
        packet.withUnsafeBytes { bytes in
            memory.copyMemory(from: bytes.baseAddress!, byteCount: headerLength)
            (memory + headerLength).copyMemory(from: bytes.baseAddress! + offset, byteCount: size)
        }
        let segment = UnsafeMutableRawBufferPointer(start: memory, count: length)
        if header.gsoType == .none {
            guard Segmentation.completeChecksum(packet: segment, header: header) else { throw .malformed }
        } else {
            amendIP(memory, length: length)
            amendTransport(memory + ip.headerLength, length: length - ip.headerLength)
        }
        offset += size
        index += 1
        return length
    }

    private func amendIP(_ memory: UnsafeMutableRawPointer, length: Int) {
        if ip.isIPv4 {
            memory.storeBigEndian(UInt16(truncatingIfNeeded: length), at: 2)
            memory.storeBigEndian(UInt16(truncatingIfNeeded: Int(ip.identification) + index), at: 4)
            PacketWriter.setIPv4HeaderChecksum(at: memory, headerLength: ip.headerLength)
        } else {
            memory.storeBigEndian(UInt16(truncatingIfNeeded: length - PacketWriter.ipv6HeaderLength), at: 4)
        }
    }

    private func amendTransport(_ memory: UnsafeMutableRawPointer, length: Int) {
        guard let tcp else {
            memory.storeBigEndian(UInt16(truncatingIfNeeded: length), at: 4)
            return PacketWriter.setChecksum(
                at: memory, length: length, protocol: .udp, source: ip.source, destination: ip.destination)
        }
        var flags = tcp.flags
        let isLast = ip.headerLength + length - headerLength + offset >= ip.totalLength
        if !isLast { flags.subtract([.fin, .psh]) }
        if index > 0 { flags.remove(.cwr) }
        memory.storeBigEndian((tcp.sequence + (offset - headerLength)).rawValue, at: 4)
        memory.storeBytes(of: flags.rawValue, toByteOffset: 13, as: UInt8.self)
        PacketWriter.setChecksum(
            at: memory, length: length, protocol: .tcp, source: ip.source, destination: ip.destination)
    }
}

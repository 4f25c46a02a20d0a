import Primitives

/// The header before each packet on a TUN opened with IFF_VNET_HDR: `struct virtio_net_hdr` of linux/virtio_net.h.
///
/// Ten bytes. Its numbers are in host order, which a little-endian machine and TUNSETVNETLE share; we store them
/// little-endian.
public struct VirtioHeader: Equatable, Sendable {
    /// How the packet is a super-segment (`VIRTIO_NET_HDR_GSO_…`).
    public enum GSOType: UInt8, Sendable {
        case none = 0
        case tcpv4 = 1
        /// UDP fragmentation offload: one datagram that becomes IP fragments. Old; Linux no longer makes it.
        case udp = 3
        case tcpv6 = 4
        /// UDP segmentation offload: several datagrams of one size.
        case udpL4 = 5
    }

    public static let byteCount = 10
    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`: the checksum field holds the pseudo-header's sum only; the rest is to be added
    /// over the bytes from `checksumStart` to the end.
    public static let needsChecksum: UInt8 = 1
    /// `VIRTIO_NET_HDR_F_DATA_VALID`: somebody has checked the checksum already.
    public static let dataValid: UInt8 = 2
    /// `VIRTIO_NET_HDR_GSO_ECN`, a bit in the byte of the type.
    @usableFromInline static let ecnBit: UInt8 = 0x80

    /// A plain packet with all its checksums in place.
    public static let none = VirtioHeader()

    public var flags: UInt8
    public var gsoType: GSOType
    /// The super-segment's first segment has CWR set, and the others must not (RFC 3168, section 6.1.2).
    public var ecn: Bool
    /// Bytes of the IP and TCP or UDP headers: what every segment repeats.
    public var headerLength: UInt16
    /// Payload bytes of every segment but the last, which may be smaller.
    public var segmentSize: UInt16
    /// Where summing starts: offset of the TCP or UDP header in the packet.
    public var checksumStart: UInt16
    /// Offset of the checksum field from `checksumStart`.
    public var checksumOffset: UInt16

    @inlinable public init(
        flags: UInt8 = 0, gsoType: GSOType = .none, ecn: Bool = false, headerLength: UInt16 = 0,
        segmentSize: UInt16 = 0, checksumStart: UInt16 = 0, checksumOffset: UInt16 = 0
    ) {
        self.flags = flags
        self.gsoType = gsoType
        self.ecn = ecn
        self.headerLength = headerLength
        self.segmentSize = segmentSize
        self.checksumStart = checksumStart
        self.checksumOffset = checksumOffset
    }

    /// Reads the first ten bytes; nil when there are fewer or the type is unknown.
    @inlinable public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= Self.byteCount else { return nil }
        let typeByte = bytes.byte(at: 1)
        guard let type = GSOType(rawValue: typeByte & ~Self.ecnBit) else { return nil }
        flags = bytes.byte(at: 0)
        gsoType = type
        ecn = typeByte & Self.ecnBit != 0
        headerLength = UInt16(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: 2, as: UInt16.self))
        segmentSize = UInt16(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: 4, as: UInt16.self))
        checksumStart = UInt16(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: 6, as: UInt16.self))
        checksumOffset = UInt16(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt16.self))
    }

    /// Writes ten bytes; the caller has checked that there is room.
    @inlinable public func store(to memory: UnsafeMutableRawPointer) {
        memory.storeBytes(of: flags, as: UInt8.self)
        memory.storeBytes(of: gsoType.rawValue | (ecn ? Self.ecnBit : 0), toByteOffset: 1, as: UInt8.self)
        memory.storeBytes(of: headerLength.littleEndian, toByteOffset: 2, as: UInt16.self)
        memory.storeBytes(of: segmentSize.littleEndian, toByteOffset: 4, as: UInt16.self)
        memory.storeBytes(of: checksumStart.littleEndian, toByteOffset: 6, as: UInt16.self)
        memory.storeBytes(of: checksumOffset.littleEndian, toByteOffset: 8, as: UInt16.self)
    }

    /// The header for a TCP packet whose checksum field holds the pseudo-header's sum: a super-segment when the
    /// payload is larger than `segmentSize`, else a plain packet with the checksum left to the kernel.
    @inlinable public static func tcp(
        isIPv4: Bool, ipHeaderLength: Int, tcpHeaderLength: Int, payloadLength: Int, segmentSize: Int
    ) -> VirtioHeader {
        var header = VirtioHeader(
            flags: needsChecksum, checksumStart: UInt16(truncatingIfNeeded: ipHeaderLength), checksumOffset: 16)
        if payloadLength > segmentSize {
            header.gsoType = isIPv4 ? .tcpv4 : .tcpv6
            header.headerLength = UInt16(truncatingIfNeeded: ipHeaderLength + tcpHeaderLength)
            header.segmentSize = UInt16(truncatingIfNeeded: segmentSize)
        }
        return header
    }

    /// The header for a UDP packet whose checksum field holds the pseudo-header's sum: datagrams of `segmentSize` bytes of
    /// payload each, the last perhaps smaller, or a single one.
    @inlinable public static func udp(ipHeaderLength: Int, payloadLength: Int, segmentSize: Int) -> VirtioHeader {
        var header = VirtioHeader(
            flags: needsChecksum, checksumStart: UInt16(truncatingIfNeeded: ipHeaderLength), checksumOffset: 6)
        if payloadLength > segmentSize {
            header.gsoType = .udpL4
            header.headerLength = UInt16(truncatingIfNeeded: ipHeaderLength + 8)
            header.segmentSize = UInt16(truncatingIfNeeded: segmentSize)
        }
        return header
    }

    /// The receiver need not check the transport checksum: it was checked, or was never computed (the packet comes
    /// from this machine's kernel).
    @inlinable public var checksumIsTrusted: Bool { flags & (Self.needsChecksum | Self.dataValid) != 0 }
}

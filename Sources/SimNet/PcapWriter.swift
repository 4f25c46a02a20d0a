import Primitives

/// Collects IP packets into the bytes of a capture file, to be looked at with tcpdump when a test fails.
///
/// The classic format with nanoseconds (magic 0xA1B23C4D), little-endian, link type LINKTYPE_RAW.
public struct PcapWriter: Sendable {
    /// The packet begins with its IPv4 or IPv6 header: https://www.tcpdump.org/linktypes.html
    public static let linkType: UInt32 = 101
    /// Bytes of each packet that are kept.
    public static let snapLength = 65_535

    /// The whole file so far.
    public private(set) var bytes: [UInt8] = []
    /// The file stops growing here; packets that come later are only counted.
    public let byteLimit: Int
    public private(set) var dropped = 0

    public init(byteLimit: Int = 64 << 20) {
        self.byteLimit = byteLimit
        put(0xA1B2_3C4D)
        put(2 | 4 << 16)  // Version 2.4.
        put(0)
        put(0)
        put(UInt32(Self.snapLength))
        put(Self.linkType)
    }

    public mutating func append(_ packet: [UInt8], at time: Instant) {
        let kept = packet.prefix(Self.snapLength)
        guard bytes.count + 16 + kept.count <= byteLimit else {
            dropped += 1
            return
        }
        put(UInt32(truncatingIfNeeded: time.nanoseconds / 1_000_000_000))
        put(UInt32(truncatingIfNeeded: time.nanoseconds % 1_000_000_000))
        put(UInt32(kept.count))
        put(UInt32(truncatingIfNeeded: packet.count))
        bytes += kept
    }

    private mutating func put(_ value: UInt32) {
        withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }
}

import Packets
import Primitives

/// One packet on its way to the TUN: headers in memory of its own, and the payload where it lies.
///
/// A gathering write (writev) sends it without copying the payload. The regions stay valid until the next call on the
/// `FlowNAT` that filled it.
public final class PacketBuffer {
    /// Room for the headers of a segment, or for a whole ICMP error (RFC 4443, section 2.4: 1280 bytes at most).
    public static let headCapacity = 2_048
    /// Regions of payload in one packet at most. A 64 KB segment lies in five or six blocks.
    public static let maximumRegions = 8

    public internal(set) var offload = VirtioHeader.none
    public internal(set) var headCount = 0
    public internal(set) var regionCount = 0
    let head = UnsafeMutableRawPointer.allocate(byteCount: headCapacity, alignment: 16)
    private let regionStorage = UnsafeMutablePointer<UnsafeRawBufferPointer>.allocate(capacity: maximumRegions)

    public init() {}

    deinit {
        head.deallocate()
        regionStorage.deallocate()
    }

    public var headBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: head, count: headCount) }
    public var regions: UnsafeBufferPointer<UnsafeRawBufferPointer> {
        UnsafeBufferPointer(start: regionStorage, count: regionCount)
    }

    func clear() {
        offload = .none
        headCount = 0
        regionCount = 0
    }

    /// False when there is no room for another region.
    @inline(__always)
    func add(_ region: UnsafeRawBufferPointer) -> Bool {
        guard regionCount < Self.maximumRegions else { return false }
        (regionStorage + regionCount).initialize(to: region)
        regionCount += 1
        return true
    }

    /// Adds what a queue has behind its read mark, `limit` bytes at most; returns how many.
    func addUnread(of queue: borrowing BlockQueue, limit: Int) -> Int {
        let room = UnsafeMutableBufferPointer(
            start: regionStorage + regionCount, count: Self.maximumRegions - regionCount)
        let added = queue.unreadRegions(limit: limit, into: room)
        regionCount += added.count
        return added.bytes
    }

    /// Bytes of the whole packet.
    public var count: Int { regions.reduce(headCount) { $0 + $1.count } }

    /// The whole packet in one piece, for tests and captures.
    public func flattened() -> [UInt8] {
        var bytes = Array(headBytes)
        for region in regions { bytes += region }
        return bytes
    }
}

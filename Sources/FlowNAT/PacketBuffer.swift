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

    /// What changes with every packet. It lies behind a pointer, since each access to a class's own variables is checked
    /// at run time for overlapping ones.
    private struct State {
        var offload = VirtioHeader.none
        var headCount = 0
        var regionCount = 0
        var payloadCount = 0
    }

    private let state: UnsafeMutablePointer<State>
    let head = UnsafeMutableRawPointer.allocate(byteCount: headCapacity, alignment: 16)
    private let regionStorage = UnsafeMutablePointer<UnsafeRawBufferPointer>.allocate(capacity: maximumRegions)

    public init() {
        state = .allocate(capacity: 1)
        state.initialize(to: State())
    }

    deinit {
        state.deallocate()
        head.deallocate()
        regionStorage.deallocate()
    }

    /// What goes before the packet on a TUN with virtio headers.
    public internal(set) var offload: VirtioHeader {
        get { state.pointee.offload }
        set { state.pointee.offload = newValue }
    }
    /// Bytes of `headBytes`.
    public internal(set) var headCount: Int {
        get { state.pointee.headCount }
        set { state.pointee.headCount = newValue }
    }
    public var regionCount: Int { state.pointee.regionCount }
    /// Bytes in all regions.
    public var payloadCount: Int { state.pointee.payloadCount }
    /// Bytes of the whole packet.
    public var count: Int { state.pointee.headCount + state.pointee.payloadCount }

    /// The packet's beginning: IP and transport header, or the whole packet where there are no regions.
    public var headBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: head, count: headCount) }
    /// The payload behind the head, in order, where it lies.
    public var regions: UnsafeBufferPointer<UnsafeRawBufferPointer> {
        UnsafeBufferPointer(start: regionStorage, count: regionCount)
    }

    func clear() { state.pointee = State() }

    /// False when there is no room for another region.
    @inline(__always)
    func add(_ region: UnsafeRawBufferPointer) -> Bool {
        let index = state.pointee.regionCount
        guard index < Self.maximumRegions else { return false }
        (regionStorage + index).initialize(to: region)
        state.pointee.regionCount = index + 1
        state.pointee.payloadCount += region.count
        return true
    }

    /// Adds what a queue has behind its read mark, `limit` bytes at most; returns how many.
    func addUnread(of queue: borrowing BlockQueue, limit: Int) -> Int {
        let index = state.pointee.regionCount
        let room = UnsafeMutableBufferPointer(start: regionStorage + index, count: Self.maximumRegions - index)
        let added = queue.unreadRegions(limit: limit, into: room)
        state.pointee.regionCount = index + added.count
        state.pointee.payloadCount += added.bytes
        return added.bytes
    }

    /// The whole packet in one piece, for tests and captures.
    public func flattened() -> [UInt8] {
        var bytes = Array(headBytes)
        for region in regions { bytes += region }
        return bytes
    }
}

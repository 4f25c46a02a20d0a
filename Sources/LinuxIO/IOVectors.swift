import Glibc

/// A list of memory regions for one gathering write. Made once and used again, so that a write allocates nothing.
public final class IOVectors {
    /// The most regions in one write: IOV_MAX of Linux (limits.h).
    public static let maximum = 1_024

    public private(set) var count = 0
    private let storage: UnsafeMutablePointer<iovec>
    private let capacity: Int

    public init(capacity: Int = 64) {
        self.capacity = min(capacity, Self.maximum)
        storage = .allocate(capacity: self.capacity)
    }

    deinit { storage.deallocate() }

    public func clear() { count = 0 }

    /// False when the list is full; the region was not added then.
    @inline(__always)
    public func add(_ region: UnsafeRawBufferPointer) -> Bool {
        guard count < capacity else { return false }
        (storage + count).initialize(
            to: iovec(iov_base: UnsafeMutableRawPointer(mutating: region.baseAddress), iov_len: region.count))
        count += 1
        return true
    }

    public var vectors: UnsafeBufferPointer<iovec> { UnsafeBufferPointer(start: storage, count: count) }
}

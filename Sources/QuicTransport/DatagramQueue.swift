import Primitives

/// Datagrams that wait for a packet: a ring with a limit, where the oldest makes room for the newest, because a late
/// datagram is worth less than a fresh one.
///
/// They lie in one piece of memory, in slots of one size, so that queueing one copies bytes and does nothing else. The
/// memory grows with what waits, up to the limit; an emptied queue starts at its first slots again, which are still in
/// the processor's cache.
struct DatagramQueue: ~Copyable {
    private struct Header {
        var count: Int32
        var queued: Instant
    }

    /// Slots of the first memory.
    static let firstCapacity = 16
    /// An empty queue that has not been used for so long gives its memory back.
    private static let rest = Interval.seconds(10)
    /// The largest datagram: no packet holds a larger one.
    static let maximumDatagram = 1500
    private static let headerSize = 16
    private static let slotSize = headerSize + (maximumDatagram + 15) / 16 * 16

    let limit: Int
    /// How long a datagram may wait; `dropLate` forgets those that waited longer.
    let patience: Interval
    private var memory: UnsafeMutableRawPointer?
    /// Slots of `memory`.
    private(set) var capacity = 0
    private var head = 0
    private(set) var count = 0
    /// When the last datagram came.
    private var latest = Instant(nanoseconds: 0)
    /// Datagrams thrown away to make room, or because they had waited too long.
    private(set) var dropped = 0

    init(limit: Int, patience: Interval) {
        self.limit = max(limit, 1)
        self.patience = patience
    }

    deinit { memory?.deallocate() }

    var isEmpty: Bool { count == 0 }

    /// The oldest datagram, where it lies; good until the queue changes. Only while there is one.
    var first: UnsafeRawBufferPointer { datagram(0) }
    /// Bytes of the one behind the oldest; nil where there is none.
    var secondCount: Int? { count > 1 ? datagram(1).count : nil }

    private func slot(_ index: Int) -> UnsafeMutableRawPointer {
        guard let memory else { preconditionFailure("an empty queue has no datagram") }
        let place = head + index
        return memory + (place < capacity ? place : place - capacity) * Self.slotSize
    }

    private func datagram(_ index: Int) -> UnsafeRawBufferPointer {
        let start = slot(index)
        return UnsafeRawBufferPointer(start: start + Self.headerSize, count: Int(start.load(as: Header.self).count))
    }

    /// Where the next datagram can be written, `maximumDatagram` bytes. A full queue drops its oldest.
    mutating func space() -> UnsafeMutableRawBufferPointer {
        if count == limit {
            removeFirst()
            dropped += 1
        }
        if count == capacity { grow() }
        return UnsafeMutableRawBufferPointer(start: slot(count) + Self.headerSize, count: Self.maximumDatagram)
    }

    /// Queues the first `size` bytes of the last `space`.
    mutating func commit(_ size: Int, now: Instant) {
        precondition(size >= 0 && size <= Self.maximumDatagram && count < capacity, "committed without space")
        slot(count).storeBytes(of: Header(count: Int32(size), queued: now), as: Header.self)
        count += 1
        latest = now
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        space().copyMemory(from: bytes)
        commit(bytes.count, now: now)
    }

    mutating func removeFirst() {
        guard count > 0 else { return }
        head = head + 1 == capacity ? 0 : head + 1
        count -= 1
        if count == 0 { head = 0 }
    }

    /// Forgets what has waited for too long, and memory that was not needed for long.
    mutating func dropLate(now: Instant) {
        while count > 0, slot(0).load(as: Header.self).queued + patience < now {
            removeFirst()
            dropped += 1
        }
        if count == 0, capacity > Self.firstCapacity, latest + Self.rest < now { removeAll() }
    }

    mutating func removeAll() {
        memory?.deallocate()
        memory = nil
        capacity = 0
        head = 0
        count = 0
    }

    private mutating func grow() {
        let larger = min(max(capacity * 2, Self.firstCapacity), limit)
        let fresh = UnsafeMutableRawPointer.allocate(byteCount: larger * Self.slotSize, alignment: 16)
        for index in 0..<count {
            (fresh + index * Self.slotSize).copyMemory(from: slot(index), byteCount: Self.slotSize)
        }
        memory?.deallocate()
        memory = fresh
        capacity = larger
        head = 0
    }
}

/// Wake-up times of numbered things (slots of a table), earliest first. A slot has one entry at most.
///
/// Moving a deadline later costs nothing: the entry stays, and when it comes up the owner asks again
/// (`schedule` with the real deadline). Only a deadline that moves earlier moves the entry, so a flow whose timer moves
/// with every packet touches the heap once per timer period, not once per packet.
public struct DeadlineHeap {
    struct Entry {
        var deadline: Instant
        var slot: UInt32
    }

    private var entries: [Entry] = []
    /// Where each slot's entry lies in `entries`; negative for none.
    private var positions: [Int32] = []

    public init() {}

    public var next: Instant? { entries.first?.deadline }
    /// Entries in the heap: no more than there are slots in use.
    public var count: Int { entries.count }

    /// - Parameter scheduled: the slot's entry in this heap, kept by the owner beside the slot's own data; nil for a
    ///   slot that is used anew, whose old entry is then replaced.
    @inline(__always)
    public mutating func schedule(_ slot: UInt32, at deadline: Instant, scheduled: inout Instant?) {
        if let current = scheduled, current <= deadline { return }
        scheduled = deadline
        place(Entry(deadline: deadline, slot: slot))
    }

    /// The slot whose entry is due, which leaves the heap. Where the slot's `scheduled` is not `deadline`, ignore it.
    public mutating func popDue(now: Instant) -> (slot: UInt32, deadline: Instant)? {
        guard let first = entries.first, first.deadline <= now else { return nil }
        takeOut(0)
        return (first.slot, first.deadline)
    }

    /// Takes the slot's entry out, if there is one.
    public mutating func remove(_ slot: UInt32) {
        guard let position = position(of: slot) else { return }
        takeOut(position)
    }

    private func position(of slot: UInt32) -> Int? {
        guard Int(slot) < positions.count, positions[Int(slot)] >= 0 else { return nil }
        return Int(positions[Int(slot)])
    }

    private mutating func place(_ entry: Entry) {
        if let position = position(of: entry.slot) { return settle(entry, at: position) }
        if Int(entry.slot) >= positions.count {
            positions.append(contentsOf: repeatElement(-1, count: Int(entry.slot) + 1 - positions.count))
        }
        entries.append(entry)
        settle(entry, at: entries.count - 1)
    }

    private mutating func takeOut(_ position: Int) {
        positions[Int(entries[position].slot)] = -1
        let last = entries.removeLast()
        if position < entries.count { settle(last, at: position) }
    }

    /// Puts an entry into the gap at `position`, or where the order wants it from there.
    private mutating func settle(_ entry: Entry, at position: Int) {
        var gap = position
        while gap > 0 {
            let parent = (gap - 1) / 2
            if entries[parent].deadline <= entry.deadline { break }
            put(entries[parent], at: gap)
            gap = parent
        }
        while true {
            var child = 2 * gap + 1
            if child >= entries.count { break }
            if child + 1 < entries.count && entries[child + 1].deadline < entries[child].deadline { child += 1 }
            if entries[child].deadline >= entry.deadline { break }
            put(entries[child], at: gap)
            gap = child
        }
        put(entry, at: gap)
    }

    @inline(__always)
    private mutating func put(_ entry: Entry, at position: Int) {
        entries[position] = entry
        positions[Int(entry.slot)] = Int32(truncatingIfNeeded: position)
    }
}

/// Wake-up times of numbered things (slots of a table), earliest first.
///
/// Moving a deadline later costs nothing: the entry stays, and when it comes up the owner asks again
/// (`schedule` with the real deadline). Only a deadline that moves earlier is pushed, so a flow whose timer moves with
/// every packet touches the heap once per timer period, not once per packet.
public struct DeadlineHeap {
    struct Entry {
        var deadline: Instant
        var slot: UInt32
    }

    private var entries: [Entry] = []

    public init() {}

    public var next: Instant? { entries.first?.deadline }
    public var count: Int { entries.count }

    /// - Parameter scheduled: the slot's earliest entry in this heap, kept by the owner beside the slot's own data.
    @inline(__always)
    public mutating func schedule(_ slot: UInt32, at deadline: Instant, scheduled: inout Instant?) {
        if let current = scheduled, current <= deadline { return }
        scheduled = deadline
        push(Entry(deadline: deadline, slot: slot))
    }

    /// The slot of an entry that is due. It may be stale: where the slot's `scheduled` is not `deadline`, ignore it.
    public mutating func popDue(now: Instant) -> (slot: UInt32, deadline: Instant)? {
        guard let first = entries.first, first.deadline <= now else { return nil }
        let last = entries.removeLast()
        if !entries.isEmpty { sink(last) }
        return (first.slot, first.deadline)
    }

    private mutating func push(_ entry: Entry) {
        entries.append(entry)
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if entries[parent].deadline <= entry.deadline { break }
            entries[child] = entries[parent]
            child = parent
        }
        entries[child] = entry
    }

    private mutating func sink(_ entry: Entry) {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            if child >= entries.count { break }
            if child + 1 < entries.count && entries[child + 1].deadline < entries[child].deadline { child += 1 }
            if entries[child].deadline >= entry.deadline { break }
            entries[parent] = entries[child]
            parent = child
        }
        entries[parent] = entry
    }
}

/// Flows in TIME-WAIT, oldest first. Those that left it early stay as stale entries until they come to the front or are
/// half of all.
struct WaitingList {
    private var entries: [FlowID] = []
    private var head = 0
    private var stale: Set<FlowID> = []

    var count: Int { entries.count - head - stale.count }
    var first: FlowID? { head < entries.count ? entries[head] : nil }

    mutating func append(_ id: FlowID) { entries.append(id) }

    mutating func remove(_ id: FlowID) {
        stale.insert(id)
        while head < entries.count, stale.remove(entries[head]) != nil { head += 1 }
        if head == entries.count {
            entries.removeAll(keepingCapacity: true)
            head = 0
        } else if head > Self.slack && head > entries.count / 2 {
            entries.removeFirst(head)
            head = 0
        } else if stale.count > Self.slack && stale.count > (entries.count - head) / 2 {
            // A front that is held up (its peer repeats its FIN) would keep everything behind it.
            entries = entries[head...].filter { !stale.contains($0) }
            stale.removeAll(keepingCapacity: true)
            head = 0
        }
    }

    /// Spent entries that are not worth a clean-up.
    static let slack = 1_024
    /// Entries kept, stale ones included.
    var storedCount: Int { entries.count }
}

/// Events waiting for the owner. It reads them all after every call, so the queue stays as long as one call makes it.
struct EventQueue {
    private var events: [FlowEvent] = []
    private var head = 0

    mutating func append(_ event: FlowEvent) { events.append(event) }

    mutating func next() -> FlowEvent? {
        guard head < events.count else { return nil }
        defer { head += 1 }
        if head + 1 == events.count {
            let event = events[head]
            events.removeAll(keepingCapacity: true)
            head = -1
            return event
        }
        return events[head]
    }
}

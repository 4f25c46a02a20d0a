/// Flows in TIME-WAIT, oldest first. Those that left it early stay as stale entries until they come to the front.
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
        } else if head > 1_024 && head > entries.count / 2 {
            entries.removeFirst(head)
            head = 0
        }
    }
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

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

/// Datagrams that wait for a packet: a ring with a limit, where the oldest makes room for the newest, because a late
/// datagram is worth less than a fresh one.
struct DatagramQueue {
    private var slots: [[UInt8]]
    private var head = 0
    private(set) var count = 0
    let limit: Int
    /// Datagrams thrown away to make room.
    private(set) var dropped = 0

    init(limit: Int) {
        self.limit = max(limit, 1)
        slots = []
    }

    var isEmpty: Bool { count == 0 }
    var first: [UInt8] { slots[head] }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if slots.isEmpty { slots = Array(repeating: [], count: limit) }
        if count == limit {
            removeFirst()
            dropped += 1
        }
        let slot = (head + count) % limit
        // The slot's own memory is used again.
        slots[slot].removeAll(keepingCapacity: true)
        slots[slot].append(contentsOf: bytes)
        count += 1
    }

    mutating func removeFirst() {
        guard count > 0 else { return }
        head = (head + 1) % limit
        count -= 1
    }

    mutating func removeAll() {
        slots = []
        head = 0
        count = 0
    }
}

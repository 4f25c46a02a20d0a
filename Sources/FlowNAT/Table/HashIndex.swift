/// Small numbers found by a hash: open addressing with linear probing.
///
/// The entries know their whole hash, so that growing and removing never look at what the numbers stand for. Removal
/// moves the followers back (Knuth, volume 3, section 6.4, algorithm R), so there are no tombstones and a lookup is as
/// short after a million removals as before. At most half of the places are taken; a change allocates only when that
/// would be exceeded, and then all entries move once: 8 bytes each, some hundred microseconds for 100 000.
struct HashIndex: ~Copyable {
    private struct Entry {
        var hash: UInt32
        var value: UInt32

        static let empty = Entry(hash: 0, value: HashIndex.none)
    }

    /// Stands for no number; never a value.
    static let none = UInt32.max
    private static let smallest = 64

    private var entries: UnsafeMutablePointer<Entry>
    private var mask: Int
    private(set) var count = 0

    init() {
        entries = Self.allocate(Self.smallest)
        mask = Self.smallest - 1
    }

    deinit { entries.deallocate() }

    private static func allocate(_ capacity: Int) -> UnsafeMutablePointer<Entry> {
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
        entries.initialize(repeating: .empty, count: capacity)
        return entries
    }

    /// Bytes of memory taken.
    var byteCount: Int { (mask + 1) * MemoryLayout<Entry>.stride }

    /// The value with this hash for which `matches` is true.
    @inline(__always)
    func find(_ hash: UInt32, where matches: (UInt32) -> Bool) -> UInt32? {
        var place = Int(hash) & mask
        while true {
            let entry = entries[place]
            if entry.value == Self.none { return nil }
            if entry.hash == hash, matches(entry.value) { return entry.value }
            place = (place + 1) & mask
        }
    }

    /// Adds a value that is not there yet.
    mutating func insert(_ hash: UInt32, _ value: UInt32) {
        if (count + 1) * 2 > mask + 1 { grow() }
        put(Entry(hash: hash, value: value))
        count += 1
    }

    private func put(_ entry: Entry) {
        var place = Int(entry.hash) & mask
        while entries[place].value != Self.none { place = (place + 1) & mask }
        entries[place] = entry
    }

    private mutating func grow() {
        let (old, capacity) = (entries, mask + 1)
        entries = Self.allocate(capacity * 2)
        mask = capacity * 2 - 1
        for place in 0..<capacity where old[place].value != Self.none { put(old[place]) }
        old.deallocate()
    }

    /// Removes a value that is there.
    mutating func remove(_ hash: UInt32, _ value: UInt32) {
        var gap = Int(hash) & mask
        while entries[gap].value != value {
            precondition(entries[gap].value != Self.none, "only what was inserted is removed")
            gap = (gap + 1) & mask
        }
        var place = (gap + 1) & mask
        while entries[place].value != Self.none {
            // An entry may move back as long as it does not pass the place where its search begins.
            let home = Int(entries[place].hash) & mask
            if (place - home) & mask >= (place - gap) & mask {
                entries[gap] = entries[place]
                gap = place
            }
            place = (place + 1) & mask
        }
        entries[gap] = .empty
        count -= 1
    }
}

import Packets

/// Up to four numbers, the latest first, no two of one block: which blocks a SACK option repeats (RFC 2018, section 4).
struct RecentNumbers {
    private var numbers = SIMD4<UInt32>()
    private(set) var count = 0

    subscript(index: Int) -> SequenceNumber { SequenceNumber(numbers[index]) }

    /// Puts a number first; those that stand for the same block, from `start` up to `end`, or have been merged into it,
    /// go.
    mutating func note(_ number: SequenceNumber, from start: SequenceNumber, to end: SequenceNumber) {
        var kept = SIMD4<UInt32>()
        kept[0] = number.rawValue
        var keptCount = 1
        for index in 0..<count where keptCount < kept.scalarCount {
            let other = self[index]
            if start <= other && other < end { continue }
            kept[keptCount] = other.rawValue
            keptCount += 1
        }
        numbers = kept
        count = keptCount
    }
}

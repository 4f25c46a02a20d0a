/// Which counters were seen: all below the window count as seen, those in it have a bit each (the ring of RFC 6479).
///
/// Ask `verdict` before a tag is checked and `note` after it proved right, so that forged datagrams move nothing.
struct ReplayWindow {
    enum Verdict: Equatable {
        case fresh
        /// Seen before.
        case replayed
        /// So far behind the highest that nobody knows any more.
        case tooOld
    }

    /// Counters behind the highest that can still be told apart. One word less than there is, since the word of the
    /// highest counter is shared with the oldest otherwise.
    static let size = UInt64((wordCount - 1) * 64)
    private static let wordCount = 64

    private(set) var highest: UInt64
    /// The word of counter c is at (c / 64) mod 64.
    private var words = [UInt64](repeating: 0, count: wordCount)

    init(startingAt counter: UInt64 = 0) { highest = counter }

    @inline(__always)
    func verdict(on counter: UInt64) -> Verdict {
        guard counter <= highest else { return .fresh }
        guard highest - counter < Self.size else { return .tooOld }
        return words[Self.index(counter)] & Self.bit(counter) == 0 ? .fresh : .replayed
    }

    @inline(__always)
    mutating func note(_ counter: UInt64) {
        if counter > highest {
            // Words that come into the window still hold what was seen a whole ring ago.
            let entering = min(counter / 64 - highest / 64, UInt64(Self.wordCount))
            for step in stride(from: 1, through: entering, by: 1) { words[Self.index(highest &+ step &* 64)] = 0 }
            highest = counter
        }
        words[Self.index(counter)] |= Self.bit(counter)
    }

    private static func index(_ counter: UInt64) -> Int { Int(counter / 64 % UInt64(wordCount)) }
    private static func bit(_ counter: UInt64) -> UInt64 { 1 << (counter % 64) }
}

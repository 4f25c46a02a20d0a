import Primitives

/// So many in each second of the clock, and no more.
struct RateLimit {
    private let perSecond: Int
    private var second: UInt64 = 0
    private var used = 0

    init(perSecond: Int) { self.perSecond = perSecond }

    /// Whether one more may go now; counts it when it may.
    mutating func take(now: Instant) -> Bool {
        let current = now.nanoseconds / 1_000_000_000
        if second != current {
            second = current
            used = 0
        }
        guard used < perSecond else { return false }
        used += 1
        return true
    }
}

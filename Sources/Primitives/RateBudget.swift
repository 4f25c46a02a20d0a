/// So many at once, and so many in each second after that (a token bucket).
public struct RateBudget: Sendable {
    private let burst: Int
    private let perSecond: Int
    private var available: Int
    private var filled: Instant

    public init(burst: Int, perSecond: Int, now: Instant) {
        self.burst = max(burst, 0)
        self.perSecond = max(perSecond, 0)
        available = self.burst
        filled = now
    }

    /// Whether `count` more may be had now; takes them when so, and none when not.
    public mutating func take(_ count: Int = 1, now: Instant) -> Bool {
        refill(now: now)
        guard count <= available else { return false }
        available -= count
        return true
    }

    private mutating func refill(now: Instant) {
        guard perSecond > 0, available < burst, filled < now else {
            filled = max(filled, now)
            return
        }
        let elapsed = (now - filled).nanoseconds
        // Whole ones only; the rest of the time counts towards the next.
        let each = 1_000_000_000 / Int64(perSecond)
        let gained = elapsed / max(each, 1)
        guard gained > 0 else { return }
        if gained >= Int64(burst - available) {
            available = burst
            filled = now
        } else {
            available += Int(gained)
            filled = filled + .nanoseconds(gained * max(each, 1))
        }
    }
}

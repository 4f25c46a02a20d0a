import Primitives

/// Waiting times between attempts: doubled each time up to a limit, and each one shortened at random by up to a half,
/// so that the clients of a restarted server do not all come at once.
struct Backoff {
    private let first: Interval
    private let maximum: Interval
    private var attempts: Int64 = 0

    init(first: Interval, maximum: Interval) {
        self.first = first
        self.maximum = maximum
    }

    mutating func reset() { attempts = 0 }

    mutating func next(random: inout some RandomNumberGenerator) -> Interval {
        let full = min(first * (1 << min(attempts, 30)), maximum)
        attempts += 1
        return .nanoseconds(Int64.random(in: full.nanoseconds / 2...max(full.nanoseconds, 1), using: &random))
    }
}

import Primitives

/// Whether a path that loses packets without a queue is asked for more than congestion control's rate.
///
/// BBR ends its own probing at the first losses, so a rate that was found too low would stay so. But losses without a queue
/// are also what a router with a short queue makes, or one that polices a rate: there, more only loses more. So it is tried
/// for a few round trips at a time, goes on while more arrives by it, and rests ever longer while nothing does.
struct LossyProbe {
    /// As much more than congestion control's rate.
    static let gain = 1.1
    /// Round trips that one try takes.
    static let triedFor: Int64 = 8
    /// What counts as more.
    static let leastGrowth = 1.02
    /// Round trips between tries: the first rest and the longest; each without success is twice as long as the one before.
    static let shortestRest: Int64 = 16
    static let longestRest: Int64 = 256

    private(set) var isTrying = true
    private var end: Instant?
    private var rest = shortestRest
    /// The highest rates of delivery in this phase and the one before.
    private var best = 0.0
    private var former = 0.0

    /// - Parameters:
    ///   - delivered: the latest sample of what arrives, in any unit.
    ///   - hasQueue: packets wait on the path, so there is no more of it.
    /// - Returns: what to multiply congestion control's rate with.
    mutating func gain(delivered: Double, hasQueue: Bool, roundTrip: Interval, now: Instant) -> Double {
        best = max(best, delivered)
        guard let end else {
            self.end = now + roundTrip * Self.triedFor
            former = delivered
            return Self.gain
        }
        if isTrying, hasQueue {
            begin(resting: roundTrip * rest, now)
        } else if now >= end {
            let grew = best > former * Self.leastGrowth
            if isTrying, !grew {
                begin(resting: roundTrip * rest, now)
                rest = min(rest * 2, Self.longestRest)
            } else {
                if isTrying { rest = Self.shortestRest }
                isTrying = true
                next(now + roundTrip * Self.triedFor)
            }
        }
        return isTrying ? Self.gain : 1
    }

    private mutating func begin(resting time: Interval, _ now: Instant) {
        isTrying = false
        next(now + time)
    }

    private mutating func next(_ end: Instant) {
        self.end = end
        former = best
        best = 0
    }
}

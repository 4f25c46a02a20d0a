import Primitives

/// The retransmission timeout of RFC 6298, and the shortest round trip.
struct RoundTripEstimator {
    private(set) var smoothed: Interval?
    private(set) var variation: Interval = .zero
    /// The timeout before back-off.
    private(set) var timeout: Interval
    /// The shortest round trip of the last minutes (RFC 8985, section 6.1): a path may change. Zero before the first.
    private(set) var shortest = Interval.zero
    private var shortestSince = Instant(nanoseconds: 0)

    private let minimum: Interval
    private let maximum: Interval
    /// How long the shortest round trip counts.
    private static let memory = Interval.seconds(300)

    init(minimum: Interval, maximum: Interval) {
        self.minimum = minimum
        self.maximum = maximum
        timeout = min(.seconds(1), maximum)  // RFC 6298, rule 2.1
    }

    mutating func sample(_ roundTrip: Interval, now: Instant) {
        if let old = smoothed {
            let difference = Interval(nanoseconds: abs(old.nanoseconds - roundTrip.nanoseconds))
            variation = (variation * 3 + difference) / 4
            smoothed = (old * 7 + roundTrip) / 8
            if roundTrip <= shortest || now - shortestSince > Self.memory {
                shortest = roundTrip
                shortestSince = now
            }
        } else {
            variation = roundTrip / 2
            smoothed = roundTrip
            shortest = roundTrip
            shortestSince = now
        }
        // With a sample for each ACK the variation of a steady path goes to nothing, and a delayed ACK would be taken for
        // a loss: as in Linux, the minimum is the least margin above the round trip, not the least sum.
        timeout = min((smoothed ?? .zero) + max(variation * 4, minimum), maximum)
    }

    /// The timeout after `attempts` retransmissions in a row: doubled each time (rule 5.5).
    func timeout(afterAttempts attempts: Int) -> Interval {
        min(timeout * (1 << Int64(min(attempts, 20))), maximum)
    }

    /// When to probe the tail of a flight (RFC 8985, section 7.2); nil before anything was measured.
    ///
    /// - Parameter delay: what the ACK of a lone segment may wait for company; nil when there is more than one.
    func probeTimeout(acknowledgmentDelay delay: Interval?) -> Interval? {
        guard let smoothed else { return nil }
        return max(smoothed * 2 + (delay ?? .zero), Self.leastProbeTimeout)
    }

    /// The last segment of an odd number waits for the peer's delayed ACK (40 ms in Linux) as a lone one does. On a path
    /// as short as a TUN a probe before that would always be for nothing.
    static let leastProbeTimeout = Interval.milliseconds(50)
}

import Primitives

/// The retransmission timeout of RFC 6298.
struct RoundTripEstimator {
    private(set) var smoothed: Interval?
    private var variation: Interval = .zero
    /// The timeout before back-off.
    private(set) var timeout: Interval

    private let minimum: Interval
    private let maximum: Interval

    init(minimum: Interval, maximum: Interval) {
        self.minimum = minimum
        self.maximum = maximum
        timeout = min(.seconds(1), maximum)  // RFC 6298, rule 2.1
    }

    mutating func sample(_ roundTrip: Interval) {
        if let old = smoothed {
            let difference = Interval(nanoseconds: abs(old.nanoseconds - roundTrip.nanoseconds))
            variation = (variation * 3 + difference) / 4
            smoothed = (old * 7 + roundTrip) / 8
        } else {
            variation = roundTrip / 2
            smoothed = roundTrip
        }
        timeout = min(max(smoothed! + variation * 4, minimum), maximum)
    }

    /// The timeout after `attempts` retransmissions in a row: doubled each time (rule 5.5).
    func timeout(afterAttempts attempts: Int) -> Interval {
        min(timeout * (1 << Int64(min(attempts, 20))), maximum)
    }
}

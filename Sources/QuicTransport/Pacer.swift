import Primitives

/// Spreads what is sent over time (RFC 9002, section 7.7).
///
/// ngtcp2 0.12 paces too, but forgets with each batch what the one before still owed, and lets anything go that would be
/// due within a millisecond. Packets that leave one by one, as acknowledgements of a slow line let them, were therefore
/// never held back: BBR asked for half the rate to drain its queue and was not heard, and a standing queue as long as the
/// path itself remained.
struct Pacer {
    /// How far ahead of its time a batch may leave, so that a fast connection is not woken up for every single one.
    static let granularity = Interval.milliseconds(1)
    /// Without a rate from congestion control: this much more than a window in a round trip.
    static let headroom = 1.25

    /// The part of congestion control's rate that is used while there is a standing queue. Probing for more still works: BBR
    /// sends a quarter more then.
    static let drainGain = 0.92
    /// A queue at least so long stands, whatever the round trip: less is the noise of a processor that has other work.
    static let shortestQueue = Interval.milliseconds(10)

    /// Whether packets wait on the path, for longer than an eighth of its round trip.
    ///
    /// BBR's bandwidth is the largest of its samples, in ngtcp2 0.12 some 5 % more than a line carries. So its rate fills the
    /// queue little by little until the congestion window, twice what the path holds, stops it: a round trip of waiting for
    /// everybody. A little less than that rate empties the queue, and costs nothing as long as there is one.
    static func hasStandingQueue(smoothed: Interval, minimum: Interval) -> Bool {
        smoothed - minimum > max(shortestQueue, .nanoseconds(minimum.nanoseconds / 8))
    }

    /// When everything sent so far has had its time.
    private var settled = Instant(nanoseconds: 0)

    /// When the next batch may leave.
    var nextDeparture: Instant {
        Instant(nanoseconds: settled.nanoseconds - min(settled.nanoseconds, UInt64(Self.granularity.nanoseconds)))
    }

    func allows(_ now: Instant) -> Bool { settled <= now + Self.granularity }

    /// - Parameter rate: bytes a nanosecond.
    mutating func sent(_ bytes: Int, rate: Double, now: Instant) {
        guard rate > 0 else { return }
        // At most a second, should a rate be next to nothing.
        settled = max(settled, now) + .nanoseconds(Int64(min(Double(bytes) / rate, 1e9)))
    }
}

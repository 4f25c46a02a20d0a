import Primitives

/// The shortest round trip of the last ten to twenty seconds, in nanoseconds.
///
/// ngtcp2's minimum is of as long as the path lasts: once a route has grown longer, everything after it would look as if it
/// waited in a queue. BBR, which empties the queue every five seconds to measure, forgets after ten as well
/// (draft-cardwell-iccrg-bbr-congestion-control, section 4.5.2), and does not tell.
struct RecentMinimum {
    static let span = Interval.seconds(10)

    private var former = UInt64.max
    private var current = UInt64.max
    private var since: Instant?
    private var latest = UInt64.max

    /// `.max` before the first sample.
    var value: UInt64 { min(former, current) }

    /// The same sample again is none: a path on which nothing happens is not forgotten.
    mutating func note(_ sample: UInt64, now: Instant) {
        guard sample != latest else { return }
        latest = sample
        guard let since, now - since < Self.span else {
            former = since == nil ? .max : current
            current = sample
            since = now
            return
        }
        current = min(current, sample)
    }
}

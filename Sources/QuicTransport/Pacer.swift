import Primitives

/// Spreads what is sent over time (RFC 9002, section 7.7).
///
/// ngtcp2 0.12 could pace too, and is not asked to (nobody calls `ngtcp2_conn_update_pkt_tx_time`): it forgets with each
/// batch what the one before still owed, and lets anything go that would be due within a millisecond. Packets that leave
/// one by one, as acknowledgements of a slow line let them, were therefore never held back: BBR asked for half the rate to
/// drain its queue and was not heard, and a standing queue as long as the path itself remained. Nor would it let anybody
/// catch up (`creditDivisor`).
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

    /// What the congestion window has held back may follow at once when it opens, up to what this part of a round trip
    /// carries.
    ///
    /// After a loss, BBR lets no more go than has arrived until a round trip has passed, then opens its window, and closes it
    /// at the next loss (packet conservation, draft-cardwell-iccrg-bbr-congestion-control, section 4.6.4.4). Where one
    /// packet in twenty is lost, the window is open for the time between two acknowledgements in each round trip. What was
    /// lost must be made up for within it, or the rate falls to where so short a time carries as much as a round trip
    /// loses: to 36 of 100 Mbit/s, on an emulated line with a round trip of 100 ms.
    static let creditDivisor: Int64 = 8

    /// By so much a thread may wake up late without losing its time, whatever the round trip. Time lost is a rate below that
    /// of the path, which BBR then takes for what the path carries, and so on: 60 of 100 Mbit/s on a busy machine.
    static let latestWakeUp = Interval.milliseconds(4)

    /// When everything sent so far has had its time.
    private var settled = Instant(nanoseconds: 0)

    private var highestRate = 0.0
    /// Whether congestion control's rate is that of the path, no longer that of its start.
    private(set) var knowsPath = false

    /// When the next batch may leave.
    var nextDeparture: Instant {
        Instant(nanoseconds: settled.nanoseconds - min(settled.nanoseconds, UInt64(Self.granularity.nanoseconds)))
    }

    func allows(_ now: Instant) -> Bool { settled <= now + Self.granularity }

    /// Congestion control has been asked for its rate, in bytes a nanosecond; 0 when it has none.
    ///
    /// In its start BBR's rate only grows, far beyond what a path carries. Once it is less than it was, it is that of the path.
    mutating func note(requested rate: Double) {
        if rate < highestRate { knowsPath = true }
        highestRate = max(highestRate, rate)
    }

    /// - Parameters:
    ///   - rate: bytes a nanosecond.
    ///   - credit: how much of the time before now counts, as far as nothing was sent in it.
    mutating func sent(_ bytes: Int, rate: Double, credit: Interval = .zero, now: Instant) {
        guard rate > 0 else { return }
        // At most a second, should a rate be next to nothing.
        let time = Interval.nanoseconds(Int64(min(Double(bytes) / rate, 1e9)))
        settled = max(settled, now + .nanoseconds(-credit.nanoseconds)) + time
    }
}

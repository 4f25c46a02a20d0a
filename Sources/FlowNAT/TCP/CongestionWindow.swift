import Primitives

/// How much may be outstanding towards the application: CUBIC (RFC 9438), with slow start of RFC 5681.
///
/// Across a TUN nothing is lost, so this opens at once and stays out of the way; with a LAN behind the client it is what
/// keeps a lossy last hop from collapsing.
struct CongestionWindow {
    /// Bytes of a full segment; smaller once the path has turned out to be narrower.
    var segment: Int
    /// Bytes.
    private(set) var window: Int
    private(set) var threshold = Int.max
    private var cubic = CubicCurve()
    /// What the curve grants beyond whole bytes.
    private var fraction = 0.0

    /// Nothing needs a larger window than the peer can ever advertise (RFC 7323, section 2.3: 2^30).
    private static let limit = 1 << 30
    /// β of RFC 9438, section 4.6, in tenths.
    private static let factor = 7

    init(segment: Int) {
        self.segment = segment
        window = Self.initial(segment)
    }

    /// RFC 6928.
    private static func initial(_ segment: Int) -> Int { 10 * segment }

    /// - Parameters:
    ///   - bytes: newly acknowledged.
    ///   - inFlight: what was under way before; a window that was not used proves nothing and does not grow (RFC 7661).
    ///   - isAfterTimeout: one segment an ACK at most (RFC 3465, section 2.3).
    mutating func acknowledged(
        _ bytes: Int, inFlight: Int, isAfterTimeout: Bool, roundTrip: Interval, now: Instant
    ) {
        if window < threshold {
            // Doubled, a window that is half used would be full: growing before that is needed costs no round trip.
            guard 2 * inFlight >= window else { return }
            window = min(window + (isAfterTimeout ? min(bytes, segment) : bytes), Self.limit)
            return
        }
        guard inFlight + segment >= window else { return }
        let size = Double(segment)
        let grown = cubic.grow(
            (Double(window) + fraction) / size, acknowledged: Double(bytes) / size, roundTrip: roundTrip, now: now)
        let exact = min(grown * size, Double(Self.limit))
        window = Int(exact)
        fraction = exact - Double(window)
    }

    /// Congestion without loss (ECN): one reduction.
    mutating func congestionEvent(inFlight: Int, now: Instant) {
        reduce(inFlight: inFlight)
        window = min(window, threshold)
    }

    /// A loss: the threshold falls at once, the window with what arrives (`setWindow`, RFC 9937).
    mutating func enterRecovery(inFlight: Int) { reduce(inFlight: inFlight) }

    /// The window of one moment of recovery.
    mutating func setWindow(_ bytes: Int) { window = min(max(bytes, segment), Self.limit) }

    mutating func leaveRecovery() { window = threshold }

    /// A timeout: one segment. A second one for the same flight leaves the threshold as it is (RFC 5681, section 3.1).
    mutating func timeout(inFlight: Int, isFirst: Bool) {
        if isFirst { reduce(inFlight: inFlight) }
        cubic.forget()
        window = segment
        fraction = 0
    }

    /// The handshake was lost on its way: one segment to begin with (RFC 5681, section 3.1).
    mutating func beginSlowly() { window = segment }

    /// Nothing was under way for a while. Half of the window goes with each timeout's worth of silence (RFC 7661 asks
    /// for less than RFC 5681, section 4.1), and the curve's time stands still.
    mutating func resume(afterIdle idle: Interval, timeout: Interval) {
        cubic.skip(idle)
        var left = idle - timeout
        guard left >= .zero, window > Self.initial(segment) else { return }
        threshold = max(threshold, window - window / 4)
        while left >= .zero, window > Self.initial(segment) {
            window = max(window / 2, Self.initial(segment))
            left = left - timeout
        }
        cubic.forget()
    }

    private mutating func reduce(inFlight: Int) {
        cubic.reduce(from: Double(window) / Double(segment))
        threshold = max(min(inFlight, window) * Self.factor / 10, 2 * segment)
        fraction = 0
    }

    // MARK: Undo

    /// What a reduction changes.
    struct Saved {
        fileprivate let window: Int
        fileprivate let threshold: Int
        fileprivate let cubic: CubicCurve
    }

    var saved: Saved { Saved(window: window, threshold: threshold, cubic: cubic) }

    /// The reduction was for nothing (RFC 9438, section 4.9).
    mutating func restore(_ saved: Saved) {
        window = max(window, saved.window)
        threshold = max(threshold, saved.threshold)
        cubic = saved.cubic
    }
}

import Primitives

/// The growth of CUBIC in congestion avoidance: RFC 9438, section 4. Windows are in segments, times in seconds.
struct CubicCurve {
    /// C and β (sections 4.2 and 4.6).
    static let scale = 0.4
    static let factor = 0.7
    /// α of the Reno-friendly region (section 4.3): as fast as Reno with β = 0.5 on average.
    static let friendly = 3 * (1 - factor) / (1 + factor)

    /// W_max: the window just before the last reduction; zero before the first.
    private(set) var maximum = 0.0
    /// cwnd_prior: the same, without fast convergence.
    private var prior = 0.0
    private var epoch: Instant?
    /// K: how long until the curve is back at `maximum`.
    private(set) var rise = 0.0
    /// W_est: what Reno would have.
    private var estimate = 0.0

    /// The window after an ACK.
    mutating func grow(_ window: Double, acknowledged: Double, roundTrip: Interval, now: Instant) -> Double {
        if epoch == nil { begin(at: window, now: now) }
        let time = epoch.map { (now - $0).seconds } ?? 0
        estimate += (estimate >= prior ? 1 : Self.friendly) * acknowledged / window
        if value(at: time) < estimate { return max(window, estimate) }
        let target = min(max(value(at: time + roundTrip.seconds), window), 1.5 * window)
        return window + (target - window) / window * acknowledged
    }

    private mutating func begin(at window: Double, now: Instant) {
        epoch = now
        estimate = window
        if window < maximum {
            rise = Self.cubeRoot((maximum - window) / Self.scale)
        } else {
            rise = 0
            maximum = window
        }
    }

    /// W_cubic(t), equation 1.
    func value(at time: Double) -> Double {
        let distance = time - rise
        return Self.scale * distance * distance * distance + maximum
    }

    /// A congestion event. A window that had not come back to the last maximum makes room for others (section 4.7).
    mutating func reduce(from window: Double) {
        prior = window
        maximum = window < maximum ? window * (1 + Self.factor) / 2 : window
        epoch = nil
    }

    /// After a timeout the curve begins where slow start ends (section 4.8).
    mutating func forget() {
        maximum = 0
        epoch = nil
    }

    /// Time in which nothing was sent does not count (section 5.8).
    mutating func skip(_ idle: Interval) { epoch = epoch.map { $0 + idle } }

    /// By Newton's method, for what is not negative.
    static func cubeRoot(_ number: Double) -> Double {
        guard number > 0 else { return 0 }
        var root = max(1, number.squareRoot())
        for _ in 0..<40 {
            let next = (2 * root + number / (root * root)) / 3
            if abs(next - root) <= 1e-12 * root { return next }
            root = next
        }
        return root
    }
}

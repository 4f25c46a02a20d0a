import Primitives
import Synchronization

/// A token bucket that threads share without a lock: so many bytes a second, whoever passes them.
///
/// It is kept as one number, the moment at which all that has passed would be paid for (the theoretical arrival time of the
/// generic cell rate algorithm, ITU-T I.371, annex A): a bucket that needs no refilling, and of which one word is the whole state.
/// What passes may be a little more than there was room for: the bytes are owed, and the long run is exact.
public struct RateGate: ~Copyable, Sendable {
    /// How far ahead of its rate a user may be. Long enough for a loop that wakes late, short enough not to show in a second.
    public static let burst = Interval.milliseconds(20)
    /// The same at rates so low that `burst` is less: two full packets.
    public static let burstBytes = 3_000
    /// Rates that can be set, in bits per second. Below the least a packet takes seconds, above the most nothing is limited.
    public static let rates = 8_000...1_000_000_000_000

    /// Nanoseconds that a byte takes, times 2^16; 0 where there is no limit.
    private let cost = Atomic<UInt64>(0)
    /// When all that has passed is paid for, in nanoseconds of `Instant`.
    private let horizon = Atomic<UInt64>(0)

    /// - Parameter rate: bits per second, taken into `rates`; nil for no limit.
    public init(rate: Int?) { set(rate: rate) }

    /// Holds from the next byte on; what is owed stays owed.
    public func set(rate: Int?) {
        guard let rate else { return cost.store(0, ordering: .relaxed) }
        let clamped = UInt64(min(max(rate, Self.rates.lowerBound), Self.rates.upperBound))
        cost.store((8_000_000_000 << 16) / clamped, ordering: .relaxed)
    }

    public var isLimited: Bool { cost.load(ordering: .relaxed) != 0 }

    /// How many bytes of a stream may pass now, without a limit `Int.max`. None while less than half of the burst is free: those who
    /// take each byte as it comes free would carry a few at a time, and leave nothing to those who wait (RFC 1122, section 4.2.3.3,
    /// has the same of windows).
    public func room(now: Instant) -> Int {
        let cost = cost.load(ordering: .relaxed)
        guard cost != 0 else { return .max }
        let burst = Self.burst(cost)
        let owed = horizon.load(ordering: .relaxed).subtractingOrZero(now.nanoseconds)
        guard owed <= burst / 2 else { return 0 }
        return max(1, Int(clamping: ((burst - owed) << 16) / cost))
    }

    /// Notes bytes that have passed.
    public func charge(_ count: Int, now: Instant) {
        let cost = cost.load(ordering: .relaxed)
        guard cost != 0 else { return }
        pass(Self.time(count, cost), limit: .max, now: now.nanoseconds)
    }

    /// A datagram, which passes whole or not at all.
    /// - Returns: whether it may pass; then it is noted.
    public func take(_ count: Int, now: Instant) -> Bool {
        let cost = cost.load(ordering: .relaxed)
        guard cost != 0 else { return true }
        return pass(Self.time(count, cost), limit: Self.burst(cost), now: now.nanoseconds)
    }

    /// When there is room for a stream again. Not before `now`.
    public func opens(now: Instant) -> Instant {
        let cost = cost.load(ordering: .relaxed)
        guard cost != 0 else { return now }
        let horizon = horizon.load(ordering: .relaxed)
        return max(now, Instant(nanoseconds: horizon.subtractingOrZero(Self.burst(cost) / 2)))
    }

    @discardableResult
    private func pass(_ time: UInt64, limit: UInt64, now: UInt64) -> Bool {
        var known = horizon.load(ordering: .relaxed)
        while true {
            guard known.subtractingOrZero(now) < limit else { return false }
            let (next, overflow) = max(known, now).addingReportingOverflow(time)
            let (exchanged, original) = horizon.weakCompareExchange(
                expected: known, desired: overflow ? .max : next, ordering: .relaxed)
            if exchanged { return true }
            known = original
        }
    }

    private static func time(_ count: Int, _ cost: UInt64) -> UInt64 {
        // A count of a buffer and the highest cost make less than 2^63.
        (UInt64(min(max(count, 0), 16 << 20)) &* cost) >> 16
    }

    private static func burst(_ cost: UInt64) -> UInt64 {
        max(UInt64(burst.nanoseconds), time(burstBytes, cost))
    }
}

extension UInt64 {
    @inline(__always)
    fileprivate func subtractingOrZero(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }
}

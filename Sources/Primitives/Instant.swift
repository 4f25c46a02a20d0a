/// A moment on a monotonic clock, in nanoseconds since an arbitrary start.
///
/// The engines never read a clock: every call that needs the time takes it as an argument.
public struct Instant: Hashable, Comparable, Sendable {
    public var nanoseconds: UInt64

    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Saturates at both ends, so that arithmetic on a far deadline never traps.
    @inlinable public static func + (a: Instant, b: Interval) -> Instant {
        if b.nanoseconds >= 0 {
            let (sum, overflow) = a.nanoseconds.addingReportingOverflow(UInt64(b.nanoseconds))
            return Instant(nanoseconds: overflow ? .max : sum)
        }
        let (difference, underflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds.magnitude)
        return Instant(nanoseconds: underflow ? 0 : difference)
    }

    @inlinable public static func - (a: Instant, b: Instant) -> Interval {
        if a >= b { return Interval(nanoseconds: Int64(clamping: a.nanoseconds - b.nanoseconds)) }
        return Interval(nanoseconds: -Int64(clamping: b.nanoseconds - a.nanoseconds))
    }
}

/// A signed length of time in nanoseconds.
public struct Interval: Hashable, Comparable, Sendable {
    public var nanoseconds: Int64

    @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    @inlinable public static func nanoseconds(_ n: Int64) -> Interval { Interval(nanoseconds: n) }
    @inlinable public static func microseconds(_ n: Int64) -> Interval { Interval(nanoseconds: n) * 1_000 }
    @inlinable public static func milliseconds(_ n: Int64) -> Interval { Interval(nanoseconds: n) * 1_000_000 }
    @inlinable public static func seconds(_ n: Int64) -> Interval { Interval(nanoseconds: n) * 1_000_000_000 }
    public static let zero = Interval(nanoseconds: 0)

    @inlinable public var seconds: Double { Double(nanoseconds) / 1e9 }
    @inlinable public var milliseconds: Double { Double(nanoseconds) / 1e6 }

    @inlinable public static func < (a: Interval, b: Interval) -> Bool { a.nanoseconds < b.nanoseconds }
    // Arithmetic saturates: a number from a configuration or a peer gives a long time, not a trap.
    @inlinable public static func + (a: Interval, b: Interval) -> Interval {
        let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
        return Interval(nanoseconds: overflow ? (b.nanoseconds > 0 ? .max : .min) : sum)
    }
    @inlinable public static func - (a: Interval, b: Interval) -> Interval {
        let (difference, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
        return Interval(nanoseconds: overflow ? (b.nanoseconds < 0 ? .max : .min) : difference)
    }
    @inlinable public static func * (a: Interval, factor: Int64) -> Interval {
        let (product, overflow) = a.nanoseconds.multipliedReportingOverflow(by: factor)
        return Interval(nanoseconds: overflow ? ((a.nanoseconds < 0) == (factor < 0) ? .max : .min) : product)
    }
    @inlinable public static func / (a: Interval, divisor: Int64) -> Interval {
        Interval(nanoseconds: a.nanoseconds / divisor)
    }
}

/// The earlier of two deadlines, where `nil` means never.
@inlinable public func earliest(_ a: Instant?, _ b: Instant?) -> Instant? {
    switch (a, b) {
    case (let a?, let b?): min(a, b)
    case (let a?, nil): a
    case (nil, let b): b
    }
}

import Histogram
import Primitives

/// Lengths of time and how often each came, with three significant digits.
public struct LatencyRecorder: Sendable {
    /// Longer times count as this.
    public static let longest: Interval = .seconds(3_600)
    /// Groups that `recordWaiting` forms at most.
    private static let groups = 1_000

    private var histogram = Histogram<UInt64>(
        lowestDiscernibleValue: 1_000, highestTrackableValue: UInt64(longest.nanoseconds),
        numberOfSignificantValueDigits: .three)

    public init() {}

    public var count: Int { Int(clamping: histogram.totalCount) }

    public mutating func record(_ interval: Interval) { record(interval, count: 1) }

    private mutating func record(_ interval: Interval, count: UInt64) {
        let nanoseconds = min(max(interval.nanoseconds, 0), Self.longest.nanoseconds)
        histogram.record(UInt64(nanoseconds), count: count)
    }

    /// Records `count` times that lie evenly between two: what became due one after the other, and is waiting still.
    mutating func recordWaiting(_ count: Int, since due: ClosedRange<Instant>, now: Instant) {
        let (shortest, longest) = (now - due.upperBound, now - due.lowerBound)
        let groups = min(count, Self.groups)
        for group in 0..<groups {
            let share = count / groups + (group < count % groups ? 1 : 0)
            let part = Double(group + 1) / Double(groups)
            let more = Double((longest - shortest).nanoseconds) * part
            record(shortest + .nanoseconds(Int64(more)), count: UInt64(share))
        }
    }

    mutating func add(_ other: LatencyRecorder) { histogram.add(other.histogram) }

    /// Nil when nothing was recorded.
    public var summary: LatencySummary? {
        guard histogram.totalCount > 0 else { return nil }
        func microseconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1_000 }
        func at(_ percentile: Double) -> Double { microseconds(histogram.valueAtPercentile(percentile)) }
        return LatencySummary(
            count: count, minimum: microseconds(histogram.min), mean: histogram.mean / 1_000, p50: at(50), p90: at(90),
            p99: at(99), p999: at(99.9), p9999: at(99.99), maximum: microseconds(histogram.maxRecorded),
            distribution: distribution)
    }

    /// Percentiles at even steps on a scale of nines, as far as there are enough values to tell.
    private var distribution: [LatencySummary.Point] {
        var points: [LatencySummary.Point] = []
        // Ten steps to each further nine: 0, 20.6, 36.9, …, 90, 92.1, …, 99, …
        for step in 0...60 {
            let rest = Self.tenth(step)
            if rest * Double(histogram.totalCount) < 1 { break }
            let percentile = 100 * (1 - rest)
            let value = Double(histogram.valueAtPercentile(percentile)) / 1_000
            points.append(LatencySummary.Point(percentile: percentile, microseconds: value))
        }
        points.append(LatencySummary.Point(percentile: 100, microseconds: Double(histogram.maxRecorded) / 1_000))
        return points
    }

    /// 10 to the power of -step/10.
    private static func tenth(_ step: Int) -> Double {
        var value = 1.0
        for _ in 0..<step { value *= 0.794_328_234_724_281_5 }
        return value
    }
}

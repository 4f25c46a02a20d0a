import Primitives
import Testing

@testable import Load

@Suite struct LatencyRecorderTests {
    private func near(_ value: Double, _ expected: Double) -> Bool { abs(value - expected) <= expected * 0.002 }

    @Test func nothingHasNoSummary() { #expect(LatencyRecorder().summary == nil) }

    @Test func percentilesOfAThousandValues() throws {
        var recorder = LatencyRecorder()
        for value in Int64(1)...1_000 { recorder.record(.milliseconds(value)) }
        let summary = try #require(recorder.summary)
        #expect(summary.count == 1_000)
        #expect(near(summary.minimum, 1_000))
        #expect(near(summary.mean, 500_500))
        #expect(near(summary.p50, 500_000))
        #expect(near(summary.p90, 900_000))
        #expect(near(summary.p99, 990_000))
        #expect(near(summary.p999, 999_000))
        #expect(near(summary.p9999, 1_000_000))
        #expect(near(summary.maximum, 1_000_000))
    }

    @Test func theDistributionRisesToTheMaximum() throws {
        var recorder = LatencyRecorder()
        for value in Int64(1)...10_000 { recorder.record(.microseconds(value)) }
        let points = try #require(recorder.summary?.distribution)
        #expect(points.first?.percentile == 0)
        #expect(points.last.map { near($0.microseconds, 10_000) } == true)
        #expect(points.last?.percentile == 100)
        // Down to one in ten thousand, and no farther: there are no more values.
        #expect((41...42).contains(points.count))
        for (a, b) in zip(points, points.dropFirst()) {
            #expect(a.percentile < b.percentile)
            #expect(a.microseconds <= b.microseconds)
        }
    }

    @Test func valuesBeyondTheRangeAreKeptAtItsEnds() throws {
        var recorder = LatencyRecorder()
        recorder.record(.seconds(100_000))
        recorder.record(Interval(nanoseconds: -5))
        recorder.record(.zero)
        let summary = try #require(recorder.summary)
        #expect(summary.count == 3)
        #expect(near(summary.maximum, 3_600_000_000))
        #expect(summary.minimum == 0)
    }

    @Test(arguments: [1, 3, 999, 1_000, 1_001, 1_000_000])
    func whatWaitsIsSpreadEvenly(_ count: Int) throws {
        var recorder = LatencyRecorder()
        let start = Instant(nanoseconds: 0)
        recorder.recordWaiting(count, since: start...start + .seconds(6), now: start + .seconds(10))
        let summary = try #require(recorder.summary)
        #expect(summary.count == count)
        #expect(near(summary.maximum, 10_000_000))
        #expect(summary.minimum >= 3_990_000, "the youngest has waited four seconds")
        if count > 900 { #expect((6_900_000...7_100_000).contains(summary.p50)) }
    }

    @Test func nothingWaiting() {
        var recorder = LatencyRecorder()
        let start = Instant(nanoseconds: 0)
        recorder.recordWaiting(0, since: start...start, now: start + .seconds(1))
        #expect(recorder.summary == nil)
    }
}

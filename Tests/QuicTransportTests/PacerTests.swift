import Primitives
import Testing

@testable import QuicTransport

/// The pacer alone: bytes, a rate and a clock.
@Suite struct PacerTests {
    /// A byte a microsecond.
    let rate = 0.001
    let start = Instant(nanoseconds: 1_000_000_000)

    /// What leaves when everything waits, in bytes: batches of 500, looked at each `step`.
    func sent(in time: Interval, every step: Interval, credit: Interval) -> Int {
        var pacer = Pacer()
        var now = start
        var total = 0
        while now < start + time {
            while pacer.allows(now) {
                pacer.sent(500, rate: rate, credit: total == 0 ? .zero : credit, now: now)
                total += 500
            }
            now = now + step
        }
        return total
    }

    @Test(arguments: [100, 1_000] as [Int64])
    func theRateIsKept(step: Int64) {
        let total = sent(in: .seconds(1), every: .microseconds(step), credit: .zero)
        #expect(abs(total - 1_000_000) < 3_000, "\(total)")
    }

    /// Without credit whoever wakes up late loses what is beyond a millisecond.
    @Test func lateWakeUpsCostNothingWithCredit() {
        let late = Interval.milliseconds(4)
        let total = sent(in: .seconds(1), every: late, credit: Pacer.latestWakeUp)
        #expect(abs(total - 1_000_000) < 5_000, "\(total)")
        #expect(sent(in: .seconds(1), every: late, credit: .zero) < 500_000)
    }

    /// Credit has an end: after a long silence no more follows at once than it says, and a millisecond ahead.
    @Test func creditHasALimit() {
        var pacer = Pacer()
        pacer.sent(500, rate: rate, now: start)
        let later = start + .seconds(60)
        var total = 0
        while pacer.allows(later) {
            pacer.sent(500, rate: rate, credit: .milliseconds(20), now: later)
            total += 500
        }
        #expect((21_000...22_000).contains(total), "\(total)")
    }

    /// In its start BBR's rate only grows.
    @Test func thePathIsKnownOnceTheRateHasFallen() {
        var pacer = Pacer()
        for rate in [0.5, 0.5, 2, 8] {
            pacer.note(requested: rate)
            #expect(!pacer.knowsPath)
        }
        pacer.note(requested: 7.9)
        #expect(pacer.knowsPath)
        pacer.note(requested: 9)
        #expect(pacer.knowsPath)
    }

    @Test(arguments: [(100, 112, false), (100, 113, true), (1, 10, false), (1, 12, true)] as [(Int64, Int64, Bool)])
    func aQueueStands(minimum: Int64, smoothed: Int64, stands: Bool) {
        #expect(
            Pacer.hasStandingQueue(smoothed: .milliseconds(smoothed), minimum: .milliseconds(minimum)) == stands)
    }

    /// A rate that makes no sense neither traps nor stops for good.
    @Test(arguments: [0, -1, 1e-300, .infinity, .nan])
    func ratesThatMakeNoSense(rate: Double) {
        var pacer = Pacer()
        pacer.note(requested: rate)
        pacer.sent(1_500, rate: rate, credit: .seconds(9), now: start)
        #expect(pacer.nextDeparture <= start + .seconds(1))
    }
}

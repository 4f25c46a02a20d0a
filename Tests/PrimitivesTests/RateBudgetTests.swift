import Primitives
import Testing

@Suite final class RateBudgetTests {
    private let start = Instant(nanoseconds: 5_000_000_000)
    private var budget = RateBudget(burst: 10, perSecond: 4, now: Instant(nanoseconds: 5_000_000_000))

    private func takes(_ count: Int, after time: Interval) -> Bool { budget.take(count, now: start + time) }

    @Test func burstThenRate() {
        #expect(takes(10, after: .zero))
        #expect(!takes(1, after: .zero))
        #expect(!takes(1, after: .milliseconds(249)))
        #expect(takes(1, after: .milliseconds(250)))
        #expect(!takes(1, after: .milliseconds(499)))
        #expect(takes(1, after: .milliseconds(500)))
        #expect(takes(4, after: .milliseconds(1_500)))
        #expect(!takes(1, after: .milliseconds(1_500)))
    }

    @Test func aRefusalTakesNothing() {
        #expect(!takes(11, after: .zero))
        #expect(takes(10, after: .zero))
    }

    @Test func itHoldsNoMoreThanItsBurst() {
        #expect(takes(10, after: .zero))
        #expect(!takes(11, after: .seconds(1_000_000)))
        #expect(takes(10, after: .seconds(1_000_000)))
    }

    @Test func timeThatStandsStillOrRunsBackwards() {
        #expect(takes(10, after: .seconds(2)))
        #expect(!takes(1, after: .seconds(1)))
        #expect(!takes(1, after: .seconds(2)))
        #expect(takes(4, after: .seconds(3)))
    }

    @Test func withoutARateItIsUsedUpForEver() {
        budget = RateBudget(burst: 1, perSecond: 0, now: start)
        #expect(takes(1, after: .zero))
        #expect(!takes(1, after: .seconds(1_000)))
    }
}

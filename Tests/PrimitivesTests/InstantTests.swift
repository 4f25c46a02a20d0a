import Primitives
import Testing

@Suite struct InstantTests {
    private let first = Instant(nanoseconds: 0)
    private let last = Instant(nanoseconds: .max)

    @Test func additionSaturatesAtBothEnds() {
        #expect(first + .nanoseconds(5) == Instant(nanoseconds: 5))
        #expect(Instant(nanoseconds: 5) + .nanoseconds(-5) == first)
        #expect(first + .nanoseconds(-1) == first && first + .nanoseconds(.min) == first)
        #expect(last + .nanoseconds(1) == last && last + .nanoseconds(.max) == last)
        #expect(last + .nanoseconds(-1) == Instant(nanoseconds: .max - 1))
    }

    @Test func differencesSaturate() {
        #expect(Instant(nanoseconds: 9) - Instant(nanoseconds: 4) == .nanoseconds(5))
        #expect(Instant(nanoseconds: 4) - Instant(nanoseconds: 9) == .nanoseconds(-5))
        #expect(last - first == .nanoseconds(.max) && first - last == .nanoseconds(-.max))
    }

    @Test func intervals() {
        #expect(Interval.seconds(1) == .milliseconds(1000) && Interval.milliseconds(1) == .microseconds(1000))
        #expect(Interval.microseconds(1) == .nanoseconds(1000))
        #expect(Interval.seconds(3) - .seconds(5) == .seconds(-2) && Interval.seconds(3) + .seconds(5) == .seconds(8))
        #expect(Interval.seconds(3) * 4 == .seconds(12) && Interval.seconds(12) / 4 == .seconds(3))
        #expect(Interval.milliseconds(1500).seconds == 1.5 && Interval.microseconds(1500).milliseconds == 1.5)
        #expect(Interval.zero < .nanoseconds(1) && Interval.nanoseconds(-1) < .zero)
    }

    /// A number from a configuration or a peer, as large as it may be, gives a long time and no trap.
    @Test func intervalsSaturate() {
        let (longest, shortest) = (Interval(nanoseconds: .max), Interval(nanoseconds: .min))
        #expect(Interval.seconds(.max) == longest && Interval.seconds(.min) == shortest)
        #expect(Interval.milliseconds(.max) == longest && Interval.microseconds(.min) == shortest)
        #expect(longest * 2 == longest && longest * -2 == shortest && shortest * 2 == shortest)
        #expect(longest + longest == longest && shortest + shortest == shortest)
        #expect(shortest - longest == shortest && longest - shortest == longest)
    }

    @Test func theEarlierDeadlineOfTwo() {
        #expect(earliest(nil, nil) == nil && earliest(first, nil) == first && earliest(nil, last) == last)
        #expect(earliest(first, last) == first && earliest(last, first) == first)
    }
}

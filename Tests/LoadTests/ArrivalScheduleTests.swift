import Primitives
import Testing

@testable import Load

@Suite struct ArrivalScheduleTests {
    let start = Instant(nanoseconds: 5_000_000_000)

    @Test func arrivalsAreEvenAndFromTheStart() {
        var schedule = ArrivalSchedule(start: start, duration: .seconds(1), rate: 4)
        var times: [Interval] = []
        while let time = schedule.take(now: start + .seconds(10)) { times.append(time - start) }
        #expect(times == [.zero, .milliseconds(250), .milliseconds(500), .milliseconds(750)])
        #expect(schedule.next == nil)
    }

    @Test func nothingIsTakenEarly() {
        var schedule = ArrivalSchedule(start: start, duration: .seconds(1), rate: 4)
        #expect(schedule.take(now: start + .nanoseconds(-1)) == nil)
        #expect(schedule.take(now: start) == start)
        #expect(schedule.take(now: start + .nanoseconds(249_999_999)) == nil)
        #expect(schedule.next == start + .milliseconds(250))
    }

    /// Rates whose spacing is no whole number of nanoseconds neither drift nor miscount.
    @Test(arguments: [0.001, 0.7, 3, 7, 999, 1_000, 65_537, 1_000_000] as [Double])
    func waitingIsWhatCanBeTaken(_ rate: Double) {
        let schedule = ArrivalSchedule(start: start, duration: .seconds(1), rate: rate)
        #expect(schedule.waiting(now: start + .nanoseconds(-1)) == 0)
        #expect(schedule.waiting(now: start) == 1)
        #expect(schedule.waiting(now: start + .seconds(2)) == max(1, Int(rate)))
        for moment in stride(from: Int64(0), to: 1_000_000_000, by: 123_456_789) {
            var copy = schedule
            let now = start + .nanoseconds(moment)
            let waiting = copy.waiting(now: now)
            for _ in 0..<min(waiting, 1_000) { #expect(copy.take(now: now) != nil) }
            if waiting <= 1_000 {
                #expect(copy.take(now: now) == nil)
                #expect(copy.waiting(now: now) == 0)
            }
        }
    }

    @Test func afterACutNothingBecomesDue() {
        var schedule = ArrivalSchedule(start: start, duration: .seconds(10), rate: 10)
        for _ in 0..<3 { _ = schedule.take(now: start + .seconds(1)) }
        schedule.cut(now: start + .seconds(1))
        #expect(schedule.waiting(now: start + .seconds(10)) == 8)
        for _ in 0..<8 { #expect(schedule.take(now: start + .seconds(10)) != nil) }
        #expect(schedule.next == nil)
    }

    @Test func anEndlessScheduleDoesNotTrap() {
        let schedule = ArrivalSchedule(start: start, duration: Interval(nanoseconds: .max), rate: 10_000_000)
        #expect(schedule.waiting(now: start + .seconds(1)) == 10_000_001)
        #expect(schedule.waiting(now: Instant(nanoseconds: .max)) > 1_000_000)
    }
}

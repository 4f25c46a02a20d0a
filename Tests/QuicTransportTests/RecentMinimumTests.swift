import Primitives
import Testing

@testable import QuicTransport

@Suite struct RecentMinimumTests {
    private func at(_ seconds: Double) -> Instant { Instant(nanoseconds: UInt64((1_000 + seconds) * 1e9)) }

    @Test func theShortestIsKeptForTenSecondsAtLeast() {
        var minimum = RecentMinimum()
        #expect(minimum.value == .max)
        minimum.note(40, now: at(0))
        minimum.note(50, now: at(9.9))
        #expect(minimum.value == 40)
        minimum.note(51, now: at(10))
        #expect(minimum.value == 40)
        minimum.note(52, now: at(19.9))
        #expect(minimum.value == 40)
        minimum.note(53, now: at(20))
        #expect(minimum.value == 51)
        minimum.note(30, now: at(20.1))
        #expect(minimum.value == 30)
    }

    /// Where nothing is sent no new sample comes.
    @Test func whatIsQuietForgetsNothing() {
        var minimum = RecentMinimum()
        minimum.note(40, now: at(0))
        minimum.note(90, now: at(1))
        for second in 2...100 { minimum.note(90, now: at(Double(second))) }
        #expect(minimum.value == 40)
    }
}

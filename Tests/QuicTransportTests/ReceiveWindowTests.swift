import Primitives
import Testing

@testable import QuicTransport

/// How far a peer may send ahead grows with what is passed on in a round trip, and with nothing else.
@Suite struct ReceiveWindowTests {
    private static let roundTrip = Interval.milliseconds(100)

    /// Passes on `bytes` every `interval` for ten seconds, and tells what was granted on top.
    private static func grown(
        _ window: inout ReceiveWindow, bytes: Int, every interval: Interval, for time: Interval = .seconds(10)
    ) -> Int {
        var now = Instant(nanoseconds: 0)
        let end = now + time
        var granted = 0
        while now < end {
            now = now + interval
            granted += window.passOn(bytes, now: now) { roundTrip } - bytes
        }
        return granted
    }

    private static func window() -> ReceiveWindow {
        ReceiveWindow(initial: 1 << 20, limit: 32 << 20, now: Instant(nanoseconds: 0))
    }

    /// 1.25 MB in a round trip: between eight and sixteen times as much.
    @Test func growsToAMultipleOfThePath() {
        var window = Self.window()
        let granted = Self.grown(&window, bytes: 125_000, every: .milliseconds(10))
        #expect(window.size == 16 << 20)
        #expect(granted == 15 << 20, "what was granted is the growth")
    }

    @Test func staysSmallForAFlowThatNeedsLittle() {
        var window = Self.window()
        // 5 Mbit/s, a quarter of a megabyte in four round trips.
        #expect(Self.grown(&window, bytes: 6_250, every: .milliseconds(10)) == 0)
        #expect(window.size == 1 << 20)
    }

    /// A lost packet holds everything back for a round trip; then a round trip's worth comes at once.
    @Test func growsWhereBytesComeInBursts() {
        var window = Self.window()
        _ = Self.grown(&window, bytes: 600_000, every: .milliseconds(150))
        #expect(window.size >= 4 << 20)
    }

    @Test func stopsAtItsLimit() {
        var window = ReceiveWindow(initial: 1 << 20, limit: 3 << 20, now: Instant(nanoseconds: 0))
        #expect(Self.grown(&window, bytes: 10 << 20, every: .milliseconds(1)) == 2 << 20)
        #expect(window.size == 3 << 20)
    }

    /// What is above a lower limit is not granted again; after that the window is as large as the limit, and it may grow anew.
    @Test func shrinksToALowerLimit() {
        var window = Self.window()
        window.limit = 300_000
        #expect(Self.grown(&window, bytes: 100_000, every: .milliseconds(1)) == 300_000 - (1 << 20))
        #expect(window.size == 300_000)
        window.limit = 600_000
        #expect(Self.grown(&window, bytes: 100_000, every: .milliseconds(1)) == 300_000)
    }

    /// The round trip is asked for only when a quarter of the window has been passed on: it is not free.
    @Test func seldomAsksForTheRoundTrip() {
        var window = Self.window()
        var asked = 0
        for step in 1...1_000 {
            _ = window.passOn(1_000, now: Instant(nanoseconds: UInt64(step) * 1_000_000_000)) {
                asked += 1
                return Self.roundTrip
            }
        }
        #expect(asked == 3)
    }
}

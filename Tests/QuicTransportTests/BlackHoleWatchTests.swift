import Primitives
import Testing

@testable import QuicTransport

@Suite struct BlackHoleWatchTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    private func after(_ seconds: Double) -> Instant { start + .nanoseconds(Int64(seconds * 1e9)) }

    @Test func largePacketsThatNobodyAnswers() {
        var watch = BlackHoleWatch()
        func found(_ seconds: Double, timeout: Interval = .milliseconds(100)) -> Bool {
            watch.check(probeTimeout: timeout, now: after(seconds))
        }
        let unsent = found(0)
        #expect(!unsent, "nothing was sent")
        watch.sentLarge(now: start)
        watch.sentLarge(now: after(0.9))
        watch.acknowledged(BlackHoleWatch.large - 1)
        let answers = [found(1), found(1.1, timeout: .milliseconds(300)), found(1.1), found(1.2)]
        #expect(
            answers == [false, false, true, false],
            "after a second, or four probe timeouts where these are longer; once")
        #expect(watch.isSmall)
    }

    @Test func whatIsAnsweredOrGivenUpIsNoSign() {
        for answer in [
            { (watch: inout BlackHoleWatch) in watch.acknowledged(BlackHoleWatch.large) }, { $0.nothingInFlight() },
        ] {
            var watch = BlackHoleWatch()
            watch.sentLarge(now: start)
            answer(&watch)
            let found = watch.check(probeTimeout: .milliseconds(100), now: after(100))
            #expect(!found)
        }
    }

    /// Each time in vain, the next try comes twice as late, up to the longest; what went well for longer begins anew.
    @Test func triesComeEverLater() {
        var watch = BlackHoleWatch()
        var now = start
        /// Seconds until large packets are tried again.
        func fail() -> Int {
            watch.sentLarge(now: now)
            now = now + .milliseconds(1_001)
            _ = watch.check(probeTimeout: .milliseconds(100), now: now)
            var pause = 0
            while watch.isSmall, pause < 10_000 {
                pause += 1
                now = now + .seconds(1)
                _ = watch.check(probeTimeout: .milliseconds(100), now: now)
            }
            return pause
        }
        let pauses = (0..<9).map { _ in fail() }
        #expect(pauses == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600])
        now = now + .seconds(3_601)
        let last = fail()
        #expect(last == 60)
    }
}

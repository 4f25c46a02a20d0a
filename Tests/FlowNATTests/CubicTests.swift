import Primitives
import Testing

@testable import FlowNAT

/// The congestion window against the formulas of RFC 9438, and the rate in recovery against RFC 9937.
struct CubicTests {
    private let start = Instant(nanoseconds: 1_000_000_000)

    /// One round trip after another with the window full; a million bytes are a thousand segments.
    private func run(
        _ window: inout CongestionWindow, seconds: Double, roundTrip: Interval, from now: Instant
    ) -> Instant {
        var now = now
        let end = now + .nanoseconds(Int64(seconds * 1e9))
        while now < end {
            now = now + roundTrip
            // An ACK for every second segment.
            var left = window.window
            while left > 0 {
                let bytes = min(left, 2_000)
                window.acknowledged(
                    bytes, inFlight: window.window, isAfterTimeout: false, roundTrip: roundTrip, now: now)
                left -= bytes
            }
        }
        return now
    }

    private func slowStarted(to bytes: Int) -> CongestionWindow {
        var window = CongestionWindow(segment: 1_000)
        window.acknowledged(bytes - 10_000, inFlight: 10_000, isAfterTimeout: false, roundTrip: .zero, now: start)
        #expect(window.window == bytes)
        return window
    }

    private func lose(_ window: inout CongestionWindow) {
        window.enterRecovery(inFlight: window.window)
        window.leaveRecovery()
    }

    @Test func theWindowIsBackAtItsMaximumAfterK() {
        var window = slowStarted(to: 500_000)
        lose(&window)
        #expect(window.window == 350_000)  // β = 0.7
        // K = cbrt(500 · 0.3 / 0.4) = 7.211 s (equation 2).
        #expect(abs(CubicCurve.cubeRoot(500 * 0.3 / 0.4) - 7.211) < 0.001)
        let now = run(&window, seconds: 7.211, roundTrip: .milliseconds(100), from: start)
        #expect(abs(window.window - 500_000) < 5_000, "\(window.window)")
        // Beyond, the curve is as steep again: W(K + 3) = 500 + 0.4 · 27.
        _ = run(&window, seconds: 3, roundTrip: .milliseconds(100), from: now)
        #expect(abs(window.window - 510_800) < 3_000, "\(window.window)")
    }

    @Test func theCurveIsConcaveAndThenConvex() {
        var window = slowStarted(to: 500_000)
        lose(&window)
        var now = start
        var grown: [Int] = []
        for _ in 0..<12 {
            let before = window.window
            now = run(&window, seconds: 1, roundTrip: .milliseconds(100), from: now)
            grown.append(window.window - before)
        }
        #expect(grown[1] > grown[3] && grown[3] > grown[5], "\(grown)")
        #expect(grown[8] < grown[10] && grown[10] < grown[11], "\(grown)")
    }

    /// Section 4.3: across a short path CUBIC is as fast as Reno, α = 0.529 segments a round trip.
    @Test func acrossAShortPathItGrowsAsRenoDoes() {
        var window = slowStarted(to: 100_000)
        lose(&window)
        #expect(abs(CubicCurve.friendly - 9.0 / 17) < 1e-12)
        _ = run(&window, seconds: 0.05, roundTrip: .milliseconds(1), from: start)
        let rounds = 50.0
        #expect(abs(Double(window.window) - 70_000 - rounds * 529) < 2_500, "\(window.window)")
        // From the old maximum on α is 1: 30 segments take 57 round trips, and the other 43 bring one each.
        _ = run(&window, seconds: 0.05, roundTrip: .milliseconds(1), from: start + .milliseconds(50))
        #expect(abs(Double(window.window) - 100_000 - 43_000) < 4_000, "\(window.window)")
    }

    /// Section 4.7: one that is losing ground leaves more than it must.
    @Test func fastConvergence() {
        var curve = CubicCurve()
        curve.reduce(from: 100)
        #expect(curve.maximum == 100)
        curve.reduce(from: 80)
        #expect(abs(curve.maximum - 80 * 1.7 / 2) < 1e-9)
        curve.reduce(from: 200)
        #expect(curve.maximum == 200)
    }

    @Test func aWindowThatIsNotUsedDoesNotGrow() {
        var window = CongestionWindow(segment: 1_000)
        window.acknowledged(4_000, inFlight: 4_000, isAfterTimeout: false, roundTrip: .milliseconds(1), now: start)
        #expect(window.window == 10_000)
        window.acknowledged(5_000, inFlight: 5_000, isAfterTimeout: false, roundTrip: .milliseconds(1), now: start)
        #expect(window.window == 15_000)
        lose(&window)
        let reduced = window.window
        window.acknowledged(5_000, inFlight: 5_000, isAfterTimeout: false, roundTrip: .milliseconds(1), now: start)
        #expect(window.window == reduced)
    }

    /// RFC 3465, section 2.3: one that divides its ACKs or acknowledges much at once gains nothing after a timeout.
    @Test func afterATimeoutAnACKBringsOneSegmentAtMost() {
        var window = slowStarted(to: 100_000)
        window.timeout(inFlight: 100_000, isFirst: true)
        #expect(window.window == 1_000 && window.threshold == 70_000)
        window.timeout(inFlight: 100_000, isFirst: false)
        #expect(window.threshold == 70_000)
        window.acknowledged(50_000, inFlight: 1_000, isAfterTimeout: true, roundTrip: .zero, now: start)
        #expect(window.window == 2_000)
        for _ in 0..<10 {
            window.acknowledged(10, inFlight: 2_000, isAfterTimeout: true, roundTrip: .zero, now: start)
        }
        #expect(window.window == 2_100)
    }

    @Test func congestionWithoutLossReducesOnce() {
        var window = slowStarted(to: 100_000)
        window.congestionEvent(inFlight: 100_000, now: start)
        #expect(window.window == 70_000 && window.threshold == 70_000)
        window.congestionEvent(inFlight: 1_000, now: start)
        #expect(window.window == 2_000, "two segments at least")
    }

    @Test func whatWasForNothingIsTakenBack() {
        var window = slowStarted(to: 100_000)
        let saved = window.saved
        window.timeout(inFlight: 100_000, isFirst: true)
        window.restore(saved)
        #expect(window.window == 100_000 && window.threshold == Int.max)
    }

    @Test func silenceCostsHalfForEachTimeout() {
        var window = slowStarted(to: 160_000)
        window.resume(afterIdle: .milliseconds(199), timeout: .milliseconds(200))
        #expect(window.window == 160_000)
        window.resume(afterIdle: .milliseconds(450), timeout: .milliseconds(200))
        #expect(window.window == 40_000)
        window.resume(afterIdle: .seconds(3_600), timeout: .milliseconds(200))
        #expect(window.window == 10_000)
    }

    @Test func theWindowStaysBelowWhatAPeerCanAdvertise() {
        var window = CongestionWindow(segment: 1_000)
        for _ in 0..<100 {
            window.acknowledged(
                window.window, inFlight: window.window, isAfterTimeout: false, roundTrip: .zero, now: start)
        }
        #expect(window.window == 1 << 30)
        lose(&window)
        _ = run(&window, seconds: 0.002, roundTrip: .milliseconds(1), from: start)
        window.acknowledged(
            1 << 30, inFlight: 1 << 30, isAfterTimeout: false, roundTrip: .seconds(60), now: start + .seconds(1 << 40))
        #expect(window.window <= 1 << 30)
    }

    @Test func cubeRoots() {
        for (number, root) in [(0.0, 0.0), (8, 2), (27, 3), (0.001, 0.1), (1e18, 1e6), (2, 1.2599210498948732)] {
            #expect(abs(CubicCurve.cubeRoot(number) - root) <= 1e-9 * max(1, root))
        }
    }

    // MARK: RFC 9937

    /// Twenty segments in flight, one lost: seven go out for every ten that arrive, and fourteen are left.
    @Test func whatIsSentIsInProportionToWhatArrives() {
        var rate = ProportionalRate(flight: 20_000)
        var inFlight = 19_000
        var sent = 0
        for ack in 1...19 {
            inFlight -= 1_000
            let window = rate.window(
                delivered: 1_000, inFlight: inFlight, threshold: 14_000, isSafe: false, segment: 1_000)
            while inFlight + 1_000 <= window {
                inFlight += 1_000
                sent += 1_000
                rate.noteSent(1_000)
            }
            if ack == 1 { #expect(sent == 1_000, "the fast retransmit goes out at once") }
            #expect(sent <= (ack * 1_000 * 7 + 9) / 10 + 1_000)
        }
        #expect(abs(inFlight - 14_000) <= 1_000, "\(inFlight)")
    }

    /// With less in flight than the threshold it is filled up again, without a burst unless the ACK is safe.
    @Test func belowTheThresholdTheWindowIsFilledUpSlowly() {
        var rate = ProportionalRate(flight: 20_000)
        rate.noteSent(1_000)
        #expect(
            rate.window(delivered: 1_000, inFlight: 4_000, threshold: 14_000, isSafe: false, segment: 1_000) == 5_000)
        rate.noteSent(1_000)
        #expect(
            rate.window(delivered: 1_000, inFlight: 4_000, threshold: 14_000, isSafe: true, segment: 1_000) == 6_000)
        #expect(
            rate.window(delivered: 90_000, inFlight: 4_000, threshold: 14_000, isSafe: true, segment: 1_000) == 14_000)
    }
}

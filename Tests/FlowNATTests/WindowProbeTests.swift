import Packets
import Primitives
import Testing

@testable import FlowNAT

/// Probes of a shut window (RFC 9293, section 3.8.6.1): what is said while one is refused, and when they end.
struct WindowProbeTests {
    /// One byte waits, the window is shut, and the probe has carried it.
    private func withProbeAccepted(_ change: (inout FlowSettings) -> Void = { _ in }) -> Trace {
        let t = opened(win: 0, change)
        t.owner.writes(1)
        t.app.expectsNothing()
        t.untilTimer()
        t.app.expects(.ack, seq: 1, ack: 101, len: 1)
        t.app.sends(.ack, seq: 101, ack: 2, win: 0)
        t.reports(.drained(1))
        return t
    }

    /// Beyond its shut window the application would drop even an ACK, and a RST (RFC 9293, section 3.10.7.4).
    @Test func whatIsSaidWhileAProbeIsRefusedStandsInTheWindow() {
        let t = opened(win: 0)
        t.owner.writes(10)
        t.app.expectsNothing()
        t.untilTimer()
        t.app.expects(.ack, seq: 1, ack: 101, len: 1)
        t.app.sends(.ack, seq: 101, ack: 1, win: 0)
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: 1, len: 3_000, win: 0)
        t.app.expects(.ack, seq: 1, ack: 3_101)
        t.owner.aborts()
        t.app.expects([.rst, .ack], seq: 1, ack: 3_101)
    }

    /// The same where the application takes back a part of its window under what is in flight.
    @Test func anACKStaysInsideAWindowThatHasShrunk() {
        let t = Trace()
        t.app.opens(win: 5_000, ws: nil)
        t.owner.writes(5_000)
        t.app.expects(.ack, seq: 1, len: 5_000)
        t.app.sends(.ack, seq: 101, ack: 1, len: 3_000, win: 1_000)
        t.app.expects(.ack, seq: 1_001, ack: 3_101, len: 0)
    }

    @Test func probesEndWithTheData() {
        let t = withProbeAccepted()
        #expect(t.timer == nil)
        for _ in 0..<600 {
            t.after(.seconds(1))
            t.app.expectsNothing()
        }
        #expect(t.state == .established)
    }

    @Test func aFlowIsIdleAfterItsLastProbeAndLives() {
        let t = withProbeAccepted { $0.userTimeout = .seconds(300) }
        t.app.sends(.ack, seq: 101, ack: 2, win: 60_000)
        for _ in 0..<600 {
            t.after(.seconds(1))
            t.app.expectsNothing()
        }
        #expect(t.state == .established)
    }

    @Test func aFINBehindAProbeIsRepeated() {
        let t = withProbeAccepted()
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 2, ack: 101)
        t.app.expectsNothing()
        t.untilTimer()
        t.app.expects([.fin, .ack], seq: 2, ack: 101)
    }

    /// Probes without an answer are counted, not timed: their network may lose some, and a minute lies between two.
    @Test func theUserTimeoutBeginsAfterTheProbes() {
        let t = opened(win: 0) { $0.userTimeout = .seconds(20) }
        t.owner.writes(10)
        t.app.expectsNothing()
        for _ in 0..<9 {
            t.untilTimer()
            t.app.expects(.ack, seq: 1, ack: 101, len: 1)
        }
        t.app.sends(.ack, seq: 101, ack: 1, win: 60_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 10)
        t.after(.seconds(19))
        #expect(t.state == .established && t.nat.counters.userTimeouts == 0)
        while t.nextPacket() != nil {}
        t.after(.seconds(2))
        #expect(t.state == nil && t.nat.counters.userTimeouts == 1)
    }

    /// A peer that takes a byte with each probe is asked again soon, however long that goes on.
    @Test func progressEndsTheBackOff() {
        let t = opened(win: 0)
        t.owner.writes(40)
        t.app.expectsNothing()
        var waits: [Interval] = []
        for byte in 1...30 {
            if let wait = t.untilTimer() { waits.append(wait) }
            t.app.expects(.ack, seq: byte, ack: 101, len: 1)
            t.app.sends(.ack, seq: 101, ack: byte + 1, win: 0)
        }
        #expect(waits.count == 30 && waits.allSatisfy { $0 <= .seconds(1) }, "\(waits)")
    }
}

import Packets
import Primitives
import Testing

@testable import FlowNAT

/// Probes of the tail of a flight (RFC 8985, section 7), and the timeout that they precede.
struct TailLossProbeTests {
    private let s = Trace.start

    @Test func theProbeComesAfterTwoRoundTrips() {
        let t = openedForRecovery()
        t.sendsFlight(5)
        #expect(t.untilTimer() == .milliseconds(200))
        t.app.expectsSegments(at: [s(4)])
        #expect(t.nat.counters.tailLossProbes == 1 && t.nat.counters.timeouts == 0)
        // Then the timeout: RTT and 200 ms from the probe on.
        #expect(t.untilTimer() == .milliseconds(300))
        t.app.expectsSegments(at: [s(0)])
        #expect(t.nat.counters.timeouts == 1)
    }

    @Test func aLoneSegmentWaitsForTheDelayedACKToo() {
        let t = openedForRecovery()
        t.sendsFlight(1)
        #expect(t.untilTimer() == .milliseconds(240))
        t.app.expectsSegments(at: [s(0)])
    }

    @Test func acrossAShortPathItLeavesTheDelayedACKItsTime() {
        let t = openedForRecovery(roundTrip: .microseconds(50))
        t.sendsFlight(3)
        #expect(t.untilTimer() == .milliseconds(50))
    }

    @Test func theProbeIsNeverLaterThanTheTimeout() {
        let t = openedForRecovery(roundTrip: .milliseconds(900))
        t.sendsFlight(3)
        // RFC 6298: RTTVAR = R / 2 after the first sample, RTO = 900 + 4 · 450.
        #expect(t.untilTimer() == .milliseconds(1_800))
        t.app.expectsSegments(at: [s(2)])
        #expect(t.untilTimer() == .milliseconds(2_700))
    }

    @Test func newTextIsThePreferredProbe() {
        let t = openedForRecovery()
        t.sendsFlight(10)
        t.owner.writes(5_000)
        t.app.expectsNothing()  // the congestion window is full
        t.untilTimer()
        t.app.expectsSegments(at: [s(10)])
        #expect(t.nat.counters.tailLossProbes == 1 && t.nat.counters.retransmissions == 0)
    }

    @Test func aProbeShowsTheLossOfTheTail() {
        let t = openedForRecovery()
        t.sendsFlight(6)
        t.after(.milliseconds(100))
        t.app.sends(.ack, seq: 101, ack: s(3))
        t.untilTimer()
        t.app.expectsSegments(at: [s(5)])
        // The last three were lost; the probe is SACKed.
        t.after(.milliseconds(100))
        t.app.sacks((s(5), s(6)), ack: s(3))
        var sent: [Int] = []
        while sent.count < 2 {
            while let packet = t.nextPacket() { sent.append(Int(packet.tcp!.sequence.rawValue &- t.natStart!)) }
            if sent.isEmpty { t.untilTimer() } else if sent.count < 2 { t.app.sacks((s(5), s(6)), ack: s(4)) }
        }
        #expect(sent == [s(3), s(4)])
        #expect(t.nat.counters.timeouts == 0 && t.nat.counters.fastRetransmissions == 1)
    }

    /// Section 7.4.2: the ACK of what comes after the probe, and no word of a duplicate: one segment had been lost.
    @Test(arguments: [false, true])
    func aLossThatTheProbeRepairedCounts(isDuplicate: Bool) {
        let t = openedForRecovery()
        t.sendsFlight(10)
        t.untilTimer()
        t.app.expectsSegments(at: [s(9)])
        t.app.sends(.ack, seq: 101, ack: s(10))
        t.owner.writes(10_000)
        var sent = 0
        while t.nextPacket() != nil { sent += 1 }
        #expect(sent == 10)
        if isDuplicate { t.app.sacks((s(9), s(10)), ack: s(10)) }
        t.app.sends(.ack, seq: 101, ack: s(20))
        t.owner.writes(100_000)
        sent = 0
        while t.nextPacket() != nil { sent += 1 }
        // Slow start in one case; in the other 0.7 of it, and no more slow start.
        #expect(isDuplicate ? sent > 20 : sent < 20, "\(sent)")
    }

    @Test func withoutSACKThereIsNoProbe() {
        let t = openedForRecovery(sack: false)
        t.sendsFlight(5)
        #expect(t.untilTimer() == .milliseconds(300))
        #expect(t.nat.counters.tailLossProbes == 0 && t.nat.counters.timeouts == 1)
    }

    @Test func theFINIsProbedToo() {
        let t = openedForRecovery()
        t.owner.writes(1_000)
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101, len: 1_000)
        t.untilTimer()
        t.app.expects([.fin, .ack], seq: 1, ack: 101, len: 1_000)
        t.app.sends(.ack, seq: 101, ack: s(1) + 1)
        #expect(t.state == .finWait2)
    }

    @Test func theProbeOfAShortSegmentHoldsNothingNew() {
        let t = openedForRecovery()
        t.app.sends(.ack, seq: 101, ack: 1, win: 1)  // 128 bytes
        t.owner.writes(100)
        t.app.expects(.ack, seq: 1, ack: 101, len: 100)
        t.owner.writes(500)
        t.app.expectsNothing()
        t.untilTimer()
        t.app.expects(.ack, seq: 1, ack: 101, len: 100)
        t.app.expectsNothing()
    }

    // MARK: Round trips

    @Test func everyACKMeasures() {
        let t = openedForRecovery(roundTrip: .milliseconds(100))
        t.sendsFlight(2)
        t.after(.milliseconds(60))
        t.app.sends(.ack, seq: 101, ack: s(1))
        t.after(.milliseconds(40))
        t.app.sends(.ack, seq: 101, ack: s(2))
        t.sendsFlight(1, from: 2)
        // SRTT 100, then 95, then 95.625; the probe of a lone segment at 2 · SRTT + 40 ms.
        #expect(t.untilTimer() == .microseconds(2 * 95_625 + 40_000))
    }

    @Test func theHandshakeThatWasLostBeginsSlowly() {
        var settings = FlowSettings()
        settings.offload = false
        let t = Trace(settings: settings)
        t.app.sends(.syn, seq: 100, mss: 1_000, ws: 7)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.untilTimer()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 1)
        t.owner.writes(10_000)
        t.app.expectsSegments(at: [s(0)])  // RFC 5681, section 3.1
    }

    @Test func aShortPauseCostsTheWindowNothingAndALongOneDoes() {
        for (pause, segments) in [(Interval.milliseconds(150), 40), (.seconds(10), 10)] {
            let t = openedForRecovery(roundTrip: .microseconds(100))
            t.owner.writes(80_000)
            var sent = 0
            while sent < 80 {
                while t.nextPacket() != nil { sent += 1 }
                t.app.sends(.ack, seq: 101, ack: s(sent))
            }
            t.after(pause)
            t.owner.writes(40_000)
            sent = 0
            while t.nextPacket() != nil { sent += 1 }
            #expect(sent == segments)
        }
    }
}

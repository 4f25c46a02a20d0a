import Packets
import Primitives
import Testing

@testable import FlowNAT

/// Loss detection by time (RFC 8985, section 6), by duplicate ACKs (RFC 6582), and taking back what was for nothing.
struct RACKTests {
    private let s = Trace.start

    // MARK: The reordering window

    @Test func oneSACKedSegmentLeavesAQuarterOfTheRoundTripForTheOthers() {
        let t = openedForRecovery()
        t.sendsFlight(5)
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(2)), ack: 1)
        t.app.expectsNothing()
        // xmit_ts + RACK.rtt + reo_wnd, with reo_wnd = min_RTT / 4.
        #expect(t.untilTimer() == .milliseconds(25))
        t.app.expectsSegments(at: [s(0)])
        #expect(t.nat.counters.fastRetransmissions == 1)
        t.app.sends(.ack, seq: 101, ack: s(2))
        t.app.expectsNothing()
    }

    @Test func threeSACKedSegmentsAreEnoughAtOnce() {
        let t = openedForRecovery()
        t.sendsFlight(5)
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(2)), ack: 1)
        t.app.sacks((s(1), s(3)), ack: 1)
        t.app.expectsNothing()
        t.app.sacks((s(1), s(4)), ack: 1)
        t.app.expectsSegments(at: [s(0)])
    }

    @Test func severalHolesAreFoundInOneRound() {
        let t = openedForRecovery()
        t.sendsFlight(10)
        t.after(.milliseconds(100))
        // 0, 2 and 5 are lost; the last ones are on their way.
        t.app.sacks((s(6), s(8)), (s(3), s(5)), (s(1), s(2)), ack: 1)
        var sent: [Int] = []
        for end in 8...10 {
            t.app.sacks((s(6), s(end)), (s(3), s(5)), (s(1), s(2)), ack: 1)
            while let packet = t.nextPacket() { sent.append(Int(packet.tcp!.sequence.rawValue &- t.natStart!)) }
        }
        #expect(sent == [s(0), s(2), s(5)])
        t.app.sends(.ack, seq: 101, ack: s(10))
        t.app.expectsNothing()
        #expect(t.nat.counters.fastRetransmissions == 1 && t.nat.counters.timeouts == 0)
    }

    @Test func aSegmentThatIsOnlyLateIsSeenAsReordering() {
        let t = openedForRecovery()
        t.sendsFlight(5)
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(2)), ack: 1)
        t.after(.milliseconds(10))
        t.app.sends(.ack, seq: 101, ack: s(2))  // it came after all
        t.app.sends(.ack, seq: 101, ack: s(5))
        t.app.expectsNothing()
        #expect(t.nat.counters.retransmissions == 0)
        // From now on three are not enough either.
        t.sendsFlight(5, from: 5)
        t.after(.milliseconds(100))
        t.app.sacks((s(6), s(9)), ack: s(5))
        t.app.expectsNothing()
        #expect(t.untilTimer() == .milliseconds(25))
        t.app.expectsSegments(at: [s(5)])
    }

    /// RACK.reo_wnd_mult: a D-SACK shows that the window was too small.
    @Test func aDuplicateWidensTheWindowOncePerRound() {
        var detection = LossDetection(start: SequenceNumber(0))
        detection.shortest = .milliseconds(100)
        let second = Interval.seconds(1)
        #expect(detection.reorderingWindow(isSure: false, smoothed: second) == .milliseconds(25))
        #expect(detection.reorderingWindow(isSure: true, smoothed: second) == .zero)
        let now = Instant(nanoseconds: 1_000_000_000)
        detection.observe(sent: now, end: SequenceNumber(200), wasRetransmitted: false, now: now)
        detection.observe(sent: now, end: SequenceNumber(100), wasRetransmitted: false, now: now)
        #expect(detection.hasSeenReordering)
        #expect(detection.reorderingWindow(isSure: true, smoothed: second) == .milliseconds(25))
        detection.noteDuplicate(unacknowledged: SequenceNumber(100), next: SequenceNumber(500))
        detection.noteDuplicate(unacknowledged: SequenceNumber(400), next: SequenceNumber(600))
        #expect(detection.multiplier == 2)
        detection.noteDuplicate(unacknowledged: SequenceNumber(500), next: SequenceNumber(900))
        #expect(detection.reorderingWindow(isSure: true, smoothed: second) == .milliseconds(75))
        #expect(detection.reorderingWindow(isSure: true, smoothed: .milliseconds(60)) == .milliseconds(60))
        for _ in 0..<15 { detection.noteRecovered() }
        #expect(detection.multiplier == 3)
        detection.noteRecovered()
        #expect(detection.multiplier == 1, "after sixteen recoveries")
        // Half the number space later that round is over as well.
        detection.noteDuplicate(
            unacknowledged: SequenceNumber(0x9000_0000), next: SequenceNumber(0x9000_0400))
        #expect(detection.multiplier == 2)
    }

    /// Step 2: an answer faster than any before is the original's.
    @Test func aRetransmissionAnsweredTooSoonProvesNothing() {
        var detection = LossDetection(start: SequenceNumber(0))
        detection.shortest = .milliseconds(100)
        let now = Instant(nanoseconds: 10_000_000_000)
        detection.observe(
            sent: now, end: SequenceNumber(100), wasRetransmitted: true, now: now + .milliseconds(99))
        #expect(detection.roundTrip == .zero)
        detection.observe(
            sent: now, end: SequenceNumber(100), wasRetransmitted: true, now: now + .milliseconds(100))
        #expect(detection.roundTrip == .milliseconds(100) && detection.sent == now)
    }

    @Test func aLostRetransmissionIsSentAgainBeforeTheTimeout() {
        let t = openedForRecovery()
        t.sendsFlight(10)
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(4)), ack: 1)
        t.app.expectsSegments(at: [s(0)])
        // New text goes out as old arrives; its SACK comes a round trip after the lost retransmission.
        t.owner.writes(3_000)
        t.app.sacks((s(1), s(10)), ack: 1)
        var fresh: [Int] = []
        while let packet = t.nextPacket() { fresh.append(Int(packet.tcp!.sequence.rawValue &- t.natStart!)) }
        #expect(fresh.first == s(10))
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(10) + fresh.count * 1_000), ack: 1)
        #expect(t.nextPacket()?.tcp?.sequence.rawValue == t.natStart! &+ UInt32(s(0)))
        #expect(t.nat.counters.timeouts == 0)
    }

    // MARK: What a peer may say

    @Test func blocksThatCannotBeAreNotBelieved() {
        let t = openedForRecovery()
        t.sendsFlight(5)
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(9)), ack: 1)  // never sent
        t.app.sacks((s(4), s(2)), ack: 1)  // the wrong way round
        t.app.sacks((0, s(4)), ack: 1)  // what it does not acknowledge either
        t.app.expectsNothing()
        #expect(t.nat.counters.invalidSACKBlocks == 2)
        t.app.sacks((s(1), s(4)), ack: 1)
        t.app.expectsSegments(at: [s(0)])
    }

    /// RFC 2018, section 8: a peer may throw away what it has SACKed.
    @Test func aPeerThatRenegesIsServedAfterATimeout() {
        let t = openedForRecovery()
        t.sendsFlight(5)
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(5)), ack: 1)
        t.app.expectsSegments(at: [s(0)])
        t.app.sends(.ack, seq: 101, ack: s(1))  // and the rest is gone
        t.app.expectsNothing()
        while t.nat.counters.timeouts == 0 { t.untilTimer() }
        #expect(t.nat.counters.sackReneged == 1)
        t.app.expectsSegments(at: [s(1)])
        t.app.sends(.ack, seq: 101, ack: s(2))
        t.app.expectsSegments(at: [s(2), s(3)])
        t.app.sends(.ack, seq: 101, ack: s(5))
        #expect(t.timer == nil && t.nat.sendRecordCount == 0)
    }

    @Test func aTimeoutDoesNotSendWhatIsSACKed() {
        let t = openedForRecovery()
        t.sendsFlight(6)
        t.after(.milliseconds(100))
        t.app.sacks((s(2), s(4)), ack: 1)
        while t.nat.counters.timeouts == 0 {
            t.untilTimer()
            while t.nextPacket() != nil {}
        }
        t.app.sends(.ack, seq: 101, ack: s(1))
        t.app.sends(.ack, seq: 101, ack: s(4))
        var sent: [Int] = []
        while let packet = t.nextPacket() { sent.append(Int(packet.tcp!.sequence.rawValue &- t.natStart!)) }
        #expect(sent.allSatisfy { $0 >= s(4) }, "\(sent)")
    }

    @Test func acknowledgmentsOfWhatWasNeverSentChangeNothing() {
        let t = openedForRecovery()
        t.sendsFlight(5)
        t.app.sends(.ack, seq: 101, ack: s(7))  // optimistic
        t.app.expects(.ack, seq: s(5), ack: 101)  // RFC 5961, section 5
        t.owner.writes(20_000)
        var sent = 0
        while t.nextPacket() != nil { sent += 1 }
        #expect(sent == 5, "the initial window and no more")
    }

    // MARK: Limited transmit

    @Test func newTextGoesOutForTheFirstDuplicates() {
        for sack in [true, false] {
            let t = openedForRecovery(sack: sack)
            t.sendsFlight(10)
            t.owner.writes(5_000)
            t.app.expectsNothing()
            t.after(.milliseconds(100))
            // RFC 3042: one segment for each of the first two.
            for i in 1...2 {
                if sack { t.app.sacks((s(1), s(1 + i)), ack: 1) } else { t.app.sends(.ack, seq: 101, ack: 1) }
                t.app.expectsSegments(at: [s(9 + i)])
            }
            if sack { t.app.sacks((s(1), s(4)), ack: 1) } else { t.app.sends(.ack, seq: 101, ack: 1) }
            t.app.expectsSegments(at: [s(0)])
        }
    }

    // MARK: Without SACK

    @Test func withoutSACKPartialACKsBringOneHoleEach() {
        let t = openedForRecovery(sack: false)
        t.sendsFlight(10)
        t.after(.milliseconds(100))
        for _ in 0..<3 { t.app.sends(.ack, seq: 101, ack: 1) }
        t.app.expectsSegments(at: [s(0)])
        t.app.sends(.ack, seq: 101, ack: s(4))
        t.app.expectsSegments(at: [s(4)])
        t.app.sends(.ack, seq: 101, ack: s(8))
        t.app.expectsSegments(at: [s(8)])
        t.app.sends(.ack, seq: 101, ack: s(10))
        t.app.expectsNothing()
        #expect(t.nat.counters.fastRetransmissions == 1 && t.nat.counters.timeouts == 0)
        #expect(t.timer == nil && t.nat.sendRecordCount == 0)
    }

    /// RFC 6582, section 3.2, step 2: duplicates of the very ACK that ended a recovery are echoes.
    @Test func echoesOfARecoveryAreNoLoss() {
        let t = openedForRecovery(sack: false)
        t.sendsFlight(6)
        for _ in 0..<3 { t.app.sends(.ack, seq: 101, ack: 1) }
        t.app.expectsSegments(at: [s(0)])
        t.app.sends(.ack, seq: 101, ack: s(6))
        t.sendsFlight(2, from: 6)
        for _ in 0..<4 { t.app.sends(.ack, seq: 101, ack: s(6)) }
        t.app.expectsNothing()
        #expect(t.nat.counters.fastRetransmissions == 1)
    }

    /// A peer that permits SACK and never sends a block is served by duplicate ACKs.
    @Test func aPeerThatOnlyPromisesSACK() {
        let t = openedForRecovery(sack: true)
        t.sendsFlight(10)
        for _ in 0..<3 { t.app.sends(.ack, seq: 101, ack: 1) }
        t.app.expectsSegments(at: [s(0)])
    }

    // MARK: Taking back

    @Test func duplicatesShowThatNothingWasLost() {
        let t = openedForRecovery()
        t.sendsFlight(10)
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(4)), ack: 1)
        t.app.expectsSegments(at: [s(0)])
        t.app.sends(.ack, seq: 101, ack: s(10))
        t.app.sacks((s(0), s(1)), ack: s(10))  // D-SACK: the first arrived twice
        #expect(t.nat.counters.spuriousRecoveries == 1)
        t.owner.writes(40_000)
        var sent = 0
        while t.nextPacket() != nil { sent += 1 }
        #expect(sent == 10, "the window is as before")
    }

    /// A probe that was for nothing says nothing about the loss before it.
    @Test func aDuplicateOfLaterTextTakesNothingBack() {
        let t = openedForRecovery()
        t.sendsFlight(10)
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(4)), ack: 1)
        t.app.expectsSegments(at: [s(0)])
        t.app.sends(.ack, seq: 101, ack: s(10))
        t.sendsFlight(5, from: 10)
        t.untilTimer()
        t.app.expectsSegments(at: [s(14)])
        t.app.sends(.ack, seq: 101, ack: s(15))
        t.app.sacks((s(14), s(15)), ack: s(15))
        #expect(t.nat.counters.spuriousRecoveries == 0)
    }

    /// RFC 5681, section 3.1: a timeout in fast recovery leaves the threshold as it is.
    @Test func aTimeoutInFastRecoveryReducesNothingMore() {
        let t = openedForRecovery()
        t.sendsFlight(10)
        t.after(.milliseconds(100))
        t.app.sacks((s(1), s(4)), ack: 1)
        t.app.expectsSegments(at: [s(0)])
        while t.nat.counters.timeouts == 0 { t.untilTimer() }
        t.app.expectsSegments(at: [s(0)])
        // Slow start up to 0.7 of ten segments; the three SACKed ones are not under way.
        t.app.sends(.ack, seq: 101, ack: s(4))
        t.app.expectsSegments(at: [s(4), s(5)])
        for i in 5...8 {
            t.app.sends(.ack, seq: 101, ack: s(i))
            while t.nextPacket() != nil {}
        }
        t.app.sends(.ack, seq: 101, ack: s(10))
        t.owner.writes(40_000)
        var sent = 0
        while t.nextPacket() != nil { sent += 1 }
        #expect(sent >= 6 && sent <= 8, "\(sent)")
    }

    /// RFC 5682 with SACK: after the timeout the first ACK covers what was not sent again.
    @Test func aTimeoutThatCameTooEarlyIsTakenBack() {
        let t = openedForRecovery()
        t.sendsFlight(10)
        while t.nat.counters.timeouts == 0 {
            t.untilTimer()
            while t.nextPacket() != nil {}
        }
        t.app.sends(.ack, seq: 101, ack: s(3))
        #expect(t.nat.counters.spuriousRecoveries == 1)
        t.app.expectsNothing()  // nothing is sent again
        t.app.sends(.ack, seq: 101, ack: s(10))
        t.owner.writes(40_000)
        var sent = 0
        while t.nextPacket() != nil { sent += 1 }
        #expect(sent >= 10, "\(sent)")
    }

    @Test func aTimeoutThatWasRightIsNot() {
        let t = openedForRecovery()
        t.sendsFlight(10)
        while t.nat.counters.timeouts == 0 {
            t.untilTimer()
            while t.nextPacket() != nil {}
        }
        t.app.sends(.ack, seq: 101, ack: s(1))
        t.app.expectsSegments(at: [s(1), s(2)])
        t.app.sends(.ack, seq: 101, ack: s(3))
        t.app.expectsSegments(at: [s(3), s(4), s(5)])
        #expect(t.nat.counters.spuriousRecoveries == 0)
    }

    // MARK: Super-segments

    @Test func ofASuperSegmentOnlyTheHoleIsSentAgain() {
        let t = openedForRecovery { $0.offload = true }
        t.owner.writes(10_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 10_000, gso: 1_000)
        t.after(.milliseconds(100))
        t.app.sacks((s(4), s(10)), ack: s(2))
        t.app.expects(.ack, seq: s(2), ack: 101, len: 2_000, gso: 1_000)
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: s(10))
        t.app.expectsNothing()
        t.reports(.drained(2_000), .drained(8_000))
        #expect(t.pool.outstanding == 0 && t.nat.sendRecordCount == 0)
    }

    @Test func aWindowThatShrinksOverALossIsNotExceeded() {
        let t = openedForRecovery()
        t.sendsFlight(6)
        t.after(.milliseconds(100))
        // The window now ends within the lost segment.
        t.app.sacks((s(1), s(4)), ack: 1, win: 4)
        t.app.expectsNothing()
        while t.nat.counters.timeouts == 0 { t.untilTimer() }
        t.app.expects(.ack, seq: 1, ack: 101, len: 512)
        t.app.expectsNothing()
        t.app.sacks((s(1), s(4)), ack: 513, win: 0xFFFF)
        t.app.expects(.ack, seq: 513, ack: 101, len: 488)
    }
}

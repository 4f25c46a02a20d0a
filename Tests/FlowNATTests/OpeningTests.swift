import Packets
import Primitives
import Testing

@testable import FlowNAT

/// From the SYN to the end of the handshake (RFC 9293, section 3.5), with the dial in between.
struct OpeningTests {
    @Test func nothingIsSaidBeforeTheDialIsDecided() {
        let t = Trace()
        t.app.sends(.syn, seq: 100, mss: 1460, ws: 7)
        t.reports(.connect)
        t.app.expectsNothing()
        #expect(t.timer == nil)
        t.after(.seconds(30))
        t.app.expectsNothing()

        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101, win: 0xFFFF, mss: 1460, ws: 5, gso: 0)
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: 1)
        t.reports(.established)
        t.app.expectsNothing()
        #expect(t.state == .established)
        #expect(t.nat.halfOpenCount == 0)
    }

    @Test func refusedIsAResetThatAcknowledgesTheSYN() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.owner.rejects(.refused)
        t.app.expects([.rst, .ack], seq: 0, ack: 101)
        t.reports(.connect)
        t.isOver()
        #expect(t.nat.counters.rejected == 1)
    }

    @Test(arguments: [
        (RejectReason.networkUnreachable, UInt8(0)), (.hostUnreachable, 1), (.prohibited, 13),
    ])
    func unreachableIsICMPAboutTheSYN(reason: RejectReason, code: UInt8) {
        let t = Trace()
        t.app.sends(.syn, seq: 0xFFFF_FFFF)
        t.owner.rejects(reason)
        t.app.expectsUnreachable(type: 3, code: code, seq: 0xFFFF_FFFF)
        t.reports(.connect)
        t.isOver()
    }

    @Test(arguments: [
        (RejectReason.networkUnreachable, UInt8(0)), (.hostUnreachable, 3), (.prohibited, 1),
    ])
    func unreachableIsICMPv6AboutTheSYN(reason: RejectReason, code: UInt8) {
        let t = Trace()
        t.source = Endpoint("[fd00::2]:40000")!
        t.destination = Endpoint("[2001:db8::1]:443")!
        t.app.sends(.syn, seq: 100)
        t.owner.rejects(reason)
        t.app.expectsUnreachable(type: 1, code: code, seq: 100)
        t.reports(.connect)
        t.isOver()
    }

    @Test func silenceIsSilence() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.owner.rejects(.silence)
        t.reports(.connect)
        t.isOver()
        // The application's next attempt is a new dial.
        t.app.sends(.syn, seq: 100)
        t.reports(.connect)
    }

    @Test func aRepeatedSYNChangesNothing() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.app.sends(.syn, seq: 100)
        t.app.sends(.syn, seq: 100)
        t.reports(.connect)
        t.app.expectsNothing()
        #expect(t.nat.flowCount == 1)
    }

    @Test func aNewSYNFromTheSamePortEndsTheOldAttempt() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.reports(.connect)
        let old = t.flow
        t.after(t.nat.settings.halfOpenPatience)
        t.app.sends(.syn, seq: 5_000)
        // The owner is still dialling for the first attempt and must hear that it is over.
        t.reports(.reset, .connect)
        #expect(t.flow != old)
        #expect(t.nat.flowCount == 1 && t.nat.halfOpenCount == 1)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 5_001)
    }

    @Test func aSYNWithFINDoesNotEndAnAttempt() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.app.sends([.syn, .fin], seq: 5_000)
        t.reports(.connect)
        #expect(t.state == .opening && t.nat.counters.ignoredWhileOpening == 1)
        // The SYN again is no surprise.
        t.app.sends(.syn, seq: 100)
        #expect(t.nat.counters.ignoredWhileOpening == 1)
    }

    @Test func aResetGivesTheAttemptUp() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.app.sends(.rst, seq: 102)  // not exact
        t.reports(.connect)
        #expect(t.state == .opening)
        t.app.sends(.rst, seq: 101)
        t.reports(.reset)
        #expect(t.nat.counters.ignoredWhileOpening == 1 && t.nat.counters.flowSegments == 2)
        t.owner.accepts()  // too late
        t.isOver()
    }

    @Test func theSYNACKIsRetransmittedAndGivenUp() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        for seconds in [1, 2, 4, 8, 16] {
            #expect(t.untilTimer() == .seconds(Int64(seconds)))
            t.app.expects([.syn, .ack], seq: 0, ack: 101)
        }
        #expect(t.untilTimer() == .seconds(32))
        t.reports(.connect, .reset)
        #expect(t.nat.counters.handshakeFailures == 1 && t.nat.counters.retransmissionFailures == 0)
        t.app.expects([.rst, .ack], seq: 1, ack: 101)
        t.isOver()
    }

    @Test func aRepeatedSYNBringsTheSYNACKAgain() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.after(.milliseconds(900))
        t.app.sends(.syn, seq: 100)
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.expectsNothing()
        // The timer keeps running, or a flood of SYNs would keep the half-open flow for ever.
        #expect(t.untilTimer() == .milliseconds(100))
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
    }

    @Test func aRepeatedSYNWithDataBringsTheSYNACKAgain() {
        let t = Trace()
        t.app.sends(.syn, seq: 100, len: 10)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends(.syn, seq: 100, len: 10)
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        // The data itself was not taken: it comes again after the handshake.
        t.app.sends(.ack, seq: 101, ack: 1, len: 10)
        t.deliveredInOrder(10)
    }

    /// Each would be a dial: SYNs of ever new numbers between the same ends get one now and then.
    @Test func manyAttemptsFromOnePortAreFewDials() {
        let t = Trace()
        for number in 0..<100 as Range<UInt32> { t.app.sends(.syn, seq: 100 + 1_000 * number) }
        t.reports(.connect)
        t.after(t.nat.settings.halfOpenPatience)
        for number in 0..<100 as Range<UInt32> { t.app.sends(.syn, seq: 200_100 + 1_000 * number) }
        t.reports(.reset, .connect)
    }

    @Test func anotherSYNDuringTheHandshakeIsChallenged() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        // RFC 5961, section 4: the application, in SYN-SENT again, answers the ACK with a RST that is exact.
        t.app.sends(.syn, seq: 90_000)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.app.sends(.rst, seq: 101)
        t.reports(.connect, .reset)
        t.isOver()
        #expect(t.nat.counters.challengeAcknowledgments == 1)
    }

    @Test func anACKOfSomethingElseDuringTheHandshakeIsReset() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 2)
        t.app.expects(.rst, seq: 2)
        #expect(t.state == .synReceived)
        t.app.sends(.ack, seq: 101, ack: 0)
        t.app.expects(.rst, seq: 0)
        t.app.sends(.ack, seq: 101, ack: 1)
        t.reports(.connect, .established)
    }

    @Test func dataMayFinishTheHandshake() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends([.ack, .fin], seq: 101, ack: 1, len: 5)
        t.reports(.connect, .established, .finished)
        t.app.expects(.ack, seq: 1, ack: 107)
        t.deliveredInOrder(5)
        #expect(t.state == .closeWait)
    }

    // MARK: Options

    @Test func withoutOptionsTheDefaultsOfTheFamilyCount() {
        for (source, destination, mss) in [
            ("10.0.0.2:40000", "192.0.2.1:443", 536), ("[fd00::2]:40000", "[2001:db8::1]:443", 1_220),
        ] {
            var settings = FlowSettings()
            settings.offload = false
            let t = Trace(settings: settings)
            t.source = Endpoint(source)!
            t.destination = Endpoint(destination)!
            t.app.opens(mss: nil, ws: nil)
            t.owner.writes(3_000)
            t.app.expects(.ack, seq: 1, ack: 101, len: mss)
        }
    }

    @Test func aTinyMSSHasAFloor() {
        var settings = FlowSettings()
        settings.offload = false
        let t = Trace(settings: settings)
        t.app.opens(mss: 1)
        t.owner.writes(3_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: TCPFlow.minimumSegmentSize)
    }

    @Test func aLargeMSSDoesNotPassTheMTU() {
        var settings = FlowSettings()
        settings.offload = false
        let t = Trace(settings: settings)
        t.app.opens(mss: 65_000)
        t.owner.writes(3_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_460)
    }

    @Test func withoutWindowScaleBothWindowsAreAsWritten() {
        let t = Trace()
        t.app.opens(win: 5_000, ws: nil)
        // Ours: the field is the window.
        t.app.sends(.ack, seq: 101, ack: 1, len: 1_000, win: 5_000)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 1_101, win: 0xFFFF - 1_000)
        // Theirs: no more than the field says.
        t.owner.writes(10_000)
        t.app.expects(.ack, seq: 1, ack: 1_101, len: 4_380)
        t.app.expectsNothing()
    }

    @Test func theWindowOfTheSYNIsNeverScaled() {
        let t = Trace()
        t.app.sends(.syn, seq: 100, win: 1_000, mss: 1460, ws: 7)
        t.owner.accepts()
        t.owner.writes(5_000)
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 1, win: 20)  // 20 << 7 = 2560
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_460)
    }

    @Test func anImmenseReceiveWindowStaysWithinTheScale() {
        var settings = FlowSettings()
        settings.receiveWindow = 1 << 40
        let t = Trace(settings: settings)
        t.app.sends(.syn, seq: 100, ws: 7)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101, win: 0xFFFF, ws: 14)
        t.app.sends([.ack, .fin], seq: 102, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 101, win: 0xFFFF)
    }
}

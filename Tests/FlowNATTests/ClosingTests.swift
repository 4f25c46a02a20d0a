import Packets
import Primitives
import Testing

@testable import FlowNAT

/// The ends of a connection (RFC 9293, section 3.6).
struct ClosingTests {
    /// One ACK takes the last bytes and the FIN: the owner is told of both.
    @Test func theLastBytesAreToldBeforeTheEnd() {
        let t = opened()
        t.app.sends([.fin, .ack], seq: 101, ack: 1)
        while t.nextPacket() != nil {}
        _ = t.takeReports()
        t.owner.writes(100)
        t.owner.finishes()
        t.app.expects([.psh, .fin, .ack], seq: 1, ack: 102, len: 100)
        t.app.sends(.ack, seq: 102, ack: 102)
        t.reports(.drained(100), .closed)
        t.isOver()
    }

    /// The owner closed first, the application followed: TIME-WAIT.
    private func waiting(_ change: (inout FlowSettings) -> Void = { _ in }) -> Trace {
        let t = opened(change)
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101)
        t.app.sends([.fin, .ack], seq: 101, ack: 2)
        t.app.expects(.ack, seq: 2, ack: 102)
        t.reports(.finished, .closed)
        #expect(t.state == .timeWait)
        return t
    }

    // MARK: Orders

    @Test func theApplicationClosesFirst() {
        let t = opened()
        t.app.sends([.fin, .ack], seq: 101, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 102)
        t.reports(.finished)
        #expect(t.state == .closeWait)
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 102)
        #expect(t.state == .lastAck)
        t.app.sends(.ack, seq: 102, ack: 2)
        t.reports(.closed)
        t.isOver()
    }

    @Test func theOwnerClosesFirst() {
        let t = opened()
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101)
        #expect(t.state == .finWait1)
        t.app.sends(.ack, seq: 101, ack: 2)
        #expect(t.state == .finWait2)
        t.reports()
        t.app.sends([.fin, .ack], seq: 101, ack: 2)
        t.app.expects(.ack, seq: 2, ack: 102)
        t.reports(.finished, .closed)
        #expect(t.state == .timeWait)
        #expect(t.nat.flowCount == 1 && t.nat.activeFlowCount == 0)
        #expect(t.untilTimer() == .seconds(10))
        t.isOver()
    }

    @Test func bothCloseAtOnce() {
        let t = opened()
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101)
        t.app.sends([.fin, .ack], seq: 101, ack: 1)  // crosses ours
        t.reports(.finished)
        #expect(t.state == .closing)
        t.app.expects(.ack, seq: 2, ack: 102)
        t.app.sends(.ack, seq: 102, ack: 2)
        t.reports(.closed)
        #expect(t.state == .timeWait)
        t.untilTimer()
        t.isOver()
    }

    @Test func aFINWithTextEndsBothInOneSegment() {
        let t = opened()
        t.owner.writes(100)
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101, len: 100)
        t.app.sends([.fin, .ack], seq: 101, ack: 102, len: 50)
        t.app.expects(.ack, seq: 102, ack: 152)
        t.reports(.drained(100), .finished, .closed)
        t.deliveredInOrder(50)
    }

    @Test func aFINBeforeItsTextWaits() {
        let t = opened()
        t.app.sends([.fin, .ack], seq: 201, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.reports()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.reports(.finished)
        t.app.expects(.ack, seq: 1, ack: 202)
        t.deliveredInOrder(100)
    }

    @Test func aFINJustBeyondAFullWindowIsTaken() {
        let t = opened { $0.receiveWindow = 4_000 }
        t.app.sends([.fin, .ack], seq: 101, ack: 1, len: 4_000)
        t.reports(.finished)
        t.app.expects(.ack, seq: 1, ack: 4_102, win: 0)
        // What acknowledges our side still counts.
        t.owner.writes(10)
        t.app.expects(.ack, seq: 1, ack: 4_102, len: 10)
        t.app.sends(.ack, seq: 4_102, ack: 11)
        t.reports(.drained(10))
    }

    @Test func finishingBeforeTheHandshakeIsRemembered() {
        let t = Trace()
        t.app.sends(.syn, seq: 100, ws: 7)
        t.owner.writes(10)
        t.owner.finishes()
        t.app.expectsNothing()
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 1)
        t.app.expects([.fin, .ack], seq: 1, ack: 101, len: 10)
    }

    // MARK: Half-close

    @Test func theApplicationMayListenForAnHourAfterItsFIN() {
        let t = opened()
        t.app.sends([.fin, .ack], seq: 101, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 102)
        t.reports(.finished)
        for minute in 0..<60 {
            t.after(.seconds(60))
            t.owner.writes(100)
            t.app.expects(.ack, seq: 1 + minute * 100, ack: 102, len: 100)
            t.app.sends(.ack, seq: 102, ack: 101 + minute * 100)
            t.reports(.drained(100))
        }
        t.after(.seconds(3_600))
        t.app.expectsNothing()
        #expect(t.state == .closeWait)
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 6_001, ack: 102)
        t.app.sends(.ack, seq: 102, ack: 6_002)
        t.reports(.closed)
        t.isOver()
    }

    @Test func theApplicationMaySendForAnHourAfterOurFIN() {
        let t = opened()
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 2)
        var sent: UInt32 = 101
        for _ in 0..<60 {
            t.after(.seconds(60))
            t.app.sends(.ack, seq: sent, ack: 2, len: 100)
            sent += 100
            t.untilTimer()
            t.app.expects(.ack, seq: 2, ack: sent)
            t.owner.releases(100)
        }
        t.after(.seconds(3_600))
        t.app.expectsNothing()
        #expect(t.state == .finWait2)
        t.deliveredInOrder(6_000)
        t.app.sends([.fin, .ack], seq: sent, ack: 2)
        t.reports(.finished, .closed)
    }

    // MARK: Loss

    @Test func aLostFINIsSentAgainAndGivenUp() {
        let t = opened()
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101)
        for _ in 0..<10 {
            t.untilTimer()
            t.app.expects([.fin, .ack], seq: 1, ack: 101)
        }
        t.untilTimer()
        t.app.expects([.rst, .ack], seq: 2, ack: 101)
        t.reports(.reset)
        #expect(t.nat.counters.retransmissionFailures == 1 && t.nat.counters.handshakeFailures == 0)
        t.isOver()
    }

    @Test func theLastFINIsSentAgainToo() {
        let t = opened()
        t.app.sends([.fin, .ack], seq: 101, ack: 1)
        t.owner.writes(10)
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 102, len: 10)
        t.untilTimer()
        t.app.expects([.fin, .ack], seq: 1, ack: 102, len: 10)
        t.app.sends(.ack, seq: 102, ack: 11)  // all but the FIN
        #expect(t.state == .lastAck)
        t.app.expectsNothing()
        t.untilTimer()
        t.app.expects([.fin, .ack], seq: 11, ack: 102)
        t.app.sends(.ack, seq: 102, ack: 12)
        t.reports(.finished, .drained(10), .closed)
        t.isOver()
    }

    @Test func aFINIsNotGivenUpWhileAShutWindowAnswers() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, win: 0)
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101)
        for _ in 0..<50 {
            t.app.sends(.ack, seq: 101, ack: 1, win: 0)
            t.app.expectsNothing()
            t.untilTimer()
            t.app.expects([.fin, .ack], seq: 1, ack: 101)
        }
        #expect(t.state == .finWait1)
    }

    @Test func aRepeatedFINIsAcknowledgedInEveryState() {
        let t = opened()
        t.app.sends([.fin, .ack], seq: 101, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 102)
        t.app.sends([.fin, .ack], seq: 101, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 102)
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 102)
        t.app.sends([.fin, .ack], seq: 101, ack: 1)
        t.app.expects(.ack, seq: 2, ack: 102)
        t.reports(.finished)
    }

    @Test func textAfterTheFINIsNotDelivered() {
        let t = opened()
        t.app.sends([.fin, .ack], seq: 101, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 102)
        t.app.sends(.ack, seq: 102, ack: 1, len: 10)
        t.app.expects(.ack, seq: 1, ack: 102)
        t.deliveredInOrder(0)
        #expect(t.nat.counters.textAfterFIN == 1 && t.nat.counters.outsideWindow == 0)
    }

    // MARK: TIME-WAIT

    @Test func aRepeatedFINStartsTIMEWAITAnew() {
        let t = waiting()
        t.after(.seconds(9))
        t.app.sends([.fin, .ack], seq: 101, ack: 2)
        t.app.expects(.ack, seq: 2, ack: 102)
        t.after(.seconds(9))
        #expect(t.state == .timeWait)
        t.after(.seconds(1))
        t.isOver()
    }

    @Test func aHigherSYNReusesTIMEWAIT() {
        let t = waiting()
        let old = t.natStart!
        t.natStart = nil
        t.app.sends(.syn, seq: 102)  // not higher: an old duplicate
        t.app.expects(.ack, seq: Int(old &+ 2), ack: 102)
        t.reports()
        t.app.sends(.syn, seq: 5_000)
        t.reports(.connect)
        #expect(t.nat.flowCount == 1 && t.nat.activeFlowCount == 1)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 5_001)
        // RFC 1122, section 4.2.2.13: above all that the old connection used.
        #expect(t.natStart! &- (old &+ 2) < 1 << 31 && t.natStart! != old)
    }

    @Test func aFastFlowIsOutrunByItsSuccessor() {
        // 4 MB in no time: more than RFC 6528's clock counts.
        let t = opened()
        var acknowledged = 1
        while acknowledged < 4_000_000 {
            t.owner.writes(1_000_000)
            while let packet = t.nextPacket() {
                acknowledged += packet.payload.count
                t.app.sends(.ack, seq: 101, ack: acknowledged)
            }
        }
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: acknowledged, ack: 101)
        t.app.sends([.fin, .ack], seq: 101, ack: acknowledged + 1)
        t.app.expects(.ack, seq: acknowledged + 1, ack: 102)
        let end = SequenceNumber(t.natStart!) + acknowledged + 1
        t.natStart = nil
        t.app.sends(.syn, seq: 5_000)
        _ = t.takeReports()
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 5_001)
        #expect(SequenceNumber(t.natStart!) > end)
    }

    @Test func aFullTableGivesTIMEWAITPlacesAway() {
        let t = waiting { $0.maximumFlows = 1 }
        t.flow = nil
        t.source = Endpoint("10.0.0.2:40001")!
        t.app.sends(.syn, seq: 7)
        t.reports(.connect)
        #expect(t.nat.flowCount == 1 && t.nat.activeFlowCount == 1)
        // A flow that is in use keeps its place.
        t.source = Endpoint("10.0.0.2:40002")!
        t.app.sends(.syn, seq: 7)
        t.reports()
        #expect(t.nat.counters.tableFull == 1)
        t.app.expectsNothing()
    }

    @Test func aFullHalfOpenTableDoesNotCostTIMEWAIT() {
        let t = waiting {
            $0.maximumHalfOpen = 1
            $0.maximumHalfOpenPerSource = 2
        }
        let flow = t.flow
        t.source.port = 7
        t.app.sends(.syn, seq: 5_000)
        t.reports(.connect)
        t.source.port = 40_000
        t.app.sends(.syn, seq: 5_000)
        t.reports()
        t.flow = flow
        #expect(t.state == .timeWait && t.nat.counters.halfOpenFull == 1)
    }

    @Test func abortInTIMEWAITSaysNothing() {
        let t = waiting()
        t.owner.aborts()
        t.isOver()
    }
}

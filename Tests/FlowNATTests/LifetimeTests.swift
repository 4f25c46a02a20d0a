import Packets
import Primitives
import Testing

@testable import FlowNAT

/// Flows whose other end says nothing: keepalive (RFC 9293, section 3.8.4), user timeout (3.8.3), a dial without answer.
struct LifetimeTests {
    /// Goes to the moment at which the flow's silence has consequences; returns how long that took.
    @discardableResult
    private func untilConsequence(_ t: Trace) -> Interval? {
        guard let deadline = t.flow.flatMap({ t.nat.lifetimeDeadline(of: $0) }) else { return nil }
        let waited = deadline - t.now
        t.after(waited)
        return waited
    }

    // MARK: Keepalive

    @Test func aSilentApplicationIsAsked() {
        let t = opened()
        #expect(untilConsequence(t) == .seconds(7_200))
        t.app.expects(.ack, seq: 0, ack: 101)  // SND.NXT - 1: it must answer
        t.app.expectsNothing()
        t.after(.milliseconds(1))
        t.app.sends(.ack, seq: 101, ack: 1)
        t.app.expectsNothing()
        #expect(untilConsequence(t) == .seconds(7_200))
        t.app.expects(.ack, seq: 0, ack: 101)
        #expect(t.nat.counters.keepalives == 2)
    }

    @Test func oneThatNeverAnswersIsGivenUp() {
        let t = opened {
            $0.keepaliveIdle = .seconds(100)
            $0.keepaliveInterval = .seconds(10)
            $0.keepaliveProbes = 3
        }
        #expect(untilConsequence(t) == .seconds(100))
        t.app.expects(.ack, seq: 0, ack: 101)
        for _ in 0..<2 {
            #expect(untilConsequence(t) == .seconds(10))
            t.app.expects(.ack, seq: 0, ack: 101)
        }
        t.reports()
        #expect(untilConsequence(t) == .seconds(10))
        t.app.expects([.rst, .ack], seq: 1, ack: 101)
        t.reports(.reset)
        t.isOver()
        #expect(t.nat.counters.keepaliveFailures == 1 && t.nat.counters.resetByUs == 1)
    }

    @Test func anAnswerBeginsTheCountAnew() {
        let t = opened {
            $0.keepaliveIdle = .seconds(100)
            $0.keepaliveInterval = .seconds(10)
            $0.keepaliveProbes = 2
        }
        for _ in 0..<5 {
            untilConsequence(t)
            t.app.expects(.ack, seq: 0, ack: 101)
            untilConsequence(t)
            t.app.expects(.ack, seq: 0, ack: 101)
            t.app.sends(.ack, seq: 101, ack: 1)
        }
        #expect(t.state == .established && t.nat.counters.keepaliveFailures == 0)
    }

    /// A half-closed flow stays as long as its application answers, and ends when that is gone.
    @Test(arguments: [TCPState.finWait2, .closeWait])
    func halfCloseHasNoTimeLimitButTheApplicationsLife(state: TCPState) {
        let t = Trace()
        t.bring(to: state)
        let (next, last): (UInt32, Int) = state == .finWait2 ? (101, 2) : (102, 1)
        for _ in 0..<20 {
            #expect(untilConsequence(t) == .seconds(7_200))
            t.app.expects(.ack, seq: last - 1, ack: next)
            t.app.sends(.ack, seq: next, ack: last)
        }
        #expect(t.state == state)
        for _ in 0..<10 { untilConsequence(t) }
        while t.nextPacket() != nil {}
        t.reports(.reset)
        t.isOver()
    }

    @Test func aResetInAnswerEndsTheFlow() {
        let t = opened()
        untilConsequence(t)
        t.app.expects(.ack, seq: 0, ack: 101)
        t.app.sends(.rst, seq: 101)  // the host has started anew and knows nothing
        t.reports(.reset)
        t.isOver()
    }

    @Test func keepalivesCanBeOff() {
        let t = opened { $0.keepaliveIdle = nil }
        t.after(.seconds(200))  // the entry of the dial's time is still in the heap
        #expect(t.flow.flatMap { t.nat.lifetimeDeadline(of: $0) } == nil && t.nat.nextDeadline == nil)
    }

    @Test func noKeepaliveWhileSomethingIsInFlight() {
        let t = opened {
            $0.keepaliveIdle = .milliseconds(100)
            $0.keepaliveInterval = .milliseconds(10)
        }
        t.owner.writes(10)
        t.app.expects(.ack, seq: 1, ack: 101, len: 10)
        t.after(.milliseconds(150))
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: 11)
        #expect(untilConsequence(t) == .milliseconds(100))
        t.app.expects(.ack, seq: 10, ack: 101)
    }

    // MARK: User timeout

    @Test func dataThatIsNeverAcknowledgedEndsTheFlow() {
        let t = opened {
            $0.userTimeout = .seconds(20)
            $0.maximumRetransmissions = 1_000
        }
        t.owner.writes(1_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_000)
        let start = t.now
        while t.state != nil, let deadline = t.nat.nextDeadline {
            t.now = deadline
            t.nat.handleTimeout(now: deadline)
            while t.state != nil, t.nextPacket() != nil {}
        }
        #expect(t.now - start == .seconds(20))
        t.app.expects([.rst, .ack], seq: 1_001, ack: 101)
        t.reports(.reset)
        t.isOver()
        #expect(t.nat.counters.userTimeouts == 1)
    }

    @Test func everyProgressBeginsTheTimeAnew() {
        let t = opened { $0.userTimeout = .seconds(20) }
        t.owner.writes(1_000)
        for byte in 1...10 {
            while t.nextPacket() != nil {}
            #expect(t.nat.lifetimeDeadline(of: t.flow!).map { $0 - t.now } == .seconds(20))
            t.now = t.now + .seconds(19)
            t.app.sends(.ack, seq: 101, ack: 1 + byte)
        }
        #expect(t.state == .established)
        t.app.sends(.ack, seq: 101, ack: 1_001)
        #expect(t.nat.lifetimeDeadline(of: t.flow!).map { $0 - t.now } == .seconds(7_200))
    }

    /// RFC 9293, section 3.8.6.1: a window may stay shut for as long as its owner answers.
    @Test func aShutWindowThatAnswersIsNoReason() {
        let t = opened(win: 0) {
            $0.userTimeout = .seconds(20)
            $0.maximumRetransmissions = 5
        }
        t.owner.writes(1_000)
        t.app.expectsNothing()
        for _ in 0..<100 {
            t.untilTimer()
            while t.nextPacket() != nil {}
            t.app.sends(.ack, seq: 101, ack: 1, win: 0)
        }
        #expect(t.state == .established && t.nat.counters.userTimeouts == 0)
        // Nobody answers any more.
        while t.state != nil, let deadline = t.nat.nextDeadline {
            t.now = deadline
            t.nat.handleTimeout(now: deadline)
            while t.state != nil, t.nextPacket() != nil {}
        }
        t.reports(.reset)
    }

    @Test func aFINThatIsNeverAcknowledgedEndsTheFlow() {
        let t = opened { $0.userTimeout = .seconds(5) }
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101)
        #expect(untilConsequence(t) == .seconds(5))
        t.app.expects([.rst, .ack], seq: 2, ack: 101)
        t.reports(.reset)
        t.isOver()
    }

    // MARK: The dial

    @Test func aDialWithoutAnswerEndsInSilence() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.reports(.connect)
        t.after(.seconds(120))
        t.app.sends(.syn, seq: 100)  // its SYNs do not make it longer
        #expect(t.state == .opening)
        #expect(untilConsequence(t) == .seconds(10))
        t.reports(.reset)
        t.isOver()
        #expect(t.nat.counters.dialTimeouts == 1)
        t.owner.accepts()  // too late
        t.isOver()
    }

    @Test func anAcceptedFlowIsBoundByItsHandshake() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.after(.seconds(129))
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.after(.milliseconds(500))
        #expect(t.flow.flatMap { t.nat.lifetimeDeadline(of: $0) } == nil && t.state == .synReceived)
        t.app.sends(.ack, seq: 101, ack: 1)
        #expect(t.state == .established)
    }
}

import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Answers to what should not have come are few, so that nobody can use them for a flood or a loop.
struct AnswerRateTests {
    private func drain(_ t: Trace) -> Int {
        var count = 0
        while t.nextPacket() != nil { count += 1 }
        return count
    }

    /// RFC 5961, section 7: 10 in 5 s.
    @Test func emptySegmentsOutOfPlace() {
        let t = opened()
        var answers = 0
        for _ in 0..<100 {
            t.app.sends(.ack, seq: 90, ack: 1)
            answers += drain(t)
        }
        #expect(answers == 10 && t.nat.counters.acknowledgmentsSkipped == 90)
        t.after(.milliseconds(4_999))
        t.app.sends(.ack, seq: 90, ack: 1)
        t.app.expectsNothing()
        t.after(.milliseconds(1))
        t.app.sends(.ack, seq: 90, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 101)
    }

    /// A sender that repeats its text or its FIN waits for the answer.
    @Test func whatWaitsForAnAnswerGetsOne() {
        let t = opened()
        t.app.sends([.fin, .ack], seq: 101, ack: 1, len: 10)
        _ = drain(t)
        for _ in 0..<50 {
            t.app.sends(.ack, seq: 101, ack: 1, len: 10)
            t.app.expects(.ack, seq: 1, ack: 112)
            t.app.sends([.fin, .ack], seq: 111, ack: 1)
            t.app.expects(.ack, seq: 1, ack: 112)
        }
        #expect(t.nat.counters.acknowledgmentsSkipped == 0)
    }

    /// The ACK in a segment counts even if the segment itself is not answered.
    @Test func anUnansweredSegmentStillCounts() {
        let t = opened { $0.receiveWindow = 4_000 }
        t.app.sends(.ack, seq: 101, ack: 1, len: 4_000)
        for _ in 0..<20 { t.app.sends(.ack, seq: 4_100, ack: 1) }
        _ = drain(t)
        t.owner.writes(100)
        _ = drain(t)
        t.app.sends(.ack, seq: 4_101, ack: 101)
        t.reports(.drained(100))
    }

    @Test func challengesOfOneFlow() {
        let t = opened()
        var answers = 0
        for _ in 0..<100 {
            t.app.sends(.rst, seq: 102)
            answers += drain(t)
            t.app.sends(.syn, seq: 900)
            answers += drain(t)
        }
        #expect(answers == 10 && t.nat.counters.challengeAcknowledgments == 10)
        #expect(t.nat.counters.acknowledgmentsSkipped == 190 && t.nat.counters.challengesSkipped == 0)
        t.reports()
    }

    @Test func resetsToNobody() {
        let t = Trace()
        t.isPlain = false
        var answers = 0
        for number in 0..<2_000 {
            t.source.port = UInt16(1 + number)
            t.app.sends(.ack, seq: 100, ack: 5)
            answers += drain(t)
        }
        #expect(answers == 1_000 && t.nat.counters.resetsSent == 1_000 && t.nat.counters.resetsSkipped == 1_000)
        #expect(t.nat.counters.noFlow == 2_000)
        t.after(.seconds(1))
        t.app.sends(.ack, seq: 100, ack: 5)
        t.app.expects(.rst, seq: 5)
    }

    /// Two flows that were made to face each other, as forged addresses can do, and that agree in no number: each answers
    /// the other's ACKs with ACKs. That must not run at the speed of the machine.
    @Test func twoFlowsDoNotPlayPingPong() {
        let ends = [Endpoint("10.0.0.2:40000")!, Endpoint("192.0.2.1:443")!]
        let traces = [Trace(seed: 1), Trace(seed: 2)]
        for (number, t) in traces.enumerated() {
            (t.source, t.destination) = (ends[number], ends[1 - number])
            t.app.opens()
        }
        // The spark: an ACK that fits nowhere.
        traces[0].app.sends(.ack, seq: 50, ack: 1)
        var packets = 0
        for _ in 0..<20_000 {
            for (number, t) in traces.enumerated() {
                while let packet = t.nextPacket() {
                    packets += 1
                    traces[1 - number].inject(packet.bytes)
                }
                t.after(.milliseconds(1))
            }
        }
        // 20 s: four periods and one more, ten ACKs of each side in every one.
        #expect(packets > 1 && packets <= 2 * 5 * 10, "\(packets)")
        #expect(traces.allSatisfy { $0.state == .established })
    }
}

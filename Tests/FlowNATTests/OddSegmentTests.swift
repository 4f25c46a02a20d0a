import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Segments that are lawful, or nearly, but that few applications' kernels send. By state.
struct OddSegmentTests {
    // MARK: Opening

    @Test func textOnTheSYNIsDroppedAndComesAgain() {
        // RFC 9293, section 3.10.7.2 lets a listener keep it; it need not, and nothing is kept before the dial.
        let t = Trace()
        t.app.sends(.syn, seq: 100, len: 500, mss: 1_460, ws: 7)
        t.reports(.connect)
        #expect(t.pool.outstanding == 0)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 1)
        t.reports(.established)
        t.deliveredInOrder(0)
        t.app.sends(.ack, seq: 101, ack: 1, len: 500)
        t.deliveredInOrder(500)
    }

    @Test(arguments: [[34, 2], [34, 10, 1, 2, 3, 4, 5, 6, 7, 8], [254, 4, 0xF9, 0x89]] as [[UInt8]])
    func aFastOpenCookieIsNotAnswered(option: [UInt8]) {
        // RFC 7413 is not offered: no cookie comes back, and the client falls back to the plain handshake.
        let t = Trace()
        t.app.sends(.syn, seq: 100, rawOptions: [2, 4, 5, 180] + option)
        t.reports(.connect)
        t.owner.accepts()
        let answer = t.app.expects([.syn, .ack], seq: 0, ack: 101, mss: 1_460)
        #expect(answer?.tcp?.headerLength == 24)
    }

    @Test(arguments: 0..<40 as Range<Int>)
    func optionsCutOffAnywhereAreReadAsFarAsTheyGo(length: Int) {
        // MSS, window scale, SACK-permitted and timestamps as Linux sends them.
        let whole: [UInt8] = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 3, 232, 0, 0, 0, 0, 1, 3, 3, 7]
        let t = Trace()
        let end = min(length, whole.count)
        let cut = Array(whole[..<end]) + [UInt8](repeating: 1, count: max(0, length - whole.count))
        t.app.sends(.syn, seq: 100, rawOptions: cut)
        t.reports(.connect)
        t.owner.accepts()
        let options = t.app.expects([.syn, .ack], seq: 0, ack: 101)?.tcp?.options
        #expect(options?.sackPermitted == (end >= 6))
        // A word is filled up with zeros, which may be just what was cut off of a value.
        #expect((options?.timestamps != nil) == (end > 12))
        #expect((options?.windowScale != nil) == (end > 18))
    }

    @Test(arguments: 0..<100 as Range<UInt64>)
    func nonsenseInPlaceOfOptionsHurtsNobody(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let t = Trace()
        func nonsense() -> [UInt8] {
            (0..<Int.random(in: 0...40, using: &random)).map { _ in
                random.chance(0.5) ? .random(in: 0...8, using: &random) : .random(in: 0 ... .max, using: &random)
            }
        }
        t.app.sends(.syn, seq: 100, rawOptions: nonsense())
        t.reports(.connect)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 1, rawOptions: nonsense())
        for _ in 0..<20 {
            t.owner.writes(100)
            t.app.sends(.ack, seq: 101, ack: 1, rawOptions: nonsense())
            while t.nextPacket() != nil {}
        }
        t.owner.aborts()
        while t.nextPacket() != nil {}
        _ = t.takeReports()
        t.isOver()
    }

    // MARK: Established

    @Test(arguments: [0, 1, 50, 100, 101, 0xFFFF] as [UInt16])
    func urgentTextIsDeliveredInItsPlace(pointer: UInt16) {
        // RFC 6093, section 4: as if URG were not set, wherever the pointer points.
        let t = Trace()
        t.opens()
        t.app.sends([.ack, .urg], seq: 101, ack: 1, len: 100, options: .none, urgent: pointer)
        t.app.sends(.ack, seq: 201, ack: 1, len: 50)
        t.deliveredInOrder(150)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 251)
    }

    @Test func urgentTextBeforeItsTurnWaits() {
        let t = Trace()
        t.opens()
        t.app.sends([.ack, .urg], seq: 201, ack: 1, len: 1, options: .none, urgent: 1)
        t.deliveredInOrder(0)
        t.app.sends([.ack, .urg], seq: 101, ack: 1, len: 100, options: .none, urgent: 101)
        t.deliveredInOrder(101)
    }

    @Test func anUrgentPointerWithoutTextSaysNothing() {
        // A BSD announces urgent text that a shut window keeps back.
        let t = Trace()
        t.opens()
        t.app.sends([.ack, .urg], seq: 101, ack: 1, options: .none, urgent: 9_000)
        t.app.expectsNothing()
        t.deliveredInOrder(0)
        #expect(t.state == .established)
    }

    // MARK: Closing at the same time (RFC 9293, section 3.6, figure 13)

    private func closing() -> Trace {
        let t = Trace()
        t.opens()
        t.owner.finishes()
        t.app.expects([.ack, .fin], seq: 1, ack: 101)
        return t
    }

    @Test func bothFINsCrossAndTheirACKsToo() {
        let t = closing()
        t.app.sends([.ack, .fin], seq: 101, ack: 1)
        #expect(t.state == .closing)
        t.reports(.finished)
        t.app.expects(.ack, seq: 2, ack: 102)
        t.app.sends(.ack, seq: 102, ack: 2)
        #expect(t.state == .timeWait)
        t.reports(.closed)
        t.untilTimer()
        t.isOver()
    }

    @Test func theACKOvertakesTheFINThatCrossed() {
        let t = closing()
        // The application's ACK of our FIN has a number above its own FIN, which comes late.
        t.app.sends(.ack, seq: 102, ack: 2)
        #expect(t.state == .finWait2)
        t.app.sends([.ack, .fin], seq: 101, ack: 1)
        #expect(t.state == .timeWait)
        t.reports(.finished, .closed)
        t.app.expects(.ack, seq: 2, ack: 102)
        t.untilTimer()
        t.isOver()
    }

    @Test func ourFINIsLostAsTheyCross() {
        let t = closing()
        t.app.sends([.ack, .fin], seq: 101, ack: 1)
        t.app.expects(.ack, seq: 2, ack: 102)
        t.untilTimer()
        t.app.expects([.ack, .fin], seq: 1, ack: 102)
        t.app.sends(.ack, seq: 102, ack: 2)
        #expect(t.state == .timeWait)
    }

    @Test func theirFINIsLostAsTheyCross() {
        let t = closing()
        t.app.sends(.ack, seq: 102, ack: 2)
        #expect(t.state == .finWait2)
        t.app.sends([.ack, .fin], seq: 101, ack: 2)
        t.reports(.finished, .closed)
        t.app.sends([.ack, .fin], seq: 101, ack: 2)
        t.app.expects(.ack, seq: 2, ack: 102)
        #expect(t.state == .timeWait)
    }

    // MARK: TIME-WAIT

    @Test func aResetDoesNotEndTIMEWAIT() {
        // RFC 1337, section 3, fix F1.
        let t = closing()
        t.app.sends([.ack, .fin], seq: 101, ack: 2)
        t.app.expects(.ack, seq: 2, ack: 102)
        t.reports(.finished, .closed)
        let end = t.timer
        for seq in [101, 102, 103] as [UInt32] { t.app.sends(.rst, seq: seq) }
        t.app.expectsNothing()
        #expect(t.state == .timeWait && t.timer == end)
        #expect(t.nat.counters.resetsInTimeWait == 2 && t.nat.counters.outsideWindow == 1)
        t.reports()
        t.untilTimer()
        t.isOver()
    }
}

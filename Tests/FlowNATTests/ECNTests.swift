import Packets
import Primitives
import Testing

@testable import FlowNAT

/// Explicit congestion notification (RFC 3168, section 6.1).
struct ECNTests {
    private static let capable: UInt8 = 2
    private static let experienced: UInt8 = 3

    private func opened(_ change: (inout FlowSettings) -> Void = { _ in }) -> Trace {
        var settings = FlowSettings()
        change(&settings)
        let t = Trace(settings: settings)
        t.opens(ecn: true)
        return t
    }

    // MARK: Agreement

    @Test(arguments: [TCPFlags.syn, [.syn, .ece], [.syn, .cwr]])
    func withoutAnECNSetupSYNThereIsNone(flags: TCPFlags) {
        let t = Trace()
        t.app.sends(flags, seq: 100)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 1)
        t.app.sends(.ack, seq: 101, ack: 1, len: 10, options: .none, trafficClass: Self.experienced)
        t.owner.writes(10)
        #expect(t.app.expects(.ack, seq: 1, ack: 111, len: 10)?.congestionField == 0)
    }

    @Test func switchedOffThereIsNone() {
        var settings = FlowSettings()
        settings.ecn = false
        let t = Trace(settings: settings)
        t.app.sends([.syn, .ece, .cwr], seq: 100)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
    }

    @Test func theSYNACKItselfIsNotCapable() {
        let t = Trace()
        t.app.sends([.syn, .ece, .cwr], seq: 100)
        t.owner.accepts()
        #expect(t.app.expects([.syn, .ack, .ece], seq: 0, ack: 101)?.congestionField == 0)
    }

    @Test func aRepeatedSYNWithoutTheBitsTakesItBack() {
        let t = Trace()
        t.app.sends([.syn, .ece, .cwr], seq: 100)
        t.app.sends(.syn, seq: 100)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        let u = Trace()
        u.app.sends([.syn, .ece, .cwr], seq: 100)
        u.owner.accepts()
        u.app.expects([.syn, .ack, .ece], seq: 0, ack: 101)
        u.app.sends(.syn, seq: 100)
        u.app.expects([.syn, .ack], seq: 0, ack: 101)
        u.app.sends(.ack, seq: 101, ack: 1)
        u.owner.writes(10)
        #expect(u.app.expects(.ack, seq: 1, ack: 101, len: 10)?.congestionField == 0)
    }

    // MARK: Receiving

    @Test func aMarkIsEchoedUntilTheApplicationConfirms() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, options: .none, trafficClass: Self.experienced)
        t.app.expects([.ack, .ece], seq: 1, ack: 201)
        t.app.sends(.ack, seq: 201, ack: 1, len: 100, options: .none, trafficClass: Self.capable)
        t.owner.writes(10)
        t.app.expects([.ack, .ece], seq: 1, ack: 301, len: 10)
        t.app.sends([.ack, .cwr], seq: 301, ack: 11, len: 100)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 11, ack: 401)
        #expect(t.nat.counters.congestionMarks == 1)
    }

    @Test func aConfirmationThatIsMarkedItselfBeginsAnew() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, options: .none, trafficClass: Self.experienced)
        t.app.expects([.ack, .ece], seq: 1, ack: 201)
        t.app.sends([.ack, .cwr], seq: 201, ack: 1, len: 100, options: .none, trafficClass: Self.experienced)
        t.app.expects([.ack, .ece], seq: 1, ack: 301)
    }

    @Test func aMarkOutsideTheWindowOrWithoutTextIsNoMark() {
        let t = opened()
        t.app.sends(.ack, seq: 5_000_000, ack: 1, len: 100, options: .none, trafficClass: Self.experienced)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 1, options: .none, trafficClass: Self.experienced)
        t.app.sends(.ack, seq: 100, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 101)
        #expect(t.nat.counters.congestionMarks == 0)
    }

    @Test func aMarkedSuperSegmentIsMarkedWhole() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 50_000, options: .none, trafficClass: Self.experienced)
        t.app.expects([.ack, .ece], seq: 1, ack: 50_101)
        #expect(t.nat.counters.congestionMarks == 1)
    }

    // MARK: Sending

    @Test func newTextIsCapableAndNothingElseIs() {
        let t = opened()
        t.owner.writes(1_000)
        #expect(t.app.expects(.ack, seq: 1, ack: 101, len: 1_000)?.congestionField == Self.capable)
        t.app.sends(.ack, seq: 100, ack: 1)
        #expect(t.app.expects(.ack, seq: 1_001, ack: 101)?.congestionField == 0)
        t.untilTimer()
        #expect(t.app.expects(.ack, seq: 1, ack: 101, len: 1_000)?.congestionField == 0)
    }

    @Test func aWindowProbeIsNotCapable() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, win: 0, options: .none)
        t.owner.writes(100)
        t.app.expectsNothing()
        t.untilTimer()
        #expect(t.app.expects(.ack, seq: 1, ack: 101, len: 1)?.congestionField == 0)
    }

    /// Sends until the congestion window is full; returns the bytes in flight.
    private func fill(_ t: Trace, from start: Int) -> Int {
        t.owner.writes(200_000)
        var end = start
        while let packet = t.nextPacket() { end += packet.payload.count }
        return end
    }

    @Test func anEchoReducesOnceForEachWindow() {
        let t = opened()
        let flight = fill(t, from: 1)
        #expect(flight == 1 + 14_600)
        // The window falls to seven tenths (RFC 9438, section 4.6), and more than that is still in flight after both.
        t.app.sends([.ack, .ece], seq: 101, ack: 1 + 1_460)
        t.app.sends([.ack, .ece], seq: 101, ack: 1 + 4_380)
        #expect(t.nat.counters.congestionEchoes == 1)
        t.app.sends([.ack, .ece], seq: 101, ack: 1 + 5_840)
        let first = t.app.expects([.ack, .cwr], seq: flight, ack: 101, len: 1_460)
        #expect(first?.congestionField == Self.capable)
        // All of the old flight is acknowledged, still with ECE: the same event.
        t.app.sends([.ack, .ece], seq: 101, ack: flight)
        #expect(t.nat.counters.congestionEchoes == 1)
        let next = fill(t, from: flight + 1_460)
        #expect(next > flight + 1_460)
        // An ACK of what was sent after the reduction is news.
        t.app.sends([.ack, .ece], seq: 101, ack: flight + 2_920)
        #expect(t.nat.counters.congestionEchoes == 2)
    }

    @Test func theConfirmationOfASuperSegmentIsOnItsFirstSegment() {
        let t = opened()
        let flight = fill(t, from: 1)
        t.app.sends([.ack, .ece], seq: 101, ack: flight)
        let packet = t.app.expects([.ack, .cwr], seq: flight, ack: 101, len: 10_220, gso: 1_460)
        #expect(packet?.header.ecn == true)
        t.app.sends(.ack, seq: 101, ack: flight + 10_220)
        let later = t.nextPacket()
        #expect(later?.tcp?.flags.contains(.cwr) == false && later?.header.ecn == false)
    }

    @Test func aLossIsConfirmedOnNewTextNotOnTheRetransmission() {
        let t = opened()
        let flight = fill(t, from: 1)
        t.untilTimer()
        let again = t.nextPacket()
        #expect(again?.tcp?.flags.contains(.cwr) == false && again?.congestionField == 0)
        while t.nextPacket() != nil {}
        t.app.sends(.ack, seq: 101, ack: flight)
        let next = t.nextPacket()
        #expect(next?.tcp?.flags.contains(.cwr) == true && next?.congestionField == Self.capable)
        #expect(next.map { Int($0.tcp!.sequence.rawValue &- t.natStart!) } == flight)
    }

    @Test func anEchoWithNothingInFlightIsIgnored() {
        let t = opened()
        t.app.sends([.ack, .ece], seq: 101, ack: 1)
        t.owner.writes(100)
        t.app.expects(.ack, seq: 1, ack: 101, len: 100)
        #expect(t.nat.counters.congestionEchoes == 0)
    }

    @Test func anEchoWithAnImpossibleACKIsIgnored() {
        let t = opened()
        _ = fill(t, from: 1)
        t.app.sends([.ack, .ece], seq: 101, ack: 1_000_000)
        #expect(t.nat.counters.congestionEchoes == 0)
    }
}

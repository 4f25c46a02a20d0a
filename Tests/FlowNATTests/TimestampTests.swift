import Packets
import Primitives
import Testing

@testable import FlowNAT

/// Timestamps and PAWS (RFC 7323), and what they do for TIME-WAIT (RFC 6191).
struct TimestampTests {
    private func opened(ts: UInt32 = 1_000, _ change: (inout FlowSettings) -> Void = { _ in }) -> Trace {
        var settings = FlowSettings()
        change(&settings)
        let t = Trace(settings: settings)
        t.opens(ts: ts)
        return t
    }

    // MARK: Agreement

    @Test func withoutTheOptionInTheSYNThereIsNone() {
        let t = Trace()
        t.opens()
        t.app.sends(.ack, seq: 101, ack: 1, len: 10, ts: 5)
        t.owner.writes(10)
        #expect(t.app.expects(.ack, seq: 1, ack: 111, len: 10)?.timestamps == nil)
    }

    @Test func switchedOffThereIsNone() {
        var settings = FlowSettings()
        settings.timestamps = false
        let t = Trace(settings: settings)
        t.app.sends(.syn, seq: 100, ts: 1_000)
        t.owner.accepts()
        #expect(t.app.expects([.syn, .ack], seq: 0, ack: 101)?.timestamps == nil)
    }

    @Test func everySegmentCarriesThemAndIsSmallerByTheirLength() {
        let t = opened()
        t.owner.writes(3_000)
        let whole = t.app.expects(.ack, seq: 1, len: 3_000, gso: 1_448)
        #expect(whole?.timestamps?.echo == 1_000)
        #expect(whole?.header.headerLength == 52)
    }

    @Test func withoutOffloadNoPacketIsLargerThanTheMTU() {
        let t = opened { $0.offload = false }
        t.owner.writes(3_000)
        #expect(t.app.expects(.ack, seq: 1, len: 1_448)?.bytes.count == 1_500)
        t.app.expects(.ack, seq: 1_449, len: 1_448)
        t.app.expects(.ack, seq: 2_897, len: 104)
    }

    @Test func aSuperSegmentWithOptionsIsNoLargerThanAnIPPacket() {
        let t = opened()
        t.owner.writes(400_000)
        for _ in 0..<30 {
            guard let packet = t.nextPacket(), let tcp = packet.tcp else { break }
            let isLast = tcp.flags.contains(.psh)
            #expect(packet.bytes.count <= 0xFFFF && (isLast || packet.payload.count % 1_448 == 0))
            t.app.sends(
                .ack, seq: 101, ack: Int((tcp.sequence + packet.payload.count).rawValue &- t.natStart!), ts: 1_001)
        }
        #expect(t.nat.counters.bytesOut > 300_000)
    }

    @Test func aResetCarriesNone() {
        let t = opened()
        t.owner.aborts()
        #expect(t.app.expects([.rst, .ack], seq: 1, ack: 101)?.timestamps == nil)
    }

    @Test func ourClockCountsMillisecondsFromSomewhere() {
        let t = opened()
        var values: [UInt32] = []
        for i in 0..<3 as Range<UInt32> {
            t.app.sends(.ack, seq: 100, ack: 1, ts: 1_000 + i)
            values.append(t.app.expects(.ack, seq: 1, ack: 101)?.timestamps?.value ?? 0)
            t.after(.milliseconds(70))
        }
        #expect(values[1] &- values[0] == 70 && values[2] &- values[1] == 70)
        #expect(values[0] != UInt32(truncatingIfNeeded: t.now.nanoseconds / 1_000_000))
    }

    @Test func theClockDiffersByAddressesAndGoesOnBetweenTheSame() {
        let t = Trace()
        func value(port: UInt16) -> UInt32 {
            t.source.port = port
            t.flow = nil
            t.natStart = nil
            t.app.sends(.syn, seq: 100, ts: 1)
            t.owner.accepts()
            defer {
                t.owner.aborts()
                while t.nextPacket() != nil {}
                _ = t.takeReports()
            }
            return t.app.expects([.syn, .ack], seq: 0, ack: 101)?.timestamps?.value ?? 0
        }
        let first = value(port: 1)
        #expect(value(port: 2) != first)
        t.after(.milliseconds(10))
        #expect(value(port: 1) == first &+ 10)
    }

    // MARK: TS.Recent

    @Test func theEchoIsOfTheSegmentThatMovedTheEdge() {
        // RFC 7323, section 4.3, case A: a delayed ACK echoes the first of those that it acknowledges.
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, ts: 1_010)
        t.app.sends(.ack, seq: 201, ack: 1, len: 100, ts: 1_020)
        t.after(.milliseconds(5))
        #expect(t.app.expects(.ack, seq: 1, ack: 301)?.timestamps?.echo == 1_010)
    }

    @Test func aHoleIsEchoedByTheSegmentBeforeIt() {
        // RFC 7323, section 4.3, case B: what comes behind a hole does not change the echo; what fills it does.
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, ts: 1_010)
        t.after(.milliseconds(5))
        #expect(t.app.expects(.ack, seq: 1, ack: 201)?.timestamps?.echo == 1_010)
        t.app.sends(.ack, seq: 301, ack: 1, len: 100, ts: 1_030)
        #expect(t.app.expects(.ack, seq: 1, ack: 201)?.timestamps?.echo == 1_010)
        t.app.sends(.ack, seq: 201, ack: 1, len: 100, ts: 1_020)
        #expect(t.app.expects(.ack, seq: 1, ack: 401)?.timestamps?.echo == 1_020)
        t.deliveredInOrder(300)
    }

    @Test func theEchoOfAnACKIsKeptForRecovery() {
        let t = opened()
        t.owner.writes(10)
        let value = t.app.expects(.ack, seq: 1, len: 10)?.timestamps?.value
        t.app.sends(.ack, seq: 101, ack: 11, ts: 1_001, echo: value!)
        #expect(t.lastEcho == value)
        t.app.sends(.ack, seq: 101, ack: 11, ts: 900, echo: 7)  // old: not believed
        #expect(t.lastEcho == value)
    }

    // MARK: PAWS

    @Test func anOldSegmentInTheWindowIsNotDelivered() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, ts: 999)
        t.deliveredInOrder(0)
        #expect(t.app.expects(.ack, seq: 1, ack: 101)?.timestamps?.echo == 1_000)
        #expect(t.nat.counters.oldTimestamps == 1)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, ts: 1_000)
        t.deliveredInOrder(100)
    }

    @Test func valuesWrapAround() {
        let t = opened(ts: 0xFFFF_FFF0)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, ts: 5)
        t.deliveredInOrder(100)
        t.after(.milliseconds(5))
        #expect(t.app.expects(.ack, seq: 1, ack: 201)?.timestamps?.echo == 5)
        t.app.sends(.ack, seq: 201, ack: 1, len: 100, ts: 0xFFFF_FFFF)
        t.deliveredInOrder(100)
    }

    @Test func anACKThatWasOvertakenIsDroppedInSilence() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, ts: 1_020)
        t.app.sends(.ack, seq: 101, ack: 1, ts: 1_010)
        t.app.expectsNothing()
        #expect(t.nat.counters.oldTimestamps == 1)
    }

    @Test func anOldACKOfWhatIsOutstandingDoesNotCount() {
        let t = opened()
        t.owner.writes(10)
        t.app.expects(.ack, seq: 1, len: 10)
        t.app.sends(.ack, seq: 101, ack: 11, ts: 999)
        t.reports()
        t.app.expects(.ack, seq: 11, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 11, ts: 1_001)
        t.reports(.drained(10))
    }

    @Test func aResetNeedsNoTimestampAndAnOldOneDoesNotMatter() {
        let t = opened()
        t.app.sends(.rst, seq: 101)
        t.reports(.reset)
        let u = opened()
        u.app.sends(.rst, seq: 101, ts: 1)
        u.reports(.reset)
    }

    @Test func aSegmentWithoutTheOptionIsDroppedInSilence() {
        // RFC 7323, section 3.2. The connection is not aborted.
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.app.expectsNothing()
        t.deliveredInOrder(0)
        #expect(t.nat.counters.missingTimestamps == 1)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, ts: 1_001)
        t.deliveredInOrder(100)
    }

    @Test func aSYNOfAKernelThatForgotIsChallengedWithoutTheOption() {
        let t = opened()
        t.app.sends(.syn, seq: 9_000, mss: 1_460)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.app.sends(.rst, seq: 101)
        t.reports(.reset)
    }

    @Test func afterLongSilenceAnOldValueProvesNothing() {
        let t = opened { $0.keepaliveIdle = nil }
        t.after(.seconds(24 * 86_400 - 1))
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, ts: 999)
        t.deliveredInOrder(0)
        t.after(.seconds(1))
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, ts: 999)
        t.deliveredInOrder(100)
    }

    @Test func aRepeatedSYNIsEchoedWithItsNewValue() {
        let t = Trace()
        t.app.sends(.syn, seq: 100, ts: 1_000)
        t.app.sends(.syn, seq: 100, ts: 2_000)
        t.owner.accepts()
        #expect(t.app.expects([.syn, .ack], seq: 0, ack: 101)?.timestamps?.echo == 2_000)
        t.app.sends(.syn, seq: 100, ts: 3_000)
        #expect(t.app.expects([.syn, .ack], seq: 0, ack: 101)?.timestamps?.echo == 3_000)
    }

    /// RFC 7323, section 5.5: a value of 24 days ago proves nothing, and gives way.
    @Test func aRecentValueOfLongAgoIsReplaced() {
        var settings = FlowSettings()
        settings.keepaliveIdle = nil
        let t = Trace(settings: settings)
        t.opens(ts: 1_000)
        t.after(.seconds(25 * 86_400))
        // A clock of microseconds has gone round: its value seems older.
        t.app.sends(.ack, seq: 101, ack: 1, len: 100, ts: 0x9000_0000)
        t.after(.milliseconds(5))
        #expect(t.app.expects(.ack, seq: 1, ack: 201)?.timestamps?.echo == 0x9000_0000)
    }

    /// Two ends that each take the other's values for old must not answer each other for ever (RFC 5961, section 7).
    @Test func answersToOldValuesAreFew() {
        let t = Trace()
        t.opens(ts: 1_000)
        var answers = 0
        for _ in 0..<100 {
            t.app.sends(.ack, seq: 105, ack: 1, ts: 5)
            while t.nextPacket() != nil { answers += 1 }
        }
        #expect(answers == Int(AnswerLimit.perPeriod))
        #expect(t.nat.counters.acknowledgmentsSkipped == 100 - answers)
    }

    // MARK: TIME-WAIT (RFC 6191)

    private func waiting(ts: UInt32?) -> Trace {
        let t = Trace()
        t.opens(ts: ts)
        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 1, ack: 101)
        t.app.sends([.fin, .ack], seq: 101, ack: 2, options: TCPOptions(timestamps: ts.map { ($0 + 10, 0) }))
        t.app.expects(.ack, seq: 2, ack: 102)
        t.reports(.finished, .closed)
        #expect(t.state == .timeWait)
        return t
    }

    private func isReused(_ t: Trace, seq: UInt32, ts: UInt32?) -> Bool {
        t.flow = nil
        t.app.sends(.syn, seq: seq, options: TCPOptions(timestamps: ts.map { ($0, 0) }))
        return t.takeReports() == [.connect]
    }

    @Test(arguments: [
        (UInt32(50), UInt32?(1_011), true), (50, 1_010, false), (50, 1_009, false), (50, nil, false),
        (500, 1_011, true), (500, 1_010, true), (500, 1_009, false), (500, nil, true),
    ])
    func aSYNReusesTIMEWAITByItsTimestamp(seq: UInt32, ts: UInt32?, expected: Bool) {
        #expect(isReused(waiting(ts: 1_000), seq: seq, ts: ts) == expected)
    }

    @Test(arguments: [(UInt32(50), UInt32?(1), true), (50, nil, false), (500, nil, true)])
    func aSYNReusesATIMEWAITWithoutTimestamps(seq: UInt32, ts: UInt32?, expected: Bool) {
        #expect(isReused(waiting(ts: nil), seq: seq, ts: ts) == expected)
    }
}

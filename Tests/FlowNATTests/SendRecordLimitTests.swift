import Packets
import Primitives
import Testing

@testable import FlowNAT

/// The send records of one flow and of all flows at their limits: new text waits or joins the last record, and everything
/// goes on afterwards.
struct SendRecordLimitTests {
    /// What leaves now: where each segment begins, counted from the first byte, and its length.
    private func drain(_ t: Trace) -> [(start: Int, count: Int)] {
        var sent: [(Int, Int)] = []
        while let packet = t.nextPacket() {
            guard let tcp = packet.tcp else { continue }
            let start = Int(tcp.sequence.rawValue &- (t.natStart ?? 0))
            sent.append((start, packet.payload.count))
            let isPattern = packet.payload.indices.allSatisfy { packet.payload[$0] == Trace.pattern(start - 1 + $0) }
            #expect(isPattern, "the text at \(start) is not what was written there")
        }
        return sent
    }

    /// Everything that was written arrives: the application acknowledges whatever comes.
    private func finish(_ t: Trace, from acknowledged: Int) {
        var acknowledged = acknowledged
        for _ in 0..<200 where acknowledged < t.written + 1 {
            t.app.sends(.ack, seq: 101, ack: acknowledged)
            for segment in drain(t) where segment.start <= acknowledged {
                acknowledged = max(acknowledged, segment.start + segment.count)
            }
        }
        #expect(acknowledged == t.written + 1)
        t.app.sends(.ack, seq: 101, ack: acknowledged)
        #expect(drain(t).isEmpty)
    }

    @Test func ofOneFlow() {
        let t = openedForRecovery { $0.maximumSendRecords = 4 }
        t.owner.writes(40_000)
        #expect(drain(t).map(\.start) == (0..<10).map(Trace.start))
        // The last record holds seven segments.
        #expect(t.nat.sendRecordCount == 4 && t.nat.counters.sendRecordsFull == 0)
        // Once it has arrived no text can join it, and there is no other.
        t.now = t.now + .milliseconds(100)
        t.app.sacks((Trace.start(3), Trace.start(10)), ack: 1)
        let repaired = drain(t)
        #expect(repaired.allSatisfy { $0.start < Trace.start(3) }, "\(repaired)")
        #expect(t.nat.counters.sendRecordsFull > 0 && t.nat.sendRecordCount <= 8)
        // The ACK of it all gives the records back.
        let before = t.nat.counters.sendRecordsFull
        t.app.sends(.ack, seq: 101, ack: Trace.start(10))
        let fresh = drain(t)
        #expect(fresh.first?.start == Trace.start(10) && fresh.count >= 5, "\(fresh)")
        #expect(t.nat.sendRecordCount == 4 && t.nat.counters.sendRecordsFull == before)
        finish(t, from: fresh.last!.start + fresh.last!.count)
        #expect(t.nat.sendRecordCount == 0)
    }

    /// One flow has taken what there is: another is granted its first record, and waits for more until some come back.
    @Test func ofAllFlows() {
        let t = openedForRecovery { $0.maximumSendRecordsInAll = 6 }
        t.isPlain = false
        let first = t.keep()
        open(t, port: 2)
        t.owner.writes(1_000)
        #expect(drain(t).count == 1)
        let second = t.keep()

        t.turn(to: first)
        t.owner.writes(4_000)
        #expect(drain(t).count == 4 && t.nat.sendRecordCount == 5)
        let afterFour = t.keep()

        t.turn(to: second)
        for _ in 0..<3 {
            t.owner.writes(1_000)
            #expect(drain(t).count == 1)
        }
        // One record more was left; the two segments behind it have joined it.
        #expect(t.nat.sendRecordCount == 6 && t.nat.counters.sendRecordsFull == 0)
        t.app.sacks((Trace.start(1), Trace.start(4)), ack: 1)
        _ = drain(t)
        t.owner.writes(3_000)
        #expect(drain(t).allSatisfy { $0.start < Trace.start(4) })
        #expect(t.nat.counters.sendRecordsFull > 0)
        let waiting = t.keep()

        // A third flow has none yet, and is granted one whatever the others have.
        open(t, port: 3)
        t.owner.writes(2_000)
        #expect(drain(t).map(\.start) == [Trace.start(0), Trace.start(1)] && t.nat.sendRecordCount == 7)
        finish(t, from: Trace.start(2))

        // The first flow gives its records back; the next ACK lets the second go on.
        t.turn(to: afterFour)
        finish(t, from: Trace.start(4))
        #expect(t.nat.sendRecordCount <= 3)
        t.turn(to: waiting)
        let before = t.nat.counters.sendRecordsFull
        finish(t, from: Trace.start(4))
        #expect(t.nat.counters.sendRecordsFull == before && t.nat.sendRecordCount == 0)
        for flow in [first, second] { #expect(t.nat.state(of: flow.flow!) == .established) }
        t.nat.abortAll()
        _ = drain(t)
        _ = t.takeReports()
        t.isOver()
    }

    /// Another flow with segments of 1000 bytes.
    private func open(_ t: Trace, port: UInt16) {
        t.source.port = port
        (t.flow, t.natStart, t.written) = (nil, nil, 0)
        t.inject(
            t.app.segment(
                .syn, sequence: 100,
                options: TCPOptions(maximumSegmentSize: 1_000, windowScale: 7, sackPermitted: true)))
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 1)
        t.app.expectsNothing()
    }
}

/// Where a trace stands with one of several flows.
private struct Kept {
    let source: Endpoint
    let flow: FlowID?
    let natStart: UInt32?
    let written: Int
}

extension Trace {
    fileprivate func keep() -> Kept { Kept(source: source, flow: flow, natStart: natStart, written: written) }

    fileprivate func turn(to kept: Kept) {
        (source, flow, natStart, written) = (kept.source, kept.flow, kept.natStart, kept.written)
    }
}

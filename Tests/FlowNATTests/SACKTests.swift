import Packets
import Primitives
import Testing

@testable import FlowNAT

/// What an application's kernel is told of holes (RFC 2018) and duplicates (RFC 2883).
struct SACKTests {
    private func opened(ts: UInt32? = nil, _ change: (inout FlowSettings) -> Void = { _ in }) -> Trace {
        var settings = FlowSettings()
        change(&settings)
        let t = Trace(settings: settings)
        t.opens(ts: ts, sack: true)
        return t
    }

    /// Text of 100 bytes at each of these numbers, the ACK of each dropped but the last, whose blocks are returned.
    private func blocks(_ t: Trace, after starts: [UInt32], ts: UInt32? = nil, ack: UInt32 = 101) -> [[UInt32]] {
        var found: [[UInt32]] = []
        for start in starts {
            t.app.sends(.ack, seq: start, ack: 1, len: 100, options: TCPOptions(timestamps: ts.map { ($0, 0) }))
            found = t.app.expects(.ack, seq: 1, ack: ack)?.blocks ?? []
        }
        t.app.expectsNothing()
        return found
    }

    // MARK: Holes (RFC 2018, section 4)

    @Test func withoutPermissionNothingIsReported() {
        let t = Trace()
        t.opens()
        #expect(blocks(t, after: [201, 401]) == [])
    }

    @Test func theFirstSegmentIsLost() {
        // RFC 2018, section 7, case 2: each ACK has one block, and it grows.
        let t = opened()
        for i in 1...7 as ClosedRange<UInt32> {
            #expect(
                blocks(t, after: [101 + i * 500, 201 + i * 500, 301 + i * 500, 401 + i * 500, 501 + i * 500]).first
                    == [601, 601 + i * 500])
        }
    }

    @Test func everySecondSegmentIsLost() {
        // RFC 2018, section 7, case 3: the latest block comes first, then those reported before it.
        let t = opened()
        #expect(blocks(t, after: [201]) == [[201, 301]])
        #expect(blocks(t, after: [401]) == [[401, 501], [201, 301]])
        #expect(blocks(t, after: [601]) == [[601, 701], [401, 501], [201, 301]])
        #expect(blocks(t, after: [801]) == [[801, 901], [601, 701], [401, 501], [201, 301]])
        #expect(blocks(t, after: [1_001]) == [[1_001, 1_101], [801, 901], [601, 701], [401, 501]])
        // The fourth arrives, and joins two blocks.
        #expect(blocks(t, after: [701]) == [[601, 901], [1_001, 1_101], [401, 501], [201, 301]])
        // The second, and the first hole is as before.
        #expect(blocks(t, after: [301]) == [[201, 501], [601, 901], [1_001, 1_101]])
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1, ack: 501)?.blocks == [[601, 901], [1_001, 1_101]])
        t.deliveredInOrder(400)
        t.app.sends(.ack, seq: 501, ack: 1, len: 500)
        #expect(t.app.expects(.ack, seq: 1, ack: 1_101)?.blocks == [])
        t.deliveredInOrder(1_000)
    }

    @Test func besideTimestampsThereIsRoomForThree() {
        let t = opened(ts: 1_000)
        #expect(
            blocks(t, after: [201, 401, 601, 801], ts: 1_001) == [[801, 901], [601, 701], [401, 501]])
    }

    @Test func aFINBehindTheHoleCountsAsReceived() {
        let t = opened()
        t.app.sends([.ack, .fin], seq: 201, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1, ack: 101)?.blocks == [[201, 302]])
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.app.expects(.ack, seq: 1, ack: 302)
        t.reports(.finished)
    }

    @Test func everyACKCarriesTheBlocksWhileThereIsAHole() {
        let t = opened()
        #expect(blocks(t, after: [201]) == [[201, 301]])
        t.app.sends(.ack, seq: 100, ack: 1)  // a keepalive
        #expect(t.app.expects(.ack, seq: 1, ack: 101)?.blocks == [[201, 301]])
    }

    @Test func textDoesNotHideADuplicateACK() {
        let t = opened()
        t.owner.writes(3_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 3_000)
        t.owner.writes(500)
        t.app.sends(.ack, seq: 201, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 3_001, ack: 101)?.blocks == [[201, 301]])
        #expect(t.app.expects(.ack, seq: 3_001, ack: 101, len: 500)?.blocks == [])
        t.app.expectsNothing()
    }

    @Test func acrossTheEndOfTheNumbers() {
        let t = Trace()
        t.app.sends(.syn, seq: 0xFFFF_FF00, options: TCPOptions(sackPermitted: true))
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 0xFFFF_FF01)
        t.app.sends(.ack, seq: 0xFFFF_FF01, ack: 1)
        t.app.sends(.ack, seq: 0xFFFF_FFF0, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1, ack: 0xFFFF_FF01)?.blocks == [[0xFFFF_FFF0, 84]])
        t.app.sends(.ack, seq: 200, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1)?.blocks == [[200, 300], [0xFFFF_FFF0, 84]])
        t.app.sends(.ack, seq: 0xFFFF_FF01, ack: 1, len: 455)
        #expect(t.app.expects(.ack, seq: 1, ack: 300)?.blocks == [])
        t.deliveredInOrder(555)
    }

    @Test func whatTheConsumerDidNotTakeHasToComeAgain() {
        let t = opened()
        #expect(blocks(t, after: [201, 401]) == [[401, 501], [201, 301]])
        t.appetite = 150
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1, ack: 251)?.blocks == [[401, 501]])
        t.appetite = .max
        t.app.sends(.ack, seq: 251, ack: 1, len: 150)
        t.app.expects(.ack, seq: 1, ack: 501)
        t.deliveredInOrder(400)
    }

    // MARK: Duplicates (RFC 2883, section 4)

    @Test func aSegmentReceivedTwiceIsToldOnce() {
        // Section 4.1.1: reporting a duplicate segment.
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 200)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 301)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1, ack: 301)?.blocks == [[101, 201]])
        t.app.sends(.ack, seq: 100, ack: 1)
        #expect(t.app.expects(.ack, seq: 1, ack: 301)?.blocks == [])
    }

    @Test func aDuplicateBeforeAHole() {
        // Section 4.1.2: the duplicate first, then the block that is above the ACK.
        let t = opened()
        #expect(blocks(t, after: [301]) == [[301, 401]])
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.app.expects(.ack, seq: 1, ack: 201)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1, ack: 201)?.blocks == [[101, 201], [301, 401]])
    }

    @Test func aDuplicateWithinAHeldBlock() {
        // Section 4.1.3: the second block is the one that the duplicate is part of.
        let t = opened()
        #expect(blocks(t, after: [1_001, 301, 401, 501]).first == [301, 601])
        t.app.sends(.ack, seq: 401, ack: 1, len: 100)
        let expected: [[UInt32]] = [[401, 501], [301, 601], [1_001, 1_101]]
        #expect(t.app.expects(.ack, seq: 1, ack: 101)?.blocks == expected)
        #expect(t.nat.counters.duplicates == 1)
    }

    @Test func aSegmentThatIsPartlyOld() {
        // Section 4.2: only the part that came twice.
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 201)
        t.app.sends(.ack, seq: 151, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1, ack: 251)?.blocks == [[151, 201]])
        #expect(blocks(t, after: [401], ack: 251) == [[401, 501]])
        t.app.sends(.ack, seq: 451, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1, ack: 251)?.blocks == [[451, 501], [401, 551]])
    }

    @Test func withoutPermissionDuplicatesAreNotTold() {
        let t = Trace()
        t.opens()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 201)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        #expect(t.app.expects(.ack, seq: 1, ack: 201)?.blocks == [])
    }
}

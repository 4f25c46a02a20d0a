import Packets
import Primitives
import Testing

@testable import FlowNAT

/// What an application sends on an open connection (RFC 9293, section 3.10.7.4).
struct EstablishedTests {
    @Test func bytesInOrderAreDeliveredAndAcknowledgedLate() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.deliveredInOrder(100)
        t.app.expectsNothing()
        #expect(t.untilTimer() == .milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 201)
        t.app.expectsNothing()
    }

    @Test func theSecondFullSegmentIsAcknowledgedAtOnce() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 1_460)
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 1_561, ack: 1, len: 1_460)
        t.app.expects(.ack, seq: 1, ack: 3_021)
        t.after(.seconds(1))
        t.app.expectsNothing()
    }

    @Test func whatTheOwnerWritesCarriesTheACK() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.owner.writes(10)
        t.app.expects(.ack, seq: 1, ack: 201, len: 10)
        t.after(.milliseconds(50))
        t.app.expectsNothing()
    }

    @Test func aSuperSegmentIsTakenWhole() {
        let t = opened()
        let header = VirtioHeader(
            flags: VirtioHeader.needsChecksum, gsoType: .tcpv4, headerLength: 40, segmentSize: 1_460,
            checksumStart: 20, checksumOffset: 16)
        t.app.sends(.ack, seq: 101, ack: 1, len: 60_000, header: header)
        t.deliveredInOrder(60_000)
        t.app.expects(.ack, seq: 1, ack: 60_101)
    }

    // MARK: Order

    @Test func aGapIsToldAtOnceAndClosed() {
        let t = opened()
        t.app.sends(.ack, seq: 201, ack: 1, len: 100)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.app.sends(.ack, seq: 401, ack: 1, len: 100)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.deliveredInOrder(0)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.deliveredInOrder(200)
        t.app.expects(.ack, seq: 1, ack: 301)
        t.app.sends(.ack, seq: 301, ack: 1, len: 100)
        t.deliveredInOrder(400)
        t.app.expects(.ack, seq: 1, ack: 501)
        #expect(t.nat.heldSegmentBytes == 0)
    }

    @Test func overlapsAreDeliveredOnce() {
        let t = opened()
        t.app.sends(.ack, seq: 151, ack: 1, len: 100)
        t.app.sends(.ack, seq: 181, ack: 1, len: 30)  // within the first
        t.app.sends(.ack, seq: 181, ack: 1, len: 100)  // beyond it
        t.app.sends(.ack, seq: 151, ack: 1, len: 120)  // the same start, longer
        t.app.sends(.ack, seq: 101, ack: 1, len: 70)
        t.deliveredInOrder(180)
        t.app.expects(.ack, seq: 1, ack: 281)
        t.app.sends(.ack, seq: 251, ack: 1, len: 50)  // half of it is old
        t.deliveredInOrder(200)
    }

    @Test func anOldSegmentIsAcknowledgedAndNotDelivered() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 201)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.app.expects(.ack, seq: 1, ack: 201)
        t.deliveredInOrder(100)
    }

    @Test func aKeepaliveIsAnswered() {
        let t = opened()
        t.app.sends(.ack, seq: 100, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.app.expectsNothing()
    }

    @Test func aSegmentWithoutACKIsIgnored() {
        let t = opened()
        t.app.sends([], seq: 101, len: 10)
        #expect(t.nat.counters.segmentsWithoutAcknowledgment == 1)
        t.app.expectsNothing()
        t.deliveredInOrder(0)
    }

    // MARK: Window

    @Test func nothingBeyondTheWindowIsTaken() {
        let t = opened { $0.receiveWindow = 4_000 }
        t.app.sends(.ack, seq: 101, ack: 1, len: 5_000)
        t.deliveredInOrder(4_000)
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 0)
        t.app.sends(.ack, seq: 4_101, ack: 1, len: 1_000)
        t.deliveredInOrder(4_000)
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 0)
        t.app.sends(.ack, seq: 900_000, ack: 1, len: 10)
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 0)
        #expect(t.nat.counters.outsideWindow == 2)
    }

    @Test func aShutWindowAnswersProbesAndOpensOnce() {
        let t = opened { $0.receiveWindow = 4_000 }
        t.app.sends(.ack, seq: 101, ack: 1, len: 4_000)
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 0)
        t.app.sends(.ack, seq: 4_100, ack: 1)  // Linux's probe
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 0)
        t.app.sends(.ack, seq: 4_101, ack: 1, len: 1)  // BSD's probe
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 0)
        t.owner.releases(100)  // a silly window
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 4_100, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 0)
        t.owner.releases(1_400)
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 1_500)
        t.app.sends(.ack, seq: 4_101, ack: 1, len: 1_500)
        t.deliveredInOrder(5_500)
    }

    @Test func aLostWindowUpdateIsRepeatedToAProbe() {
        let t = opened { $0.receiveWindow = 4_000 }
        t.app.sends(.ack, seq: 101, ack: 1, len: 4_000)
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 0)
        t.owner.releases(4_000)
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 4_000)  // lost
        t.app.sends(.ack, seq: 4_100, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 4_101, win: 4_000)
    }

    @Test func aProbeOfAShutWindowStillAcknowledges() {
        let t = opened { $0.receiveWindow = 4_000 }
        t.app.sends(.ack, seq: 101, ack: 1, len: 4_000)
        t.owner.writes(100)
        t.app.expects(.ack, seq: 1, ack: 4_101, len: 100, win: 0)
        t.app.sends(.ack, seq: 4_101, ack: 101, len: 1)
        t.reports(.drained(100))
        t.app.expects(.ack, seq: 101, ack: 4_101, win: 0)
    }

    @Test func anACKAtTheEdgeOfTheWindowCounts() {
        let t = opened { $0.receiveWindow = 4_000 }
        t.owner.writes(100)
        t.app.expects(.ack, seq: 1, ack: 101, len: 100)
        // The first 1000 of a full window are lost, then an ACK comes with the number after all that was sent.
        t.app.sends(.ack, seq: 1_101, ack: 1, len: 3_000)
        t.app.expects(.ack, seq: 101, ack: 101)
        t.app.sends(.ack, seq: 4_101, ack: 101)
        t.reports(.drained(100))
        t.app.expectsNothing()
    }

    @Test func theWindowNeverMovesLeftMoreThanTheScaleCannotExpress() {
        let t = opened { $0.receiveWindow = 1 << 20 }
        var edge = 101 + 0xFFFF
        var sent: UInt32 = 101
        for length in [1, 31, 33, 1_000, 64_000, 7, 40_000, 1] {
            t.app.sends(.ack, seq: sent, ack: 1, len: length)
            sent += UInt32(length)
            t.after(.milliseconds(5))
            guard let packet = t.nextPacket(), let tcp = packet.tcp else { continue }
            let promised = Int(tcp.acknowledgment.rawValue) + Int(tcp.window) << 5
            #expect(promised > edge - 32)
            // Nothing was released, so no more than the window in all, rounded up to the scale.
            #expect(promised < 101 + 1 << 20 + 32)
            edge = max(edge, promised)
        }
        t.deliveredInOrder(Int(sent) - 101)
    }

    @Test func smallSegmentsDoNotDriveTheWindowOn() {
        let t = opened { $0.receiveWindow = 1 << 17 }
        var sent: UInt32 = 101
        // As much as the window holds, first in bulk, then byte by byte, with an ACK for each.
        var edge = 101 + 0xFFFF
        func send(_ count: Int) {
            t.app.sends(.ack, seq: sent, ack: 1, len: count)
            sent += UInt32(count)
            t.after(.milliseconds(5))
            while let tcp = t.nextPacket()?.tcp {
                edge = max(edge, Int(tcp.acknowledgment.rawValue) + Int(tcp.window) << 2)
            }
        }
        while edge - Int(sent) > 1_000 { send(min(60_000, edge - Int(sent) - 900)) }
        while edge > Int(sent), sent < 200_000 { send(1) }
        #expect(t.delivered.count < 1 << 17 + 4)
        t.deliveredInOrder(Int(sent) - 101)
    }

    @Test func releasesInSmallPiecesOpenTheWindowInGoodOnes() {
        let t = opened { $0.receiveWindow = 64_000 }
        t.app.sends(.ack, seq: 101, ack: 1, len: 60_000)
        t.app.expects(.ack, seq: 1, ack: 60_101)
        var updates = 0
        for _ in 0..<6_000 {
            t.owner.releases(10)
            while t.nextPacket() != nil { updates += 1 }
        }
        #expect((1...4).contains(updates), "\(updates) updates")
    }

    /// The owner bounds the windows of all flows: nothing that was promised is taken back, and no more is promised.
    @Test func aBoundedWindowOpensNoFurther() {
        let t = opened { $0.receiveWindow = 64_000 }
        t.nat.limitWindows(to: 40_000)
        t.app.sends(.ack, seq: 101, ack: 1, len: 60_000)  // the SYN's window, promised before
        t.app.expects(.ack, seq: 1, ack: 60_101, win: 4_000)
        t.owner.releases(60_000)
        t.app.expects(.ack, seq: 1, ack: 60_101, win: 40_000)
        t.app.sends(.ack, seq: 60_101, ack: 1, len: 40_000)
        t.app.expects(.ack, seq: 1, ack: 100_101, win: 0)
        t.owner.releases(10_000)
        t.app.expects(.ack, seq: 1, ack: 100_101, win: 10_000)
        // A quarter of what it is now.
        t.owner.releases(9_000)
        t.app.expectsNothing()
        t.owner.releases(1_000)
        t.app.expects(.ack, seq: 1, ack: 100_101, win: 20_000)
        t.nat.limitWindows(to: 60_000)
        t.owner.releases(1_000)
        t.app.expects(.ack, seq: 1, ack: 100_101, win: 41_000)
        // Never below what applications with large segments need.
        t.nat.limitWindows(to: 0)
        t.app.sends(.ack, seq: 100_101, ack: 1, len: 41_000)
        t.app.expects(.ack, seq: 1, ack: 141_101, win: 0)
        t.owner.releases(60_000)
        t.app.expects(.ack, seq: 1, ack: 141_101, win: FlowNAT.leastWindow)
        t.deliveredInOrder(141_000)
    }

    @Test func aSmallWindowIsNotAnnouncedTwice() {
        // A quarter of the window is less than a segment: an ACK that opens nothing would be a duplicate.
        let t = opened { $0.receiveWindow = 4_000 }
        t.app.sends(.ack, seq: 101, ack: 1, len: 2_000)
        t.app.expectsNothing()
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 2_101, win: 2_000)
        t.owner.releases(1_000)
        t.app.expectsNothing()
        t.owner.releases(460)
        t.app.expects(.ack, seq: 1, ack: 2_101, win: 3_460)
    }

    @Test func whatTheConsumerDoesNotTakeCountsAsNeverReceived() {
        let t = opened()
        t.appetite = 60
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.deliveredInOrder(60)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 161)
        #expect(t.nat.counters.consumerFull == 1)
        t.appetite = .max
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.deliveredInOrder(100)
    }

    @Test func aConsumerThatTakesPartOfAHeldSegmentLosesNothing() {
        let t = opened()
        t.app.sends([.ack, .fin], seq: 201, ack: 1, len: 100)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.appetite = 150
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.deliveredInOrder(150)
        t.reports()
        t.appetite = .max
        t.app.sends([.ack, .fin], seq: 251, ack: 1, len: 50)
        t.deliveredInOrder(200)
        t.reports(.finished)
    }
}

import Packets
import Primitives
import Testing

@testable import FlowNAT

/// What the owner writes, on its way to the application.
struct SendingTests {
    // MARK: Super-segments

    @Test func aSuperSegmentCarriesItsVirtioHeader() {
        for (source, destination, ipLength, type, size) in [
            ("10.0.0.2:40000", "192.0.2.1:443", 20, VirtioHeader.GSOType.tcpv4, 1_460),
            ("[fd00::2]:40000", "[2001:db8::1]:443", 40, .tcpv6, 1_440),
        ] {
            let t = Trace()
            t.source = Endpoint(source)!
            t.destination = Endpoint(destination)!
            t.app.opens()
            t.owner.writes(10_000)
            let packet = t.app.expects(.ack, seq: 1, ack: 101, len: 10_000, gso: size)
            #expect(packet?.header.gsoType == type)
            #expect(packet?.header.flags == VirtioHeader.needsChecksum)
            #expect(packet?.header.headerLength == UInt16(ipLength + 20))
            #expect(packet?.header.checksumStart == UInt16(ipLength))
            #expect(packet?.header.checksumOffset == 16)
        }
    }

    @Test func aSuperSegmentThatIsNotTheLastHoldsFullSegments() {
        let t = opened()
        // Open the congestion window far enough.
        t.owner.writes(400_000)
        var acknowledged = 1
        var full: [Int] = []
        while acknowledged < 400_001, let packet = t.nextPacket() {
            full.append(packet.payload.count)
            acknowledged += packet.payload.count
            t.app.sends(.ack, seq: 101, ack: acknowledged)
        }
        #expect(full.reduce(0, +) == 400_000)
        #expect(full.dropLast().allSatisfy { $0 % 1_460 == 0 }, "\(full)")
        #expect(full.contains(44 * 1_460), "\(full)")
    }

    @Test func withoutOffloadTheBytesAreTheSame() {
        func bytes(offload: Bool) -> (all: [UInt8], largest: Int) {
            let t = opened { $0.offload = offload }
            var received: [UInt8] = []
            var largest = 0
            for _ in 0..<20 {
                t.owner.writes(12_345)
                while let packet = t.nextPacket() {
                    received += packet.payload
                    largest = max(largest, packet.payload.count)
                    if !offload { #expect(packet.header == .none) }
                    t.app.sends(.ack, seq: 101, ack: received.count + 1)
                }
            }
            return (received, largest)
        }
        let with = bytes(offload: true)
        let without = bytes(offload: false)
        #expect(with.all.count == 20 * 12_345 && with.all == without.all)
        #expect(with.largest > 10_000 && without.largest == 1_460)
    }

    // MARK: Congestion

    @Test func theWindowBeginsAtTenSegmentsAndDoubles() {
        let t = opened { $0.offload = false }
        t.owner.writes(200_000)
        var sent = 0
        for flight in [10, 20, 40] {
            for _ in 0..<flight {
                t.app.expects(.ack, seq: sent + 1, ack: 101, len: 1_460)
                sent += 1_460
            }
            t.app.expectsNothing()
            t.app.sends(.ack, seq: 101, ack: sent + 1)
        }
    }

    @Test func threeDuplicatesResendTheFirstSegmentAtOnce() {
        let t = opened { $0.offload = false }
        t.owner.writes(14_600)
        for i in 0..<10 { t.app.expects(.ack, seq: 1 + i * 1_460, ack: 101, len: 1_460) }
        t.app.sends(.ack, seq: 101, ack: 1_461)
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: 1_461)
        t.app.sends(.ack, seq: 101, ack: 1_461)
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: 1_461)
        t.app.expects(.ack, seq: 1_461, ack: 101, len: 1_460)
        t.app.expectsNothing()
        // A partial ACK: the next hole (RFC 6582, section 3.2).
        t.app.sends(.ack, seq: 101, ack: 5_841)
        t.app.expects(.ack, seq: 5_841, ack: 101, len: 1_460)
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: 14_601)
        t.app.expectsNothing()
        #expect(t.nat.counters.fastRetransmissions == 1)
        #expect(t.timer == nil)
    }

    @Test func aWindowUpdateIsNoDuplicate() {
        let t = opened { $0.offload = false }
        t.owner.writes(14_600)
        for i in 0..<10 { t.app.expects(.ack, seq: 1 + i * 1_460, ack: 101, len: 1_460) }
        for window in 1...5 { t.app.sends(.ack, seq: 101, ack: 1, win: UInt16(1_000 + window)) }
        t.app.expectsNothing()
    }

    @Test func aPartialACKBringsTheNextHoleAndNothingNew() {
        let t = opened { $0.offload = false }
        t.owner.writes(29_200)
        for i in 0..<10 { t.app.expects(.ack, seq: 1 + i * 1_460, ack: 101, len: 1_460) }
        t.app.expectsNothing()
        for _ in 0..<3 { t.app.sends(.ack, seq: 101, ack: 1) }
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_460)
        t.app.expectsNothing()
        // Eight segments of window, less the four acknowledged, and one: below the six in flight.
        t.app.sends(.ack, seq: 101, ack: 5_841)
        t.app.expects(.ack, seq: 5_841, ack: 101, len: 1_460)
        t.app.expectsNothing()
    }

    @Test func aRepeatedTimeoutKeepsTheThreshold() {
        let t = opened { $0.offload = false }
        t.owner.writes(14_600)
        for i in 0..<10 { t.app.expects(.ack, seq: 1 + i * 1_460, ack: 101, len: 1_460) }
        for _ in 0..<2 {
            t.untilTimer()
            t.app.expects(.ack, seq: 1, ack: 101, len: 1_460)
            t.app.expectsNothing()
        }
        // Slow start, one segment an ACK at most (RFC 3465, section 2.3): one, two, three segments.
        t.app.sends(.ack, seq: 101, ack: 1_461)
        for i in 1...2 { t.app.expects(.ack, seq: 1 + i * 1_460, ack: 101, len: 1_460) }
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: 4_381)
        for i in 3...5 { t.app.expects(.ack, seq: 1 + i * 1_460, ack: 101, len: 1_460) }
        t.app.expectsNothing()
    }

    // MARK: Retransmission timeout

    @Test func theTimeoutDoublesAndGivesUp() {
        let t = opened()
        t.owner.writes(100)
        t.app.expects(.ack, seq: 1, ack: 101, len: 100)
        var expected = Interval.milliseconds(200)
        for _ in 0..<10 {
            #expect(t.untilTimer() == expected)
            t.app.expects(.ack, seq: 1, ack: 101, len: 100)
            expected = min(expected * 2, .seconds(60))
        }
        #expect(t.untilTimer() == .seconds(60))
        t.app.expects([.rst, .ack], seq: 101, ack: 101)
        t.reports(.reset)
        #expect(t.nat.counters.retransmissionFailures == 1 && t.nat.counters.userTimeouts == 0)
        t.isOver()
    }

    @Test func afterATimeoutOneSegmentGoesOutAndTheRestFollows() {
        let t = opened { $0.offload = false }
        t.owner.writes(7_300)
        for i in 0..<5 { t.app.expects(.ack, seq: 1 + i * 1_460, ack: 101, len: 1_460) }
        t.untilTimer()
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_460)
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: 1_461)
        t.app.expects(.ack, seq: 1_461, ack: 101, len: 1_460)
        t.app.expects(.ack, seq: 2_921, ack: 101, len: 1_460)
        t.app.expectsNothing()
        // Everything had arrived: what was sent anew brings duplicates, and they are no loss (RFC 6582).
        for _ in 0..<4 { t.app.sends(.ack, seq: 101, ack: 2_921) }
        #expect(t.nat.counters.fastRetransmissions == 0)
    }

    /// RFC 6298, section 5: with a round trip longer than the timeout, only a back-off that outlives progress lets a
    /// measurement happen.
    @Test func theBackOffStaysUntilSomethingIsMeasured() {
        let t = opened()
        let roundTrip = Interval.milliseconds(500)
        var spurious: [Int] = []
        for round in 0..<4 {
            let before = t.nat.counters.timeouts
            t.owner.writes(100)
            t.app.expects(.ack, seq: 1 + round * 100, ack: 101, len: 100)
            let arrives = t.now + roundTrip
            while let deadline = t.timer, deadline < arrives {
                t.untilTimer()
                while t.nextPacket() != nil {}
            }
            t.now = arrives
            t.app.sends(.ack, seq: 101, ack: 101 + round * 100)
            t.app.expectsNothing()
            spurious.append(t.nat.counters.timeouts - before)
        }
        #expect(spurious == [1, 1, 0, 0] || spurious == [1, 0, 0, 0], "\(spurious)")
    }

    // MARK: The application's window

    @Test func nothingGoesBeyondTheWindow() {
        let t = opened(win: 2)  // 256 bytes
        t.owner.writes(1_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 256)
        t.app.expectsNothing()
        t.app.sends(.ack, seq: 101, ack: 257, win: 4)
        t.app.expects(.ack, seq: 257, ack: 101, len: 512)
        t.app.expectsNothing()
    }

    @Test func anOldWindowDoesNotCount() {
        let t = opened(win: 8)  // 1024 bytes
        t.owner.writes(3_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_024)
        // A retransmission with the newest ACK overtakes a later segment with an older one.
        t.app.sends(.ack, seq: 101, ack: 1_025, len: 10, win: 0)
        t.app.sends(.ack, seq: 111, ack: 1, len: 10, win: 8)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1_025, ack: 121)
        t.app.expectsNothing()
    }

    @Test func aShutWindowIsProbedAtGrowingIntervals() {
        let t = opened(win: 0)
        t.owner.writes(1_000)
        t.app.expectsNothing()
        for wait in [200, 400, 800, 1_600] {
            #expect(t.untilTimer() == .milliseconds(Int64(wait)))
            t.app.expects(.ack, seq: 1, ack: 101, len: 1)
            t.app.sends(.ack, seq: 101, ack: 1, win: 0)
            t.app.expectsNothing()
        }
        t.app.sends(.ack, seq: 101, ack: 1, win: 100)
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_000)
        t.app.sends(.ack, seq: 101, ack: 1_001, win: 100)
        t.reports(.drained(1_000))
        #expect(t.timer == nil)
        #expect(t.nat.counters.zeroWindowProbes == 4)
    }

    @Test func aProbesByteMayBeTaken() {
        let t = opened(win: 0)
        t.owner.writes(3)
        t.app.expectsNothing()
        t.untilTimer()
        t.app.expects(.ack, seq: 1, ack: 101, len: 1)
        t.app.sends(.ack, seq: 101, ack: 2, win: 0)
        t.reports(.drained(1))
        t.app.expectsNothing()
        t.untilTimer()
        t.app.expects(.ack, seq: 2, ack: 101, len: 1)
    }

    @Test func aShutWindowThatAnswersIsNeverGivenUp() {
        let t = opened(win: 0)
        t.owner.writes(1_000)
        t.app.expectsNothing()
        for _ in 0..<100 {
            t.untilTimer()
            while t.nextPacket() != nil {}
            t.app.sends(.ack, seq: 101, ack: 1, win: 0)
            t.app.expectsNothing()
        }
        #expect(t.state == .established)
    }

    @Test func aShutWindowThatIsSilentIsGivenUp() {
        let t = opened(win: 0)
        t.owner.writes(1_000)
        t.app.expectsNothing()
        for _ in 0..<10 {
            t.untilTimer()
            t.app.expects(.ack, seq: 1, ack: 101, len: 1)
        }
        t.untilTimer()
        t.app.expects([.rst, .ack], seq: 1, ack: 101)
        t.reports(.reset)
        #expect(t.nat.counters.retransmissionFailures == 1 && t.nat.counters.zeroWindowProbes == 10)
        t.isOver()
    }

    @Test func aProbeMeasuresNoRoundTrip() {
        let t = opened(win: 0)
        t.owner.writes(1_000)
        t.app.expectsNothing()
        t.untilTimer()
        t.app.expects(.ack, seq: 1, ack: 101, len: 1)
        // The window opens long after, and before the next probe.
        t.now = t.now + .milliseconds(390)
        t.app.sends(.ack, seq: 101, ack: 1, win: 100)
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_000)
        t.app.sends(.ack, seq: 101, ack: 1_001, win: 100)
        t.reports(.drained(1_000))
        t.owner.writes(10)
        t.app.expects(.ack, seq: 1_001, ack: 101, len: 10)
        #expect(t.untilTimer() == .milliseconds(200))
    }

    @Test func aProbeThatIsNotYetSentGivesWayToTheWindow() {
        let t = opened(win: 0)
        t.owner.writes(1_000)
        t.app.expectsNothing()
        t.untilTimer()
        t.app.sends(.ack, seq: 101, ack: 1, win: 100)
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_000)
    }

    @Test func aWindowThatShutsOverDataInFlightLosesNothing() {
        let t = opened { $0.offload = false }
        t.owner.writes(2_920)
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_460)
        t.app.expects(.ack, seq: 1_461, ack: 101, len: 1_460)
        t.app.sends(.ack, seq: 101, ack: 1_461, win: 0)
        t.app.expectsNothing()
        t.untilTimer()  // the timeout finds no window
        t.app.expectsNothing()
        t.untilTimer()  // the probe
        t.app.expects(.ack, seq: 1_461, ack: 101, len: 1)
        t.app.sends(.ack, seq: 101, ack: 1_461, win: 100)
        t.app.expects(.ack, seq: 1_461, ack: 101, len: 1_460)
    }

    @Test func fullSegmentsOnlyWhileSomethingIsInFlight() {
        let t = opened(win: 25)  // 3200 bytes
        t.owner.writes(10_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 2_920)
        t.app.expectsNothing()  // 280 bytes of window would be a silly segment
        t.app.sends(.ack, seq: 101, ack: 1_461, win: 25)
        t.app.expects(.ack, seq: 2_921, ack: 101, len: 1_460)
    }

    // MARK: What the owner hears

    @Test func drainedCountsEveryByteOnce() {
        let t = opened()
        t.owner.writes(1_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_000)
        #expect(t.nat.heldBytes(t.flow!) == 1_000)
        t.app.sends(.ack, seq: 101, ack: 401)
        t.app.sends(.ack, seq: 101, ack: 401)
        t.app.sends(.ack, seq: 101, ack: 1_001)
        var drained = 0
        for report in t.takeReports() {
            guard case .drained(let count) = report else { continue }
            drained += count
        }
        #expect(drained == 1_000)
        #expect(t.nat.heldBytes(t.flow!) == 0 && t.pool.outstanding == 0)
    }

    @Test func nothingIsWrittenAfterTheFINOrToAFlowThatIsGone() {
        let t = opened()
        t.owner.finishes()
        #expect(t.nat.withSendQueue(t.flow!) { _ in true } == nil)
        t.owner.aborts()
        #expect(t.nat.withSendQueue(t.flow!) { _ in true } == nil)
    }
}

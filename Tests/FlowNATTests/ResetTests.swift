import Packets
import Primitives
import Testing

@testable import FlowNAT

/// RST in both directions (RFC 9293, section 3.5.2 and 3.5.3; RFC 5961, sections 3 and 7).
struct ResetTests {
    @Test func theExactNumberResets() {
        let t = opened()
        t.owner.writes(100)
        t.app.expects(.ack, seq: 1, ack: 101, len: 100)
        t.app.sends(.ack, seq: 201, ack: 1, len: 100)  // out of order: held
        t.app.expects(.ack, seq: 101, ack: 101)
        t.app.sends(.rst, seq: 101)
        t.reports(.reset)
        t.isOver()
        #expect(t.nat.counters.resetByPeer == 1)
    }

    @Test func anotherNumberInTheWindowIsChallenged() {
        let t = opened()
        t.app.sends(.rst, seq: 102)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.app.sends([.rst, .ack], seq: 60_000, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.reports()
        #expect(t.state == .established && t.nat.counters.challengeAcknowledgments == 2)
    }

    @Test func outsideTheWindowItIsIgnored() {
        let t = opened()
        t.app.sends(.rst, seq: 100)
        t.app.sends(.rst, seq: 101 + 2_000_000)
        t.app.expectsNothing()
        t.reports()
        #expect(t.state == .established && t.nat.counters.outsideWindow == 2)
    }

    @Test func aShutWindowStillTakesTheExactNumber() {
        for length in [0, 20] {
            let t = opened { $0.receiveWindow = 4_000 }
            t.app.sends(.ack, seq: 101, ack: 1, len: 4_000)
            t.app.expects(.ack, seq: 1, ack: 4_101, win: 0)
            t.app.sends(.rst, seq: 4_101, len: length)  // the text may explain it (RFC 1122, section 4.2.2.12)
            t.reports(.reset)
            t.isOver()
        }
    }

    @Test func afterAFINBeyondTheWindowTheExactNumberCounts() {
        let t = opened { $0.receiveWindow = 4_000 }
        t.app.sends([.fin, .ack], seq: 101, ack: 1, len: 4_000)
        t.app.sends(.rst, seq: 4_102)
        t.reports(.finished, .reset)
        t.isOver()
    }

    @Test func aSYNOnAnOpenConnectionIsChallenged() {
        let t = opened()
        t.app.sends(.syn, seq: 100)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.app.sends(.syn, seq: 50_000)
        t.app.expects(.ack, seq: 1, ack: 101)
        t.reports()
        #expect(t.state == .established)
    }

    @Test func anACKOutsideWhatCouldHaveBeenSentIsChallenged() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 2, len: 10)  // never sent
        t.app.expects(.ack, seq: 1, ack: 101)
        t.app.sends(.ack, seq: 101, ack: 1 - 0xFFFF << 7 - 1, len: 10)  // older than the largest window
        t.app.expects(.ack, seq: 1, ack: 101)
        t.deliveredInOrder(0)
        t.app.sends(.ack, seq: 101, ack: 1 - 0xFFFF << 7, len: 10)
        t.deliveredInOrder(10)
    }

    @Test func challengesAreFew() {
        let t = opened { $0.challengeAcknowledgmentsPerSecond = 3 }
        var answers = 0
        for _ in 0..<10 {
            t.app.sends(.rst, seq: 102)
            while t.nextPacket() != nil { answers += 1 }
        }
        #expect(answers == 3)
        #expect(t.nat.counters.challengesSkipped == 7 && t.nat.counters.challengeAcknowledgments == 3)
        #expect(t.nat.counters.acknowledgmentsSkipped == 0 && t.nat.counters.flowSegments == 11)
        t.after(.seconds(1))
        t.app.sends(.rst, seq: 102)
        t.app.expects(.ack, seq: 1, ack: 101)
    }

    @Test func abortIsAResetAtTheHighestNumber() {
        let t = opened()
        t.owner.writes(100)
        t.app.expects(.ack, seq: 1, ack: 101, len: 100)
        t.owner.aborts()
        t.app.expects([.rst, .ack], seq: 101, ack: 101)
        t.isOver()
        t.owner.aborts()
        t.isOver()
    }

    @Test func abortBeforeTheAnswerIsARefusal() {
        let t = Trace()
        t.app.sends(.syn, seq: 100)
        t.owner.aborts()
        t.app.expects([.rst, .ack], seq: 0, ack: 101)
        t.reports(.connect)
        t.isOver()
    }

    @Test func abortAllLeavesNothing() {
        let t = Trace()
        for port in 40_000..<40_050 as Range<UInt16> {
            t.source.port = port
            t.app.sends(.syn, seq: 100)
            _ = t.takeReports()
        }
        t.nat.abortAll()
        var ports: [UInt16] = []
        while let tcp = t.nextPacket()?.tcp {
            #expect(tcp.flags == [.rst, .ack])
            ports.append(tcp.destinationPort)
        }
        // By slot, so that the same seed always gives the same packets.
        #expect(ports == Array(40_000..<40_050))
        t.isOver()
    }

    // MARK: Unknown flows (RFC 9293, section 3.10.7.1)

    @Test func aSegmentOfNoFlowIsReset() {
        let t = Trace()
        t.app.sends(.ack, seq: 500, ack: 900, len: 10)
        t.app.expects(.rst, seq: 900)
        t.app.sends([], seq: 500, len: 10)
        t.app.expects([.rst, .ack], seq: 0, ack: 510)
        t.app.sends(.fin, seq: 500, len: 10)
        t.app.expects([.rst, .ack], seq: 0, ack: 511)
        t.app.sends([.syn, .fin], seq: 0xFFFF_FFFF)
        t.app.expects([.rst, .ack], seq: 0, ack: 1)
        t.app.sends([.syn, .ack], seq: 500, ack: 900)
        t.app.expects(.rst, seq: 900)
        t.app.sends([.rst, .ack], seq: 500, ack: 900)
        t.app.sends(.rst, seq: 500)
        t.isOver()
        #expect(t.nat.counters.noFlow == 7)
    }

    @Test(arguments: [
        ("10.0.0.2:40000", "10.0.0.2:40000"), ("10.0.0.2:40000", "224.0.0.1:80"), ("10.0.0.2:40000", "0.0.0.0:80"),
        ("10.0.0.2:40000", "255.255.255.255:80"), ("255.255.255.255:40000", "192.0.2.1:80"),
        ("224.0.0.1:40000", "192.0.2.1:80"), ("0.0.0.0:40000", "192.0.2.1:80"), ("10.0.0.2:0", "192.0.2.1:80"),
        ("10.0.0.2:40000", "192.0.2.1:0"), ("[fd00::2]:40000", "[ff02::1]:80"), ("[::]:40000", "[2001:db8::1]:80"),
        ("127.0.0.1:40000", "192.0.2.1:80"), ("10.0.0.2:40000", "127.0.0.1:80"), ("0.1.2.3:40000", "192.0.2.1:80"),
        ("240.0.0.1:40000", "192.0.2.1:80"), ("10.0.0.2:40000", "250.1.2.3:80"), ("[::1]:40000", "[2001:db8::1]:80"),
        ("[fd00::2]:40000", "[::1]:80"), ("[::ffff:10.0.0.2]:40000", "[2001:db8::1]:80"),
        ("[fd00::2]:40000", "[::ffff:192.0.2.1]:80"), ("[::10.0.0.2]:40000", "[2001:db8::1]:80"),
    ])
    func impossibleAddressesAreNotAnswered(source: String, destination: String) {
        let t = Trace()
        t.source = Endpoint(source)!
        t.destination = Endpoint(destination)!
        t.app.sends(.syn, seq: 100)
        t.app.sends(.ack, seq: 100, ack: 5)
        t.isOver()
        #expect(t.nat.counters.impossibleAddress == 2)
    }
}

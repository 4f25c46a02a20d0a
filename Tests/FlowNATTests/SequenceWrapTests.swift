import Packets
import Primitives
import Testing

@testable import FlowNAT

/// Numbers that pass 2³² (RFC 9293, section 3.4).
struct SequenceWrapTests {
    @Test(arguments: [0xFFFF_FFFF, 0xFFFF_FFFE, 0xFFFF_F000, 0x7FFF_FFFF, 0x8000_0000] as [UInt32])
    func bothDirectionsPassTheWrap(start: UInt32) {
        var settings = FlowSettings()
        settings.receiveWindow = 40_000
        let t = Trace(settings: settings, initialSequence: start)
        t.app.sends(.syn, seq: start, mss: 1460, ws: 7)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: start &+ 1)
        #expect(t.natStart == start)
        t.app.sends(.ack, seq: start &+ 1, ack: 1)
        t.reports(.connect, .established)

        // From the application: reordered, overlapping, up to a shut window.
        t.app.sends(.ack, seq: start &+ 5_001, ack: 1, len: 5_000)
        t.app.expects(.ack, seq: 1, ack: start &+ 1)
        t.app.sends(.ack, seq: start &+ 1, ack: 1, len: 6_000)
        t.app.expects(.ack, seq: 1, ack: start &+ 10_001)
        t.app.sends(.ack, seq: start &+ 10_001, ack: 1, len: 30_000)
        t.app.expects(.ack, seq: 1, ack: start &+ 40_001, win: 0)
        t.deliveredInOrder(40_000)
        t.app.sends(.ack, seq: start &+ 30_001, ack: 1, len: 20)  // old
        t.app.expects(.ack, seq: 1, ack: start &+ 40_001, win: 0)
        t.owner.releases(40_000)
        t.app.expects(.ack, seq: 1, ack: start &+ 40_001, win: 40_000)

        // To the application: a loss, a timeout, and everything after.
        t.owner.writes(14_600)
        t.app.expects(.ack, seq: 1, ack: start &+ 40_001, len: 14_600)
        t.untilTimer()
        t.app.expects(.ack, seq: 1, ack: start &+ 40_001, len: 1_460)
        t.app.sends(.ack, seq: start &+ 40_001, ack: 14_601)
        t.reports(.drained(14_600))

        t.owner.finishes()
        t.app.expects([.fin, .ack], seq: 14_601, ack: start &+ 40_001)
        t.app.sends([.fin, .ack], seq: start &+ 40_001, ack: 14_602)
        t.app.expects(.ack, seq: 14_602, ack: start &+ 40_002)
        t.reports(.finished, .closed)
        t.untilTimer()
        t.isOver()
    }

    @Test func aFINAtTheVeryWrap() {
        // The FIN has number 0xFFFF_FFFF, its ACK number 0.
        let t = Trace()
        t.app.sends(.syn, seq: 0xFFFF_FFFD)
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 0xFFFF_FFFE)
        t.app.sends([.ack, .fin], seq: 0xFFFF_FFFE, ack: 1, len: 1)
        t.app.expects(.ack, seq: 1, ack: 0)
        t.reports(.connect, .established, .finished)
    }

    @Test func aResetAtTheVeryWrap() {
        let t = Trace()
        t.app.sends(.syn, seq: 0xFFFF_FFFF)
        t.owner.rejects(.refused)
        t.app.expects([.rst, .ack], seq: 0, ack: 0)
    }

    /// Far beyond 2³¹ in the receiving direction, where comparisons with the first number would go wrong.
    @Test func moreThanHalfTheNumbersInOneFlow() {
        let t = Trace()
        t.app.opens()
        let payload = [UInt8](repeating: 7, count: 65_000)
        var next: UInt32 = 101
        var received = 0
        // Delivered bytes are only counted here; two gigabytes need not be compared.
        let rounds = (1 << 31) / payload.count + 200
        let segment = t.app.segment(.ack, sequence: 0, acknowledgment: t.natStart! &+ 1, payload: payload)
        segment.withUnsafeBytes { template in
            let packet = UnsafeMutableRawBufferPointer.allocate(byteCount: template.count, alignment: 16)
            defer { packet.deallocate() }
            packet.copyMemory(from: template)
            for _ in 0..<rounds {
                packet.baseAddress!.storeBigEndian(next, at: 24)
                var taken = 0
                t.nat.handle(
                    UnsafeRawBufferPointer(packet), offload: VirtioHeader(flags: VirtioHeader.dataValid), now: t.now
                ) { _, bytes in
                    taken += bytes.count
                    return bytes.count
                }
                received += taken
                next &+= UInt32(taken)
                t.nat.release(t.flow!, taken)
                while t.nat.nextPacket(into: t.buffer, now: t.now) {}
            }
        }
        #expect(received == rounds * payload.count)
        // Still open for both.
        t.app.sends(.rst, seq: next)
        t.reports(.reset)
        t.isOver()
    }
}

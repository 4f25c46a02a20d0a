import CNgtcp2
import SimNet
import Testing

/// The scan for STOP_SENDING in clear packets, which reads what a peer wrote.
@Suite final class FrameScanTests {
    private var rareFrames: UInt32 = 0

    private func scan(_ frames: [UInt8]) -> [(id: Int64, code: UInt64)] {
        frames.withUnsafeBufferPointer { cngtcp2_scan_frames($0.baseAddress, $0.count) }
        var stops: UnsafePointer<cngtcp2_stop_sending>?
        let count = cngtcp2_take_stops(&stops)
        // Whoever reads packets on this thread next starts anew.
        rareFrames = cngtcp2_take_rare_frames()
        return (0..<count).map { (stops![$0].stream_id, stops![$0].code) }
    }

    @Test func findsItBehindEveryOtherFrame() {
        let stop: [UInt8] = [0x05, 0x04, 0x40, 0x63]
        let others: [[UInt8]] = [
            [], [0, 0, 0], [0x01], [0x02, 9, 0, 1, 2, 3, 4], [0x03, 9, 0, 0, 2, 1, 1, 1], [0x04, 1, 2, 3],
            [0x06, 0, 2, 0x05, 0x05], [0x07, 3, 1, 2, 3], [0x0A, 4, 2, 0x05, 0x05], [0x0F, 4, 7, 1, 0x05],
            [0x10, 1], [0x11, 1, 2], [0x12, 1], [0x13, 1], [0x14, 1], [0x15, 1, 2], [0x16, 1], [0x17, 1],
            [0x18, 1, 0, 4, 1, 2, 3, 4] + [UInt8](repeating: 5, count: 16), [0x19, 1],
            [0x1A] + [UInt8](repeating: 5, count: 8), [0x1B] + [UInt8](repeating: 5, count: 8), [0x1E],
            [0x31, 2, 0x05, 0x05],
        ]
        for other in others {
            let found = scan(other + stop)
            #expect(found.count == 1 && found.first?.id == 4 && found.first?.code == 0x63, "\(other)")
        }
    }

    @Test func countsFramesThatNoPeerNeedsMany() {
        let challenge: [UInt8] = [0x1A] + [UInt8](repeating: 5, count: 8)
        let identifier: [UInt8] = [0x18, 1, 0, 4, 1, 2, 3, 4] + [UInt8](repeating: 5, count: 16)
        _ = scan([0x01] + challenge + [0x19, 1] + challenge + identifier + [0x1B] + [UInt8](repeating: 5, count: 8))
        #expect(rareFrames == 4)
        _ = scan([0x01])
        #expect(rareFrames == 0)
    }

    @Test func endsWhereAFrameTakesTheRest() {
        #expect(scan([0x08, 4, 0x05, 0x01, 0x01]).isEmpty)
        #expect(scan([0x30, 0x05, 0x01, 0x01]).isEmpty)
        #expect(scan([0x1C, 0, 0, 0, 0x05, 0x01, 0x01]).isEmpty)
        #expect(scan([0x21, 0x05, 0x01, 0x01]).isEmpty)
    }

    @Test func limitHolds() {
        let many = [[UInt8]](repeating: [0x05, 0x04, 0x01], count: 501).flatMap { $0 }
        #expect(scan(many).count == 500)
        #expect(scan([]).isEmpty)
    }

    @Test func truncatedAndRandomFramesAreHarmless() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<50_000 {
            let count = Int.random(in: 0...40, using: &random)
            // Allocated to the exact size, so that a reader past the end can be caught by a sanitizer.
            let frames = (0..<count).map { index in
                index == 0 ? UInt8.random(in: 0...0x1F, using: &random) : UInt8.random(in: 0...255, using: &random)
            }
            #expect(scan(frames).count <= count)
        }
    }
}

import Primitives
import SimNet
import Testing

@Suite struct PcapWriterTests {
    @Test func theFormat() {
        var capture = PcapWriter()
        #expect(
            capture.bytes == [
                0x4D, 0x3C, 0xB2, 0xA1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 101, 0, 0, 0,
            ])
        capture.append([0x45, 1, 2], at: Instant(nanoseconds: 3_000_000_007))
        #expect(Array(capture.bytes[24...]) == [3, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 0x45, 1, 2])
    }

    @Test func theFileHasALimit() {
        var capture = PcapWriter(byteLimit: 24 + 16 + 10)
        capture.append([UInt8](repeating: 0, count: 11), at: Instant(nanoseconds: 0))
        #expect(capture.bytes.count == 24 && capture.dropped == 1)
        capture.append([UInt8](repeating: 0, count: 10), at: Instant(nanoseconds: 0))
        #expect(capture.bytes.count == 50 && capture.dropped == 1)
    }
}

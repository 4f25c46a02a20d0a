import Primitives
import Testing

@Suite struct ByteOrderTests {
    @Test func networkOrderAtEveryAlignment() {
        for offset in 0..<9 {
            var bytes = [UInt8](repeating: 0, count: 24)
            bytes.withUnsafeMutableBytes { buffer in
                buffer.baseAddress!.storeBigEndian(UInt64(0x0102_0304_0506_0708), at: offset)
                buffer.baseAddress!.storeBigEndian(UInt16(0x090A), at: offset + 8)
                let memory = UnsafeRawPointer(buffer.baseAddress!)
                #expect(memory.loadBigEndian(at: offset + 4, as: UInt32.self) == 0x0506_0708)
            }
            #expect(Array(bytes[offset..<offset + 10]) == Array(1...10))
            let span = bytes.span.bytes
            let read = (
                span.byte(at: offset), span.bigEndian(at: offset + 1, as: UInt32.self),
                span.bigEndian(at: offset + 2, as: UInt64.self)
            )
            #expect(read.0 == 1 && read.1 == 0x0203_0405 && read.2 == 0x0304_0506_0708_090A)
        }
    }
}

import Primitives
import Testing

/// The read mark of a queue: bytes looked at long before they are consumed.
@Suite struct BlockQueueMarkTests {
    private static func unread(_ queue: borrowing BlockQueue, limit: Int = .max, regions: Int = 64) -> [UInt8] {
        var bytes: [UInt8] = []
        let memory = UnsafeMutableBufferPointer<UnsafeRawBufferPointer>.allocate(capacity: regions)
        defer { memory.deallocate() }
        let filled = queue.unreadRegions(limit: limit, into: memory)
        for region in memory[..<filled.count] { bytes.append(contentsOf: region) }
        #expect(bytes.count == filled.bytes)
        return bytes
    }

    @Test func startsAtTheFirstByteAndMovesOn() {
        let pool = BlockPool(byteLimit: 1 << 20)
        var queue = BlockQueue(pool: pool)
        #expect(Self.unread(queue) == [])
        let bytes = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        #expect(bytes.withUnsafeBytes { queue.append($0) } == bytes.count)
        #expect(queue.unread == bytes.count)
        #expect(Self.unread(queue) == bytes)
        #expect(Self.unread(queue, limit: 100) == Array(bytes[..<100]))
        queue.advanceMark(20_000)
        #expect(Self.unread(queue) == Array(bytes[20_000...]))
        #expect(queue.count == bytes.count)
        queue.consume(20_000)
        #expect(Self.unread(queue) == Array(bytes[20_000...]))
        queue.advanceMark(20_000)
        #expect(queue.unread == 0 && queue.count == 20_000)
        queue.consume(20_000)
        #expect(pool.outstanding == 0)
    }

    @Test func consumingPastTheMarkTakesItAlong() {
        var queue = BlockQueue(pool: BlockPool(byteLimit: 1 << 20))
        #expect([UInt8]([1, 2, 3, 4, 5]).withUnsafeBytes { queue.append($0) } == 5)
        queue.advanceMark(1)
        queue.consume(3)
        #expect(queue.unread == 2)
        #expect(Self.unread(queue) == [4, 5])
    }

    /// Against a plain array, with blocks of every fill.
    @Test(arguments: 1...20)
    func agreesWithAnArray(seed: Int) {
        var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
        func pick(_ range: ClosedRange<Int>) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return range.lowerBound + Int(state >> 33) % range.count
        }
        let pool = BlockPool(byteLimit: 64 << 20, retainedBytes: 0)
        var queue = BlockQueue(pool: pool)
        var model: [UInt8] = []
        var marked = 0
        var next: UInt8 = 0
        for _ in 0..<400 {
            switch pick(0...30) {
            case 30:
                queue.discardUnread()
                model.removeLast(model.count - marked)
            case 0...10:
                guard let space = queue.space(minimum: pick(1...BlockPool.capacity)) else { continue }
                let count = pick(0...space.count)
                for index in 0..<count {
                    space[index] = next
                    model.append(next)
                    next &+= 1
                }
                queue.stage(count)
                queue.commit()
            case 11...17:
                let count = pick(0...(model.count - marked))
                queue.advanceMark(count)
                marked += count
            case 18...24:
                let count = pick(0...min(marked, 30_000))
                queue.consume(count)
                model.removeFirst(count)
                marked -= count
            default:
                let limit = pick(0...5_000)
                #expect(Self.unread(queue, limit: limit) == Array(model[marked...].prefix(limit)), "seed \(seed)")
            }
            #expect(queue.count == model.count && queue.unread == model.count - marked, "seed \(seed)")
        }
        queue.consume(queue.count)
        queue.trim()
        #expect(pool.outstanding == 0)
    }
}

import Primitives
import SimNet
import Testing

@Suite struct BlockQueueTests {
    /// What the queue should hold, as plain arrays.
    private struct Model {
        var committed: [UInt8] = []
        var staged: [UInt8] = []
    }

    /// Every operation in random order, with small and large pieces, at the pool's limit and below.
    @Test(arguments: 0..<40) func behavesLikeAnArray(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let pool = BlockPool(byteLimit: Int.random(in: 1...8, using: &random) * BlockPool.blockSize)
        do {
            let tally = BlockTally()
            var queue = BlockQueue(pool: pool, tally: tally)
            var model = Model()
            for _ in 0..<400 {
                operate(&queue, &model, &random)
                #expect(tally.blocks == pool.outstanding && tally.bytes == pool.outstanding * BlockPool.blockSize)
                #expect(queue.count == model.committed.count && queue.staged == model.staged.count, "seed \(seed)")
                #expect(queue.isEmpty == model.committed.isEmpty)
                #expect(pool.outstanding <= pool.limit)
                check(queue, model, &random, seed)
            }
            if queue.count > 0 { queue.consume(queue.count) }
            queue.discardStaged()
            queue.trim()
            #expect(pool.outstanding == 0 && tally.blocks == 0, "seed \(seed): an empty queue holds memory")
            // Something to give back when the queue goes.
            model = Model()
            operate(&queue, &model, &random)
        }
        #expect(pool.outstanding == 0, "seed \(seed): a queue that is gone holds memory")
    }

    private func size(_ random: inout SeededRandom) -> Int {
        random.chance(0.5)
            ? .random(in: 1...100, using: &random) : .random(in: 1...BlockPool.capacity, using: &random)
    }

    private func operate(_ queue: inout BlockQueue, _ model: inout Model, _ random: inout SeededRandom) {
        switch Int.random(in: 0..<10, using: &random) {
        case 0...2:
            let minimum = size(&random)
            guard let room = queue.space(minimum: minimum) else { return }
            #expect(room.count >= minimum && room.count <= BlockPool.capacity)
            let count = Int.random(in: 0...min(room.count, minimum * 2), using: &random)
            let byte = UInt8.random(in: 0...255, using: &random)
            for index in 0..<count { room[index] = byte &+ UInt8(truncatingIfNeeded: index) }
            model.staged += room[..<count]
            queue.stage(count)
        case 3, 4:
            queue.commit()
            model.committed += model.staged
            model.staged = []
        case 5:
            queue.discardStaged()
            model.staged = []
        case 6, 7:
            let count = Int.random(in: 0...min(model.committed.count, size(&random)), using: &random)
            queue.consume(count)
            model.committed.removeFirst(count)
        case 8:
            let byte = UInt8.random(in: 0...255, using: &random)
            let bytes = (0..<size(&random)).map { byte &+ UInt8(truncatingIfNeeded: $0) }
            let taken = bytes.withUnsafeBytes { queue.append($0) }
            // What was staged before stands before, and is committed with it.
            model.committed += model.staged + bytes[..<taken]
            model.staged = []
        default:
            queue.trim()
        }
    }

    private func check(
        _ queue: borrowing BlockQueue, _ model: Model, _ random: inout SeededRandom, _ seed: Int
    ) {
        let offset = Int.random(in: 0...model.committed.count, using: &random)
        let limit = Int.random(in: 0...2000, using: &random)
        let expected = Array(model.committed[offset...].prefix(limit))
        var copied = [UInt8](repeating: 0, count: limit)
        let count = copied.withUnsafeMutableBytes { queue.copy(from: offset, into: $0) }
        #expect(count == expected.count && Array(copied[..<count]) == expected, "seed \(seed)")
        var seen: [UInt8] = []
        queue.forEachRegion(from: offset, limit: limit) { region in
            #expect(!region.isEmpty)
            seen += region
            return true
        }
        #expect(seen == expected, "seed \(seed)")
    }

    @Test func theWalkMayEndEarly() {
        let pool = BlockPool(byteLimit: 10 * BlockPool.blockSize)
        var queue = BlockQueue(pool: pool)
        let bytes = [UInt8](repeating: 1, count: 3 * BlockPool.capacity)
        #expect(bytes.withUnsafeBytes { queue.append($0) } == bytes.count)
        var regions = 0
        queue.forEachRegion { _ in
            regions += 1
            return regions < 2
        }
        #expect(regions == 2)
    }

    @Test func offsetsBeyondTheEndSeeNothing() {
        let pool = BlockPool(byteLimit: BlockPool.blockSize)
        var queue = BlockQueue(pool: pool)
        #expect([UInt8](1...9).withUnsafeBytes { queue.append($0) } == 9)
        var bytes = [UInt8](repeating: 0, count: 4)
        #expect(bytes.withUnsafeMutableBytes { queue.copy(from: 9, into: $0) } == 0)
        #expect(bytes.withUnsafeMutableBytes { queue.copy(from: 100, into: $0) } == 0)
        #expect(queue.copy(from: 0, into: UnsafeMutableRawBufferPointer(start: nil, count: 0)) == 0)
    }

    @Test func anEmptiedQueueHoldsNoMemoryEvenAfterAnUnusedSpace() {
        let pool = BlockPool(byteLimit: 4 * BlockPool.blockSize)
        var queue = BlockQueue(pool: pool)
        #expect([UInt8](1...9).withUnsafeBytes { queue.append($0) } == 9)
        let room = queue.space(minimum: BlockPool.capacity)
        #expect(room?.count == BlockPool.capacity && pool.outstanding == 2)
        queue.consume(9)
        #expect(pool.outstanding == 0)
    }
}

import Primitives
import Testing

/// The pool is seen through the queues that take from it, one block each.
@Suite struct BlockPoolTests {
    private func fill(_ queue: inout BlockQueue, blocks: Int) -> Int {
        [UInt8](repeating: 7, count: blocks * BlockPool.capacity).withUnsafeBytes { queue.append($0) }
    }

    @Test func theLimitIsInWholeBlocks() {
        #expect(BlockPool(byteLimit: 3 * BlockPool.blockSize - 1).limit == 2)
        #expect(BlockPool(byteLimit: 0).limit == 0)
    }

    @Test func atTheLimitRequestsAreRefusedAndCounted() {
        let pool = BlockPool(byteLimit: 3 * BlockPool.blockSize)
        var queue = BlockQueue(pool: pool)
        #expect(fill(&queue, blocks: 3) == 3 * BlockPool.capacity)
        #expect(pool.outstanding == 3 && pool.refused == 0)
        #expect(fill(&queue, blocks: 1) == 0 && pool.refused == 1 && pool.outstanding == 3)
        let room = queue.space()
        #expect(room == nil && pool.refused == 2)
        queue.consume(BlockPool.capacity)
        #expect(pool.outstanding == 2)
        #expect(fill(&queue, blocks: 2) == BlockPool.capacity && pool.refused == 3)
        #expect(pool.highWater == 3)
    }

    @Test func theHighWaterMarkStays() {
        let pool = BlockPool(byteLimit: 100 * BlockPool.blockSize, retainedBytes: 2 * BlockPool.blockSize)
        for blocks in [1, 5, 3] {
            var queue = BlockQueue(pool: pool)
            #expect(fill(&queue, blocks: blocks) == blocks * BlockPool.capacity)
            #expect(pool.outstanding == blocks)
        }
        #expect(pool.outstanding == 0 && pool.highWater == 5 && pool.refused == 0)
    }

    @Test func aPoolOfNothingRefuses() {
        let pool = BlockPool(byteLimit: 0)
        var queue = BlockQueue(pool: pool)
        #expect(fill(&queue, blocks: 1) == 0 && queue.isEmpty && pool.refused == 1)
    }

    @Test func memoryIsReused() {
        let pool = BlockPool(byteLimit: 10 * BlockPool.blockSize)
        var queue = BlockQueue(pool: pool)
        let first = queue.space()?.baseAddress
        queue.trim()
        #expect(pool.outstanding == 0)
        let second = queue.space()?.baseAddress
        #expect(first == second && first != nil)
        queue.trim()
    }
}

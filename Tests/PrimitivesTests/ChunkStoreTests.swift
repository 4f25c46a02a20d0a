import SimNet
import Testing

@testable import Primitives

struct ChunkStoreTests {
    private func acquire(_ store: inout ChunkStore) throws -> ChunkStore.Chunk {
        let chunk = store.acquire()
        return try #require(chunk)
    }

    @Test func eightChunksTakeOneBlock() throws {
        let pool = BlockPool(byteLimit: 4 * BlockPool.blockSize)
        var store = ChunkStore(pool: pool, byteLimit: .max)
        #expect(pool.outstanding == 0)
        var chunks: [ChunkStore.Chunk] = []
        for _ in 0..<8 { chunks.append(try acquire(&store)) }
        let used = store.usedBytes
        #expect(pool.outstanding == 1 && used == BlockPool.blockSize)
        chunks.append(try acquire(&store))
        #expect(pool.outstanding == 2)
        for (number, chunk) in chunks.enumerated() {
            let memory = UnsafeMutableRawBufferPointer(start: store.memory(of: chunk), count: ChunkStore.capacity)
            memory.initializeMemory(as: UInt8.self, repeating: UInt8(number))
        }
        for (number, chunk) in chunks.enumerated() {
            let memory = UnsafeRawBufferPointer(start: store.memory(of: chunk), count: ChunkStore.capacity)
            #expect(memory.allSatisfy { $0 == UInt8(number) })
        }
        for chunk in chunks {
            let isFree = store.release(chunk)
            #expect(isFree)
        }
        let left = store.usedBytes
        #expect(pool.outstanding == 0 && left == 0)
    }

    @Test func aChunkStaysForItsLastReference() throws {
        let pool = BlockPool(byteLimit: BlockPool.blockSize)
        var store = ChunkStore(pool: pool, byteLimit: .max)
        let chunk = try acquire(&store)
        store.retain(chunk)
        let wasLast = store.release(chunk)
        #expect(!wasLast && pool.outstanding == 1)
        let isLast = store.release(chunk)
        #expect(isLast)
        #expect(pool.outstanding == 0)
    }

    @Test func itsOwnLimitAndThePoolsHold() throws {
        let pool = BlockPool(byteLimit: 2 * BlockPool.blockSize)
        var store = ChunkStore(pool: pool, byteLimit: 3 * BlockPool.blockSize)
        for _ in 0..<16 { _ = try acquire(&store) }
        let none = store.acquire()
        #expect(none == nil && pool.refused == 1)
        var smaller = ChunkStore(pool: BlockPool(byteLimit: 1 << 20), byteLimit: BlockPool.blockSize + 100)
        let first = try acquire(&smaller)
        let charges = [smaller.charge(100), smaller.charge(1)]
        #expect(charges == [true, false])
        for _ in 0..<7 { _ = try acquire(&smaller) }
        let beyond = smaller.acquire()
        #expect(beyond == nil)
        smaller.discharge(100)
        smaller.release(first)
        let again = smaller.acquire()
        #expect(again == first)
    }

    @Test func aStoreThatGoesGivesItsBlocksBack() {
        let pool = BlockPool(byteLimit: 1 << 20)
        do {
            var store = ChunkStore(pool: pool, byteLimit: .max)
            for _ in 0..<20 { _ = store.acquire() }
            #expect(pool.outstanding == 3)
        }
        #expect(pool.outstanding == 0)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func chunksAreNeverGivenTwice(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let pool = BlockPool(byteLimit: 1 << 20)
        var store = ChunkStore(pool: pool, byteLimit: 20 * BlockPool.blockSize)
        var held: [ChunkStore.Chunk] = []
        for _ in 0..<3_000 {
            if random.chance(0.52) {
                guard let chunk = store.acquire() else {
                    #expect(held.count == 160)
                    continue
                }
                #expect(!held.contains(chunk), "seed \(seed)")
                held.append(chunk)
            } else if let place = held.indices.randomElement(using: &random) {
                store.release(held.remove(at: place))
            }
            let used = store.usedBytes
            #expect(used == pool.outstanding * BlockPool.blockSize, "seed \(seed)")
        }
        for chunk in held { store.release(chunk) }
        #expect(pool.outstanding == 0, "seed \(seed)")
    }
}

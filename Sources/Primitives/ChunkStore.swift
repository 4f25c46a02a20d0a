/// Small pieces of pooled blocks, counted by reference: for bytes that come in odd sizes and stay for a while.
///
/// A block is cut into eight chunks. What is bounded, and told by `usedBytes`, is whole blocks: the memory that is really
/// taken from the pool, not the bytes that somebody meant to keep. A block goes back as its last chunk does, and free
/// chunks of the lowest block are used first, so that the others can empty.
public struct ChunkStore: ~Copyable {
    /// Names a chunk until its last reference is gone.
    public struct Chunk: Hashable, Sendable {
        let index: UInt32
    }

    static let chunksPerBlock = 8
    /// Bytes of one chunk.
    public static let capacity = BlockPool.capacity / chunksPerBlock

    private let pool: BlockPool
    private let byteLimit: Int
    /// By block; nil for a place that is free.
    private var blocks: [Block?] = []
    /// By block: a bit for each chunk that is free.
    private var freeChunks: [UInt8] = []
    /// By chunk.
    private var references: [UInt16] = []
    /// No block before this one has a free chunk.
    private var firstFree = 0
    private var blockCount = 0
    private var charged = 0

    /// Memory taken now: blocks, and what was charged.
    public var usedBytes: Int { blockCount * BlockPool.blockSize + charged }

    /// - Parameter byteLimit: the most that `usedBytes` may be.
    public init(pool: BlockPool, byteLimit: Int) {
        self.pool = pool
        self.byteLimit = byteLimit
    }

    deinit {
        for case let block? in blocks { pool.release(block) }
    }

    // MARK: Chunks

    /// A chunk with one reference; nil at the limit, and at the pool's.
    public mutating func acquire() -> Chunk? {
        while firstFree < blocks.count, freeChunks[firstFree] == 0 { firstFree += 1 }
        if firstFree == blocks.count {
            guard let place = addBlock() else { return nil }
            firstFree = place
        }
        let chunk = freeChunks[firstFree].trailingZeroBitCount
        freeChunks[firstFree] &= ~(1 << UInt8(chunk))
        let index = firstFree * Self.chunksPerBlock + chunk
        references[index] = 1
        return Chunk(index: UInt32(index))
    }

    public mutating func retain(_ chunk: Chunk) { references[Int(chunk.index)] += 1 }

    /// - Returns: whether that was the last reference, and the chunk is free.
    @discardableResult
    public mutating func release(_ chunk: Chunk) -> Bool {
        let index = Int(chunk.index)
        references[index] -= 1
        guard references[index] == 0 else { return false }
        let place = index / Self.chunksPerBlock
        freeChunks[place] |= 1 << UInt8(index % Self.chunksPerBlock)
        if freeChunks[place] == .max {
            dropBlock(place)
        } else {
            firstFree = min(firstFree, place)
        }
        return true
    }

    /// The chunk's `capacity` bytes.
    public func memory(of chunk: Chunk) -> UnsafeMutableRawPointer {
        let index = Int(chunk.index)
        guard let block = blocks[index / Self.chunksPerBlock] else {
            preconditionFailure("a chunk that was given back")
        }
        return block.payload + index % Self.chunksPerBlock * Self.capacity
    }

    // MARK: Memory that lies elsewhere

    /// Counts memory that belongs to what is stored, but is not in the pool.
    /// - Returns: false, and nothing is counted, when that would be beyond the limit.
    public mutating func charge(_ bytes: Int) -> Bool {
        guard usedBytes + bytes <= byteLimit else { return false }
        charged += bytes
        return true
    }

    public mutating func discharge(_ bytes: Int) {
        charged -= bytes
        assert(charged >= 0, "more discharged than was charged")
    }

    // MARK: Blocks

    private mutating func addBlock() -> Int? {
        guard usedBytes + BlockPool.blockSize <= byteLimit, let block = pool.acquire() else { return nil }
        blockCount += 1
        let place: Int
        if let free = blocks.firstIndex(where: { $0 == nil }) {
            place = free
            blocks[place] = block
            freeChunks[place] = .max
        } else {
            place = blocks.count
            blocks.append(block)
            freeChunks.append(.max)
            references.append(contentsOf: repeatElement(0, count: Self.chunksPerBlock))
        }
        return place
    }

    private mutating func dropBlock(_ place: Int) {
        guard let block = blocks[place] else { return }
        pool.release(block)
        blocks[place] = nil
        freeChunks[place] = 0
        blockCount -= 1
        while let last = blocks.last, last == nil {
            blocks.removeLast()
            freeChunks.removeLast()
            references.removeLast(Self.chunksPerBlock)
        }
        firstFree = min(firstFree, blocks.count)
    }
}

/// Fixed-size blocks of memory for one thread, reused without going back to the allocator.
///
/// Every queue of payload bytes in the program is made of these blocks, so the pool's limit is the limit of the
/// program's buffered bytes, and `outstanding` back at zero proves that nothing leaked.
public final class BlockPool {
    /// Bytes of one block, header included.
    public static let blockSize = 16_384
    /// Payload bytes that fit into one block.
    public static let capacity = blockSize - Block.headerSize

    public let limit: Int
    /// Blocks in use now.
    public private(set) var outstanding = 0
    /// The most blocks ever in use at once.
    public private(set) var highWater = 0
    /// Requests refused because the limit was reached.
    public private(set) var refused = 0

    /// Free blocks kept for reuse; what comes back beyond goes to the allocator, so that a burst is not kept forever.
    private let retained: Int
    private var free: UnsafeMutableRawPointer?
    private var freeCount = 0

    /// - Parameters:
    ///   - byteLimit: the most bytes in use at once, rounded down to whole blocks.
    ///   - retainedBytes: the most free bytes kept for reuse.
    public init(byteLimit: Int, retainedBytes: Int = 16 << 20) {
        limit = byteLimit / Self.blockSize
        retained = retainedBytes / Self.blockSize
    }

    deinit {
        while let block = free {
            free = block.load(as: UnsafeMutableRawPointer?.self)
            block.deallocate()
        }
    }

    /// A block, or nil at the limit. Give it back with `release`.
    func acquire() -> Block? {
        guard outstanding < limit else {
            refused += 1
            return nil
        }
        outstanding += 1
        highWater = max(highWater, outstanding)
        if let memory = free {
            free = memory.load(as: UnsafeMutableRawPointer?.self)
            freeCount -= 1
            return Block(initializing: memory)
        }
        return Block(initializing: .allocate(byteCount: Self.blockSize, alignment: 16))
    }

    func release(_ block: Block) {
        outstanding -= 1
        if freeCount >= retained {
            block.memory.deallocate()
        } else {
            block.memory.storeBytes(of: free, as: UnsafeMutableRawPointer?.self)
            free = block.memory
            freeCount += 1
        }
    }
}

/// One block in use: a header of three words (next block, first and last byte in use), then payload.
struct Block {
    static let headerSize = 16
    let memory: UnsafeMutableRawPointer

    init(initializing memory: UnsafeMutableRawPointer) {
        self.memory = memory
        next = nil
        start = 0
        end = 0
    }

    private init(existing memory: UnsafeMutableRawPointer) { self.memory = memory }

    var next: Block? {
        get { memory.load(as: UnsafeMutableRawPointer?.self).map(Block.init(existing:)) }
        nonmutating set { memory.storeBytes(of: newValue?.memory, as: UnsafeMutableRawPointer?.self) }
    }
    var start: Int {
        get { Int(memory.load(fromByteOffset: 8, as: UInt32.self)) }
        nonmutating set { memory.storeBytes(of: UInt32(newValue), toByteOffset: 8, as: UInt32.self) }
    }
    var end: Int {
        get { Int(memory.load(fromByteOffset: 12, as: UInt32.self)) }
        nonmutating set { memory.storeBytes(of: UInt32(newValue), toByteOffset: 12, as: UInt32.self) }
    }
    var count: Int { end - start }
    var payload: UnsafeMutableRawPointer { memory + Self.headerSize }
}

/// Fixed-size blocks of memory for one thread, reused without going back to the allocator.
///
/// Every queue of payload bytes in the program is made of these blocks, so the pool's limit is the limit of the
/// program's buffered bytes, and `outstanding` back at zero proves that nothing leaked.
public final class BlockPool {
    /// Bytes of one block, header included.
    public static let blockSize = 16_384
    /// Payload bytes that fit into one block.
    public static let capacity = blockSize - Block.headerSize

    /// What changes with every block. It lies behind a pointer, since each access to a class's own variables is checked
    /// at run time for overlapping ones.
    private struct State {
        var outstanding = 0
        var highWater = 0
        var refused = 0
        var free: UnsafeMutableRawPointer?
        var freeCount = 0
    }

    /// The most blocks in use at once.
    public let limit: Int
    /// Free blocks kept for reuse; what comes back beyond goes to the allocator, so that a burst is not kept forever.
    private let retained: Int
    private let state: UnsafeMutablePointer<State>

    /// Blocks in use now.
    public var outstanding: Int { state.pointee.outstanding }
    /// Seven eighths are in use: what can wait for memory should.
    public var isShort: Bool { outstanding > limit / 8 * 7 }
    /// The most blocks ever in use at once.
    public var highWater: Int { state.pointee.highWater }
    /// Requests refused because the limit was reached.
    public var refused: Int { state.pointee.refused }

    /// - Parameters:
    ///   - byteLimit: the most bytes in use at once, rounded down to whole blocks.
    ///   - retainedBytes: the most free bytes kept for reuse.
    public init(byteLimit: Int, retainedBytes: Int = 16 << 20) {
        limit = byteLimit / Self.blockSize
        retained = retainedBytes / Self.blockSize
        state = .allocate(capacity: 1)
        state.initialize(to: State())
    }

    deinit {
        while let block = state.pointee.free {
            state.pointee.free = block.load(as: UnsafeMutableRawPointer?.self)
            block.deallocate()
        }
        state.deallocate()
    }

    /// A block, or nil at the limit. Give it back with `release`.
    func acquire() -> Block? {
        let outstanding = state.pointee.outstanding
        guard outstanding < limit else {
            state.pointee.refused += 1
            return nil
        }
        state.pointee.outstanding = outstanding + 1
        state.pointee.highWater = max(state.pointee.highWater, outstanding + 1)
        if let memory = state.pointee.free {
            state.pointee.free = memory.load(as: UnsafeMutableRawPointer?.self)
            state.pointee.freeCount -= 1
            return Block(initializing: memory)
        }
        return Block(initializing: .allocate(byteCount: Self.blockSize, alignment: 16))
    }

    func release(_ block: Block) {
        state.pointee.outstanding -= 1
        if state.pointee.freeCount >= retained {
            block.memory.deallocate()
        } else {
            block.memory.storeBytes(of: state.pointee.free, as: UnsafeMutableRawPointer?.self)
            state.pointee.free = block.memory
            state.pointee.freeCount += 1
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

import Primitives

/// The flows: found by their addresses when a packet comes, by their identifier when the owner calls.
///
/// Flows live in chunks that never move, so a flow is changed in place through a pointer; pointers never leave this
/// module and never outlive a call. New flows take the lowest free slot, so that after a burst the upper chunks run
/// empty; an empty chunk's memory goes back to the allocator, but for one that is kept for the next flow.
struct FlowTable: ~Copyable {
    /// Slots of a chunk: the bits of a word.
    private static let chunkSize = 64
    /// Chunks of one word of `roomy`.
    private static let wordSize = 64
    /// Bytes of a cache line. A flow begins with one, so that its addresses, which come first, are one access to memory.
    private static let line = 64
    /// Bytes from one flow to the next.
    private static let stride = (MemoryLayout<TCPFlow>.size + line - 1) / line * line

    private struct Chunk {
        /// Nil while no slot is in use, but for one spare chunk.
        var memory: UnsafeMutableRawPointer?
        /// A bit for each slot in use.
        var used: UInt64

        @inline(__always)
        func flow(_ place: Int) -> UnsafeMutablePointer<TCPFlow> {
            (memory.unsafelyUnwrapped + place * FlowTable.stride).assumingMemoryBound(to: TCPFlow.self)
        }
    }

    private let hash: FlowHash
    private var index = HashIndex()
    private var chunks: [Chunk] = []
    /// A bit for each chunk that has a free slot.
    private var roomy: [UInt64] = []
    /// Odd while the slot is in use; grows with every change.
    private var generations: [UInt32] = []
    /// Chunks that have memory and no flow: one at most.
    private var spares = 0
    /// Chunks that have memory.
    private(set) var allocatedChunks = 0

    var count: Int { index.count }

    init(hash: FlowHash) { self.hash = hash }

    deinit {
        forEach { $0.deinitialize(count: 1) }
        for chunk in chunks { chunk.memory?.deallocate() }
    }

    /// Bytes of memory taken by the flows' own state and by what finds them.
    var byteCount: Int {
        allocatedChunks * Self.chunkSize * Self.stride + index.byteCount
            + chunks.count * MemoryLayout<Chunk>.stride + generations.count * MemoryLayout<UInt32>.stride
    }

    // MARK: - Finding

    @inline(__always)
    private func pointer(_ slot: UInt32) -> UnsafeMutablePointer<TCPFlow> {
        chunks[Int(slot) / Self.chunkSize].flow(Int(slot) % Self.chunkSize)
    }

    @inline(__always)
    func find(_ addresses: FlowAddresses) -> UnsafeMutablePointer<TCPFlow>? {
        var found: UnsafeMutablePointer<TCPFlow>?
        _ = index.find(hash.hash(addresses)) { slot in
            let flow = pointer(slot)
            guard flow.pointee.addresses == addresses else { return false }
            found = flow
            return true
        }
        return found
    }

    @inline(__always)
    func find(_ id: FlowID) -> UnsafeMutablePointer<TCPFlow>? {
        guard Int(id.slot) < generations.count, generations[Int(id.slot)] == id.generation else { return nil }
        return pointer(id.slot)
    }

    /// The flow in a slot, if it is in use.
    @inline(__always)
    func find(slot: UInt32) -> UnsafeMutablePointer<TCPFlow>? {
        generations[Int(slot)] & 1 == 1 ? pointer(slot) : nil
    }

    /// All flows by slot: the same calls always give the same order.
    func forEach(_ body: (UnsafeMutablePointer<TCPFlow>) -> Void) {
        for chunk in chunks {
            var used = chunk.used
            while used != 0 {
                body(chunk.flow(used.trailingZeroBitCount))
                used &= used - 1
            }
        }
    }

    /// The identifiers of all flows, by slot.
    var identifiers: [FlowID] {
        var identifiers: [FlowID] = []
        identifiers.reserveCapacity(count)
        forEach { identifiers.append($0.pointee.id) }
        return identifiers
    }

    // MARK: - Changing

    /// Adds the flow that `make` builds with its new identifier.
    mutating func insert(_ addresses: FlowAddresses, make: (FlowID) -> TCPFlow) -> UnsafeMutablePointer<TCPFlow> {
        let slot = takeSlot()
        generations[Int(slot)] &+= 1
        index.insert(hash.hash(addresses), slot)
        let pointer = pointer(slot)
        pointer.initialize(to: make(FlowID(slot: slot, generation: generations[Int(slot)])))
        return pointer
    }

    mutating func remove(_ flow: UnsafeMutablePointer<TCPFlow>) {
        let slot = flow.pointee.id.slot
        index.remove(hash.hash(flow.pointee.addresses), slot)
        generations[Int(slot)] &+= 1
        flow.deinitialize(count: 1)
        giveBack(slot)
    }

    private mutating func takeSlot() -> UInt32 {
        let chunk = roomyChunk()
        if chunks[chunk].memory == nil {
            chunks[chunk].memory = .allocate(byteCount: Self.chunkSize * Self.stride, alignment: Self.line)
            allocatedChunks += 1
        } else if chunks[chunk].used == 0 {
            spares -= 1
        }
        let place = (~chunks[chunk].used).trailingZeroBitCount
        chunks[chunk].used |= 1 << UInt64(place)
        if chunks[chunk].used == .max { roomy[chunk / Self.wordSize] &= ~(1 << UInt64(chunk % Self.wordSize)) }
        return UInt32(chunk * Self.chunkSize + place)
    }

    private mutating func giveBack(_ slot: UInt32) {
        let chunk = Int(slot) / Self.chunkSize
        chunks[chunk].used &= ~(1 << UInt64(Int(slot) % Self.chunkSize))
        roomy[chunk / Self.wordSize] |= 1 << UInt64(chunk % Self.wordSize)
        guard chunks[chunk].used == 0 else { return }
        if spares == 0 {
            spares = 1
        } else {
            chunks[chunk].memory?.deallocate()
            chunks[chunk].memory = nil
            allocatedChunks -= 1
        }
    }

    /// The lowest chunk with a free slot. One word stands for 4096 flows, so the walk is short.
    private mutating func roomyChunk() -> Int {
        for (word, bits) in roomy.enumerated() where bits != 0 {
            return word * Self.wordSize + bits.trailingZeroBitCount
        }
        let chunk = chunks.count
        chunks.append(Chunk(memory: nil, used: 0))
        generations.append(contentsOf: repeatElement(0, count: Self.chunkSize))
        if chunk % Self.wordSize == 0 { roomy.append(0) }
        roomy[chunk / Self.wordSize] |= 1 << UInt64(chunk % Self.wordSize)
        return chunk
    }
}

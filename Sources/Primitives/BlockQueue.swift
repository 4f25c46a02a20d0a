/// A queue of bytes made of pooled blocks: written at the tail, read anywhere, taken off at the head.
///
/// Bytes pass through three stages. *Staged* bytes are written but not yet promised to the reader: a chunk whose
/// tag has not been checked is staged, and `discardStaged` forgets it. `commit` hands all staged bytes to the reader.
/// Readers look at committed bytes in place with `forEachRegion`, and `consume` gives the memory back to the pool.
/// A byte never moves between its writing and its consumption.
public struct BlockQueue: ~Copyable {
    private let pool: BlockPool
    private let tally: BlockTally?
    private var head: Block?
    /// The last block with committed or staged bytes, where writing goes on.
    private var tail: Block?
    /// The last block with committed bytes, and its end: where `discardStaged` goes back to.
    private var committedTail: Block?
    private var committedEnd = 0
    /// The block of the read mark, nil when the mark is at the first committed byte.
    private var markBlock: Block?
    private var markPosition = 0

    /// Committed bytes behind the read mark. The mark is for a reader that looks at bytes long before they are
    /// consumed, as a sender does that waits for acknowledgements; it starts at the first byte.
    public private(set) var unread = 0
    /// Committed bytes.
    public private(set) var count = 0
    /// Bytes written but not yet committed.
    public private(set) var staged = 0
    public var isEmpty: Bool { count == 0 }

    /// - Parameter tally: counts this queue's blocks among others.
    public init(pool: BlockPool, tally: BlockTally? = nil) {
        self.pool = pool
        self.tally = tally
    }

    deinit {
        var block = head
        while let current = block {
            block = current.next
            release(current)
        }
    }

    private func release(_ block: Block) {
        pool.release(block)
        tally?.blocks -= 1
    }

    // MARK: Writing

    /// Contiguous memory after the last written byte, at least `minimum` bytes long (up to `BlockPool.capacity`).
    ///
    /// Where the last block has less room left than that, the rest of it stays unused and a new block follows.
    /// The memory is good until the next call that changes the queue.
    /// - Returns: nil when the pool has reached its limit.
    public mutating func space(minimum: Int = 1) -> UnsafeMutableRawBufferPointer? {
        assert(minimum > 0 && minimum <= BlockPool.capacity)
        if let tail, BlockPool.capacity - tail.end >= minimum {
            return UnsafeMutableRawBufferPointer(start: tail.payload + tail.end, count: BlockPool.capacity - tail.end)
        }
        guard let block = pool.acquire() else { return nil }
        tally?.blocks += 1
        if let tail {
            tail.next = block
        } else {
            head = block
        }
        tail = block
        return UnsafeMutableRawBufferPointer(start: block.payload, count: BlockPool.capacity)
    }

    /// Marks the first `n` bytes of the last `space` as written, not yet readable.
    public mutating func stage(_ n: Int) {
        guard n > 0 else { return }
        guard let tail else { preconditionFailure("stage without space") }
        precondition(tail.end + n <= BlockPool.capacity, "staged past the space given")
        tail.end += n
        staged += n
    }

    /// Makes all staged bytes readable.
    public mutating func commit() {
        guard staged > 0, let tail else { return }
        count += staged
        unread += staged
        staged = 0
        committedTail = tail
        committedEnd = tail.end
    }

    /// Forgets all staged bytes.
    public mutating func discardStaged() {
        guard staged > 0 else { return }
        staged = 0
        guard let committedTail else { return releaseAll() }
        committedTail.end = committedEnd
        var block = committedTail.next
        committedTail.next = nil
        tail = committedTail
        while let current = block {
            block = current.next
            release(current)
        }
        trim()
    }

    /// Gives back the memory that `space` handed out and nobody wrote to, when the queue is empty.
    public mutating func trim() {
        if count == 0 && staged == 0 { releaseAll() }
    }

    private mutating func releaseAll() {
        var block = head
        while let current = block {
            block = current.next
            release(current)
        }
        head = nil
        tail = nil
        committedTail = nil
        committedEnd = 0
        markBlock = nil
    }

    /// Copies bytes to the tail and commits them.
    /// - Returns: how many were taken; fewer than given when the pool has reached its limit.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) -> Int {
        var taken = 0
        while taken < bytes.count, let room = space() {
            let n = min(room.count, bytes.count - taken)
            room.baseAddress!.copyMemory(from: bytes.baseAddress! + taken, byteCount: n)
            stage(n)
            taken += n
        }
        commit()
        return taken
    }

    // MARK: Reading

    /// Calls `body` with each contiguous region of the committed bytes from `offset`, `limit` bytes in all at most.
    /// The walk ends early when `body` returns false.
    @inline(__always)
    public func forEachRegion(from offset: Int = 0, limit: Int = .max, _ body: (UnsafeRawBufferPointer) -> Bool) {
        var skip = offset
        var left = min(limit, count - offset)
        var block = head
        while left > 0, let current = block {
            let size = current.count
            if skip >= size {
                skip -= size
            } else {
                let n = min(size - skip, left)
                if !body(UnsafeRawBufferPointer(start: current.payload + current.start + skip, count: n)) { return }
                left -= n
                skip = 0
            }
            block = current.next
        }
    }

    /// Copies committed bytes from `offset` into `destination`; returns how many.
    public func copy(from offset: Int, into destination: UnsafeMutableRawBufferPointer) -> Int {
        var written = 0
        forEachRegion(from: offset, limit: destination.count) { region in
            (destination.baseAddress! + written).copyMemory(from: region.baseAddress!, byteCount: region.count)
            written += region.count
            return true
        }
        return written
    }

    /// Fills `regions` with the contiguous regions behind the read mark, `limit` bytes in all at most.
    ///
    /// Its cost does not depend on how many bytes lie before the mark.
    /// - Returns: how many regions were filled, and their bytes.
    public func unreadRegions(
        limit: Int, into regions: UnsafeMutableBufferPointer<UnsafeRawBufferPointer>
    ) -> (count: Int, bytes: Int) {
        var left = min(limit, unread)
        var bytes = 0
        var filled = 0
        var block = markBlock ?? head
        var position = markBlock == nil ? (head?.start ?? 0) : markPosition
        while left > 0, filled < regions.count, let current = block {
            let n = min(current.end - position, left)
            if n > 0 {
                regions[filled] = UnsafeRawBufferPointer(start: current.payload + position, count: n)
                filled += 1
                bytes += n
                left -= n
            }
            block = current.next
            position = block?.start ?? 0
        }
        return (filled, bytes)
    }

    /// Moves the read mark past the next `n` committed bytes.
    public mutating func advanceMark(_ n: Int) {
        precondition(n <= unread, "marked more than was committed")
        guard n > 0, let head else { return }
        unread -= n
        var left = n
        var block = markBlock ?? head
        var position = markBlock == nil ? head.start : markPosition
        while left > block.end - position, let next = block.next {
            left -= block.end - position
            block = next
            position = next.start
        }
        markBlock = block
        markPosition = position + left
    }

    /// Forgets the bytes behind the read mark, committed and staged.
    public mutating func discardUnread() {
        discardStaged()
        guard unread > 0 else { return trim() }
        count -= unread
        unread = 0
        // Without a mark block the mark was at the first byte, and nothing is left.
        guard let mark = markBlock else { return releaseAll() }
        mark.end = markPosition
        var block = mark.next
        mark.next = nil
        tail = mark
        committedTail = mark
        committedEnd = markPosition
        while let current = block {
            block = current.next
            release(current)
        }
    }

    /// Takes the first `n` committed bytes off the queue; the read mark moves along when it is passed. An emptied queue
    /// gives back all memory, also what `space` handed out before.
    public mutating func consume(_ n: Int) {
        precondition(n <= count, "consumed more than was committed")
        count -= n
        if unread >= count {
            unread = count
            markBlock = nil
        }
        var left = n
        while left > 0, let block = head {
            let taken = min(left, block.count)
            block.start += taken
            left -= taken
            if block.count > 0 { break }
            dropHeadIfSpent(block)
        }
        trim()
    }

    /// Gives back an empty first block; an idle queue holds no memory.
    private mutating func dropHeadIfSpent(_ block: Block) {
        if tail?.memory == block.memory { return releaseAll() }
        head = block.next
        if markBlock?.memory == block.memory { markBlock = nil }
        if committedTail?.memory == block.memory {
            committedTail = nil
            committedEnd = 0
        }
        release(block)
    }
}

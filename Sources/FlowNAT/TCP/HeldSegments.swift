import Packets
import Primitives

/// Text that arrived before its predecessors: what a flow keeps until the hole before it has closed.
///
/// The bytes are copied once into chunks of the pool, one behind the other as they come, and are delivered from there.
/// A record says where a piece of the sequence space lies; records are sorted, do not overlap, and a segment that
/// follows the one before it makes its record longer instead of a new one. A packet costs a search and one move of the
/// records at most, whatever order a peer thinks of. Nothing is allocated before the first hole, and everything goes
/// when the last has closed.
struct HeldSegments {
    /// A piece of the text, and the memory that it lies in.
    struct Piece {
        var start: SequenceNumber
        var chunk: ChunkStore.Chunk
        var offset: UInt16
        var count: UInt16

        var end: SequenceNumber { start + Int(count) }
    }

    /// What became of a segment.
    struct Outcome {
        /// All of it is here now; false when a limit was reached, and only its beginning may be.
        var isComplete = true
        /// Some of it was new.
        var isNew = false
        /// The first part of it that was here before (RFC 2883).
        var duplicate: SACKBlock?

        fileprivate mutating func noteDuplicate(_ start: SequenceNumber, _ end: SequenceNumber) {
            guard let known = duplicate else { return duplicate = SACKBlock(start: start, end: end) }
            if known.end == start { duplicate?.end = end }
        }
    }

    /// Records; those before `head` are spent.
    private var pieces: [Piece] = []
    private var head = 0
    /// Records that the store was charged for.
    private var chargedCapacity = 0
    /// The chunk that is being filled, and how far it is.
    private var tail: ChunkStore.Chunk?
    private var tailCount = 0
    private var chunkCount = 0
    /// Where a FIN stands that came before its turn.
    private(set) var finish: SequenceNumber?
    /// A number of each of the blocks that changed last, the latest first.
    private var recent = RecentNumbers()

    var isEmpty: Bool { pieces.isEmpty && finish == nil }
    /// Records in use.
    var pieceCount: Int { pieces.count - head }
    /// Chunks that this flow keeps from others.
    var pinnedBytes: Int { chunkCount * ChunkStore.capacity }

    // MARK: Holding

    /// Keeps a copy of what of the text is not here yet.
    mutating func hold(
        _ text: UnsafeRawBufferPointer, at start: SequenceNumber, settings: FlowSettings.Reference,
        memory: inout ChunkStore
    ) -> Outcome {
        var outcome = Outcome()
        let end = start + text.count
        var at = start
        var index = firstPiece(endingAfter: start)
        while at < end {
            if index < pieces.count, pieces[index].start <= at {
                let known = SequenceNumber.earlier(pieces[index].end, end)
                outcome.noteDuplicate(at, known)
                at = known
                index += 1
                continue
            }
            let rest = UnsafeRawBufferPointer(rebasing: text[(at - start)...])
            let stored = store(rest, at: at, before: &index, settings: settings, memory: &memory, outcome: &outcome)
            guard stored > 0 else {
                outcome.isComplete = false
                break
            }
            outcome.isNew = true
            at += stored
        }
        if pieces.isEmpty {
            releaseMemory(&memory)
        } else if let range = block(holding: start) {
            recent.note(start, from: pieces[range.lowerBound].start, to: pieces[range.upperBound - 1].end)
        }
        return outcome
    }

    /// A FIN after text that is not complete. Of two that disagree the first in the sequence counts.
    mutating func holdFIN(at number: SequenceNumber) {
        finish = finish.map { SequenceNumber.earlier($0, number) } ?? number
    }

    /// Stores a beginning of `text`, which is new at least in its first byte, as one piece. Pieces that lie wholly within
    /// are replaced, so that a segment across many small ones costs one move and not one for each.
    ///
    /// - Parameter index: of the first piece behind; moves on past what was stored.
    /// - Returns: bytes stored or replaced; zero at a limit.
    private mutating func store(
        _ text: UnsafeRawBufferPointer, at start: SequenceNumber, before index: inout Int,
        settings: FlowSettings.Reference, memory: inout ChunkStore, outcome: inout Outcome
    ) -> Int {
        guard let chunk = writableChunk(settings: settings, memory: &memory) else { return 0 }
        var end = start + min(text.count, ChunkStore.capacity - tailCount)
        var last = index
        while last < pieces.count, pieces[last].end <= end { last += 1 }
        if last < pieces.count { end = SequenceNumber.earlier(end, pieces[last].start) }
        let count = end - start
        let follows =
            index > head && pieces[index - 1].end == start && pieces[index - 1].chunk == chunk
            && Int(pieces[index - 1].offset) + Int(pieces[index - 1].count) == tailCount
        if !follows, last == index {
            guard pieceCount < settings.pointee.maximumHeldSegments, chargeForOneMore(&memory) else { return 0 }
        }
        for old in index..<last {
            outcome.noteDuplicate(pieces[old].start, pieces[old].end)
            release(pieces[old].chunk, &memory)
        }
        (memory.memory(of: chunk) + tailCount).copyMemory(from: text.baseAddress!, byteCount: count)
        if follows {
            pieces[index - 1].count += UInt16(count)
            pieces.removeSubrange(index..<last)
        } else {
            let piece = Piece(start: start, chunk: chunk, offset: UInt16(tailCount), count: UInt16(count))
            memory.retain(chunk)
            if last == index {
                pieces.insert(piece, at: index)
            } else {
                pieces[index] = piece
                pieces.removeSubrange(index + 1..<last)
            }
            index += 1
        }
        tailCount += count
        return count
    }

    /// The chunk that is being filled, or a new one.
    private mutating func writableChunk(
        settings: FlowSettings.Reference, memory: inout ChunkStore
    ) -> ChunkStore.Chunk? {
        if let tail, tailCount < ChunkStore.capacity { return tail }
        guard pinnedBytes + ChunkStore.capacity <= settings.pointee.maximumHeldBytesPerFlow,
            let fresh = memory.acquire()
        else {
            return nil
        }
        if let tail { release(tail, &memory) }
        chunkCount += 1
        tail = fresh
        tailCount = 0
        return fresh
    }

    /// Records are memory too: the array is charged for as it grows.
    private mutating func chargeForOneMore(_ memory: inout ChunkStore) -> Bool {
        guard pieces.count == chargedCapacity else { return true }
        let capacity = max(Self.smallestCapacity, 2 * chargedCapacity)
        guard memory.charge((capacity - chargedCapacity) * MemoryLayout<Piece>.stride) else { return false }
        pieces.reserveCapacity(capacity)
        chargedCapacity = capacity
        return true
    }

    private static let smallestCapacity = 16

    // MARK: Taking

    /// Text that starts at `next`, as far as it lies in one piece. It stays until `drop`.
    mutating func text(at next: SequenceNumber, memory: inout ChunkStore) -> UnsafeRawBufferPointer? {
        drop(before: next, memory: &memory)
        guard head < pieces.count, pieces[head].start <= next else { return nil }
        let piece = pieces[head]
        let skip = next - piece.start
        return UnsafeRawBufferPointer(
            start: memory.memory(of: piece.chunk) + Int(piece.offset) + skip, count: Int(piece.count) - skip)
    }

    /// Forgets what lies wholly before `next`.
    mutating func drop(before next: SequenceNumber, memory: inout ChunkStore) {
        if let finish, finish < next { self.finish = nil }
        guard head < pieces.count else { return }
        while head < pieces.count, pieces[head].end <= next {
            release(pieces[head].chunk, &memory)
            head += 1
        }
        if head == pieces.count {
            releaseMemory(&memory)
        } else if head >= Self.smallestCapacity, 2 * head >= pieces.count {
            pieces.removeFirst(head)
            head = 0
        }
    }

    mutating func removeAll(memory: inout ChunkStore) {
        finish = nil
        for index in head..<pieces.count { release(pieces[index].chunk, &memory) }
        releaseMemory(&memory)
    }

    private mutating func release(_ chunk: ChunkStore.Chunk, _ memory: inout ChunkStore) {
        if memory.release(chunk) { chunkCount -= 1 }
    }

    /// When there are no pieces any more.
    private mutating func releaseMemory(_ memory: inout ChunkStore) {
        if let tail { release(tail, &memory) }
        tail = nil
        tailCount = 0
        memory.discharge(chargedCapacity * MemoryLayout<Piece>.stride)
        chargedCapacity = 0
        pieces = []
        head = 0
        recent = RecentNumbers()
    }

    // MARK: Finding

    private func firstPiece(endingAfter number: SequenceNumber) -> Int {
        var low = head
        var high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].end > number { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

// MARK: - What the sender is told

extension HeldSegments {
    /// The blocks of the next ACK (RFC 2018, section 4): the one with the latest segment first, then those reported most
    /// recently; where that leaves room, others from the lowest on. A duplicate goes before them (RFC 2883, section 4).
    ///
    /// - Parameter next: RCV.NXT. What lies there already, because the consumer did not take it, is not reported: it has
    ///   to come again.
    func blocks(after next: SequenceNumber, duplicate: SACKBlock?) -> SACKBlocks {
        var blocks = SACKBlocks()
        if let duplicate { _ = blocks.append(duplicate) }
        let first = blocks.count
        var reported = 0
        func add(_ range: Range<Int>) {
            let start = pieces[range.lowerBound].start
            guard start > next, !blocks.dropFirst(first).contains(where: { $0.start == start }) else { return }
            if blocks.append(SACKBlock(start: start, end: end(of: range))) { reported += range.count }
        }
        for index in 0..<recent.count {
            if let range = block(holding: recent[index]) { add(range) }
        }
        var index = head
        while reported < pieceCount, blocks.count < SACKBlocks.limit, index < pieces.count {
            let range = block(around: index)
            add(range)
            index = range.upperBound
        }
        return blocks
    }

    /// The records of the block that a number is in.
    private func block(holding number: SequenceNumber) -> Range<Int>? {
        let index = firstPiece(endingAfter: number)
        guard index < pieces.count, pieces[index].start <= number else { return nil }
        return block(around: index)
    }

    /// The records that join without a gap with the one at `index`.
    private func block(around index: Int) -> Range<Int> {
        var lower = index
        while lower > head, pieces[lower - 1].end == pieces[lower].start { lower -= 1 }
        var upper = index + 1
        while upper < pieces.count, pieces[upper - 1].end == pieces[upper].start { upper += 1 }
        return lower..<upper
    }

    /// A FIN behind the text takes a number, too.
    private func end(of range: Range<Int>) -> SequenceNumber {
        let end = pieces[range.upperBound - 1].end
        return end == finish ? end + 1 : end
    }
}

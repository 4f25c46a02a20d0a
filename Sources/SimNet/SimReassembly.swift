import Packets

/// The receiving side's bytes: those in order, and those that came before their turn.
struct SimReassembly {
    /// The next sequence number wanted (RCV.NXT).
    var next = SequenceNumber(0)
    /// In order, not yet read by the application.
    var ready: [UInt8] = []
    /// Out of order, sorted, without overlap. The window bounds their bytes.
    private(set) var early: [(start: SequenceNumber, bytes: [UInt8])] = []
    /// Where the last segment began.
    private var latest = SequenceNumber(0)
    /// Where the FIN stands, once seen.
    var end: SequenceNumber?

    /// Takes bytes over, whatever part of them is new, and moves `next` past all that is now in order.
    mutating func insert(_ bytes: ArraySlice<UInt8>, at start: SequenceNumber) {
        let skip = max(0, next - start)
        latest = start
        guard skip < bytes.count else { return }
        insertEarly(Array(bytes.dropFirst(skip)), at: start + skip)
        while let first = early.first, first.start <= next {
            early.removeFirst()
            let known = next - first.start
            guard known < first.bytes.count else { continue }
            ready += first.bytes[known...]
            next += first.bytes.count - known
        }
    }

    private mutating func insertEarly(_ bytes: [UInt8], at start: SequenceNumber) {
        var start = start
        var bytes = bytes
        var merged: [(start: SequenceNumber, bytes: [UInt8])] = []
        for piece in early {
            let pieceEnd = piece.start + piece.bytes.count
            if pieceEnd < start || piece.start > start + bytes.count {
                merged.append(piece)
            } else {
                // They touch: the older bytes go before and after what is new.
                let before = max(0, start - piece.start)
                let after = max(0, pieceEnd - (start + bytes.count))
                bytes = piece.bytes.prefix(before) + bytes + piece.bytes.suffix(after)
                start -= before
            }
        }
        merged.append((start, bytes))
        early = merged.sorted { $0.start < $1.start }
    }

    /// What was received out of order, for the sender: the block with the latest segment first (RFC 2018, section 4),
    /// then the others from the lowest on.
    var sack: SACKBlocks {
        var blocks = SACKBlocks()
        let first = early.firstIndex { $0.start <= latest && latest < $0.start + $0.bytes.count }
        if let first { _ = blocks.append(block(early[first])) }
        for index in early.indices where index != first { _ = blocks.append(block(early[index])) }
        return blocks
    }

    private func block(_ piece: (start: SequenceNumber, bytes: [UInt8])) -> SACKBlock {
        SACKBlock(start: piece.start, end: piece.start + piece.bytes.count)
    }
}

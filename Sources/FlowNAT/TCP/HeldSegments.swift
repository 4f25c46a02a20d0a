import Packets

/// Segments that arrived before their predecessors, in order, without overlaps between neighbours' starts.
///
/// Nothing is allocated until the first loss or reordering, and everything goes when the gap has closed.
struct HeldSegments {
    struct Segment {
        var start: SequenceNumber
        var bytes: [UInt8]
        var hasFIN: Bool

        var end: SequenceNumber { start + bytes.count }
    }

    private(set) var segments: [Segment] = []

    var isEmpty: Bool { segments.isEmpty }

    /// Keeps a copy of the payload.
    /// - Returns: false when the limit is reached.
    mutating func hold(_ payload: UnsafeRawBufferPointer, at start: SequenceNumber, hasFIN: Bool, limit: Int) -> Bool {
        let position = segments.firstIndex { $0.start >= start } ?? segments.count
        if position < segments.count, segments[position].start == start {
            // The same start again: keep the longer one.
            if segments[position].bytes.count < payload.count {
                segments[position].bytes = Array(payload)
            }
            segments[position].hasFIN = segments[position].hasFIN || hasFIN
            return true
        }
        if position > 0, segments[position - 1].end >= start + payload.count, !hasFIN { return true }
        guard segments.count < limit else { return false }
        segments.insert(Segment(start: start, bytes: Array(payload), hasFIN: hasFIN), at: position)
        return true
    }

    /// Takes off the first segment that begins at or before `next`.
    mutating func takeReady(next: SequenceNumber) -> Segment? {
        guard let first = segments.first, first.start <= next else { return nil }
        segments.removeFirst()
        return first
    }
}

import Packets

/// Memory for segments that wait for their predecessors: one limit for all flows together.
struct HeldBudget {
    let limit: Int
    private(set) var used = 0

    init(limit: Int) { self.limit = limit }

    mutating func take(_ bytes: Int) -> Bool {
        guard used + bytes <= limit else { return false }
        used += bytes
        return true
    }

    mutating func give(_ bytes: Int) { used -= bytes }
}

/// Segments that arrived before their predecessors, sorted by their starts, no two with the same.
///
/// Nothing is allocated until the first loss or reordering, and everything goes when the gap has closed.
struct HeldSegments {
    struct Segment {
        var start: SequenceNumber
        var bytes: [UInt8]
        var hasFIN: Bool

        var end: SequenceNumber { start + bytes.count }
        /// What it takes of the budget.
        var cost: Int { bytes.count + HeldSegments.overhead }
    }

    /// What a segment costs besides its bytes.
    static let overhead = 64

    private(set) var segments: [Segment] = []

    var isEmpty: Bool { segments.isEmpty }

    /// Keeps a copy of the payload.
    /// - Parameter limit: segments of this flow.
    /// - Returns: false when a limit is reached.
    mutating func hold(
        _ payload: UnsafeRawBufferPointer, at start: SequenceNumber, hasFIN: Bool, limit: Int,
        budget: inout HeldBudget
    ) -> Bool {
        let position = segments.firstIndex { $0.start >= start } ?? segments.count
        if position < segments.count, segments[position].start == start {
            return lengthen(at: position, payload, hasFIN: hasFIN, budget: &budget)
        }
        if position > 0, segments[position - 1].end >= start + payload.count, !hasFIN { return true }
        guard segments.count < limit, budget.take(payload.count + Self.overhead) else { return false }
        segments.insert(Segment(start: start, bytes: Array(payload), hasFIN: hasFIN), at: position)
        return true
    }

    /// The same start again: the longer one stays, and with it where the FIN stands.
    private mutating func lengthen(
        at position: Int, _ payload: UnsafeRawBufferPointer, hasFIN: Bool, budget: inout HeldBudget
    ) -> Bool {
        let known = segments[position].bytes.count
        guard payload.count >= known else { return true }
        guard budget.take(payload.count - known) else { return false }
        segments[position].bytes = Array(payload)
        segments[position].hasFIN = hasFIN || (segments[position].hasFIN && payload.count == known)
        return true
    }

    /// Takes off the first segment that begins at or before `next`.
    mutating func takeReady(next: SequenceNumber, budget: inout HeldBudget) -> Segment? {
        guard let first = segments.first, first.start <= next else { return nil }
        budget.give(first.cost)
        return segments.removeFirst()
    }

    mutating func removeAll(budget: inout HeldBudget) {
        for segment in segments { budget.give(segment.cost) }
        segments = []
    }
}

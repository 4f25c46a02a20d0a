import Packets
import Primitives

/// The scoreboard: what of a flow was sent and is not acknowledged, in the order of its sequence numbers and without
/// gaps. A cumulative ACK takes records off the front; a SACK that covers part of a record splits it, and neighbours
/// that are both SACKed become one, so that a peer cannot fill the list with crumbs.
struct SendRecords {
    typealias Pointer = UnsafeMutablePointer<SendRecord>

    private let arena: UnsafeMutablePointer<SendRecordArena>
    private(set) var first: Pointer?
    private(set) var last: Pointer?
    private(set) var count = 0
    /// Bytes under way as far as is known: neither SACKed nor lost ("pipe", RFC 6675).
    private(set) var bytesInFlight = 0
    private(set) var lostBytes = 0
    private(set) var sackedBytes = 0
    /// No lost record stands before this one.
    private var lostHint: Pointer?
    /// One past the highest number ever sent again; records from here on left in the order of their numbers.
    private var retransmittedEnd: SequenceNumber

    /// - Parameter arena: outlives every flow; it is never touched but through calls on a flow.
    init(arena: UnsafeMutablePointer<SendRecordArena>, start: SequenceNumber) {
        self.arena = arena
        retransmittedEnd = start
    }

    var isEmpty: Bool { first == nil }

    // MARK: Sending

    /// Whether new text can be recorded. False only with all records in use and the last one lost or SACKed; an ACK or a
    /// timeout changes that.
    var canAppend: Bool {
        guard let last else { return true }
        return last.pointee.place == .inFlight || mayGrow
    }

    private var mayGrow: Bool { count < arena.pointee.limitPerFlow && !arena.pointee.isFull }

    /// Notes new text. At the limits it joins the last record.
    mutating func append(from start: SequenceNumber, to end: SequenceNumber, now: Instant) {
        bytesInFlight += end - start
        if let last, !mayGrow {
            precondition(last.pointee.place == .inFlight, "new text is sent only when it can be recorded")
            last.pointee.end = end
            last.pointee.sent = now
            last.pointee.isMerged = true
            return
        }
        let record = arena.pointee.take()
        record.initialize(to: SendRecord(start: start, end: end, sent: now, next: nil, previous: last))
        if let last { last.pointee.next = record } else { first = record }
        last = record
        count += 1
    }

    /// A SYN-ACK left, perhaps not for the first time.
    mutating func noteHandshake(at start: SequenceNumber, now: Instant) {
        guard let first else { return append(from: start, to: start + 1, now: now) }
        first.pointee.sent = now
        first.pointee.wasRetransmitted = true
    }

    // MARK: Acknowledgments

    /// Takes off what a cumulative ACK covers.
    mutating func acknowledge(
        to number: SequenceNumber, now: Instant, detection: inout LossDetection, delivery: inout Delivery
    ) {
        while let record = first, record.pointee.start < number {
            let isWhole = record.pointee.end <= number
            let end = isWhole ? record.pointee.end : number
            let bytes = end - record.pointee.start
            switch record.pointee.place {
            case .inFlight: bytesInFlight -= bytes
            case .lost: lostBytes -= bytes
            case .sacked: sackedBytes -= bytes
            }
            if record.pointee.wasRetransmitted { delivery.acknowledgesRetransmission = true }
            if record.pointee.place != .sacked {
                delivery.note(
                    record.pointee, bytes: bytes, end: end, isMeasure: isWhole || !record.pointee.isMerged, now: now,
                    detection: &detection)
            }
            if !isWhole {
                record.pointee.start = number
                return
            }
            remove(record)
        }
    }

    /// Marks what a SACK block covers. The caller has checked that it lies between SND.UNA and SND.NXT.
    mutating func sack(_ block: SACKBlock, now: Instant, detection: inout LossDetection, delivery: inout Delivery) {
        var cursor = first
        while let record = cursor, record.pointee.end <= block.start { cursor = record.pointee.next }
        while var record = cursor, record.pointee.start < block.end {
            cursor = record.pointee.next
            if record.pointee.place == .sacked { continue }
            if record.pointee.start < block.start {
                guard mayGrow else { continue }
                record = split(record, at: block.start)
                cursor = record.pointee.next
            }
            if record.pointee.end > block.end {
                guard mayGrow else { return }
                cursor = split(record, at: block.end)
            }
            let bytes = record.pointee.count
            if record.pointee.place == .lost { lostBytes -= bytes } else { bytesInFlight -= bytes }
            sackedBytes += bytes
            delivery.note(
                record.pointee, bytes: bytes, end: record.pointee.end, isMeasure: !record.pointee.isMerged, now: now,
                detection: &detection)
            record.pointee.place = .sacked
            cursor = joinSacked(record)
        }
    }

    /// Joins a SACKed record with its neighbours; returns what comes after.
    private mutating func joinSacked(_ record: Pointer) -> Pointer? {
        if let next = record.pointee.next, next.pointee.place == .sacked {
            record.pointee.end = next.pointee.end
            record.pointee.wasRetransmitted = record.pointee.wasRetransmitted || next.pointee.wasRetransmitted
            remove(next)
        }
        let after = record.pointee.next
        if let previous = record.pointee.previous, previous.pointee.place == .sacked {
            previous.pointee.end = record.pointee.end
            previous.pointee.wasRetransmitted = record.pointee.wasRetransmitted || previous.pointee.wasRetransmitted
            remove(record)
        }
        return after
    }

    // MARK: Loss

    /// RFC 8985, section 6.2, step 5: everything that left long enough before what was delivered is lost.
    ///
    /// - Returns: the bytes now taken for lost, and how long until the next may be.
    mutating func detectLosses(
        _ detection: borrowing LossDetection, reorderingWindow: Interval, now: Instant
    ) -> (lost: Int, wait: Interval?) {
        var lost = 0
        var wait: Interval?
        var cursor = first
        while let record = cursor {
            cursor = record.pointee.next
            guard record.pointee.place == .inFlight else { continue }
            guard detection.leftAfter(record.pointee) else {
                if record.pointee.start >= retransmittedEnd { break }
                continue
            }
            let remaining = record.pointee.sent + detection.roundTrip + reorderingWindow - now
            if remaining <= .zero {
                lost += record.pointee.count
                markLost(record)
            } else {
                wait = max(wait ?? .zero, remaining)
            }
        }
        return (lost, wait)
    }

    /// The first segment of what is not acknowledged is lost: what duplicate and partial ACKs say without SACK
    /// (RFC 6582). Returns how many bytes that is, none when it is known already.
    mutating func markFirstLost(segment: Int) -> Int {
        guard let first, first.pointee.place == .inFlight else { return 0 }
        if first.pointee.count > segment { _ = split(first, at: first.pointee.start + segment) }
        markLost(first)
        return first.pointee.count
    }

    /// Everything not SACKed is lost; with `forgettingSACK` that too (RFC 2018, section 8).
    mutating func markAllLost(forgettingSACK: Bool) {
        var cursor = first
        while let record = cursor {
            switch record.pointee.place {
            case .inFlight:
                markLost(record)
            case .sacked where forgettingSACK:
                sackedBytes -= record.pointee.count
                lostBytes += record.pointee.count
                record.pointee.place = .lost
            case .lost, .sacked:
                break
            }
            cursor = record.pointee.next
        }
        lostHint = first
    }

    /// What was taken for lost is under way after all.
    mutating func unmarkLost() {
        var cursor = first
        while let record = cursor {
            if record.pointee.place == .lost { record.pointee.place = .inFlight }
            cursor = record.pointee.next
        }
        bytesInFlight += lostBytes
        lostBytes = 0
        lostHint = nil
    }

    private mutating func markLost(_ record: Pointer) {
        bytesInFlight -= record.pointee.count
        lostBytes += record.pointee.count
        record.pointee.place = .lost
        if lostHint.map({ record.pointee.start < $0.pointee.start }) ?? true { lostHint = record }
    }

    // MARK: Retransmission

    /// The first lost record.
    mutating func firstLost() -> Pointer? {
        guard lostBytes > 0 else { return nil }
        while let record = lostHint, record.pointee.place != .lost { lostHint = record.pointee.next }
        return lostHint
    }

    /// How many lost bytes follow each other from a record on, `limit` at most.
    func lostRun(from record: Pointer, limit: Int) -> Int {
        var bytes = 0
        var cursor: Pointer? = record
        while bytes < limit, let record = cursor, record.pointee.place == .lost {
            bytes += record.pointee.count
            cursor = record.pointee.next
        }
        return min(bytes, limit)
    }

    /// The first `bytes` of a run of lost records leave again, as one.
    mutating func retransmit(_ record: Pointer, bytes: Int, now: Instant) {
        let end = record.pointee.start + bytes
        while record.pointee.end < end, let next = record.pointee.next {
            if next.pointee.end <= end {
                record.pointee.end = next.pointee.end
                remove(next)
            } else {
                next.pointee.start = end
                record.pointee.end = end
            }
        }
        lostBytes -= bytes
        bytesInFlight += bytes
        retransmittedEnd = SequenceNumber.later(retransmittedEnd, end)
        if record.pointee.end > end {
            if !mayGrow, let previous = record.pointee.previous, previous.pointee.place == .inFlight,
                previous.pointee.wasRetransmitted
            {
                // No new record: the boundary moves. That happens to all but the first part of each lost record, so
                // that retransmissions at most double the records.
                previous.pointee.end = end
                previous.pointee.sent = now
                previous.pointee.isMerged = true
                record.pointee.start = end
                return
            }
            _ = split(record, at: end)
        }
        record.pointee.place = .inFlight
        record.pointee.sent = now
        record.pointee.wasRetransmitted = true
    }

    /// The last `bytes` numbers leave once more as a probe (RFC 8985, section 7.3); returns where they begin.
    mutating func probeLast(bytes: Int, now: Instant) -> SequenceNumber? {
        guard var record = last, record.pointee.place == .inFlight else { return nil }
        if record.pointee.count > bytes { record = split(record, at: record.pointee.end - bytes) }
        record.pointee.sent = now
        record.pointee.wasRetransmitted = true
        retransmittedEnd = record.pointee.end
        return record.pointee.start
    }

    // MARK: The list

    /// Cuts a record in two; returns the second part.
    private mutating func split(_ record: Pointer, at number: SequenceNumber) -> Pointer {
        let second = arena.pointee.take()
        second.initialize(to: record.pointee)
        second.pointee.start = number
        second.pointee.previous = record
        record.pointee.end = number
        record.pointee.next = second
        if let after = second.pointee.next { after.pointee.previous = second } else { last = second }
        count += 1
        return second
    }

    private mutating func remove(_ record: Pointer) {
        let (previous, next) = (record.pointee.previous, record.pointee.next)
        if let previous { previous.pointee.next = next } else { first = next }
        if let next { next.pointee.previous = previous } else { last = previous }
        if lostHint == record { lostHint = next }
        count -= 1
        arena.pointee.give(record)
    }

    /// Gives every record back: the flow is gone.
    mutating func removeAll() {
        while let record = first { remove(record) }
        bytesInFlight = 0
        lostBytes = 0
        sackedBytes = 0
    }
}

/// What one ACK says has arrived, that was not known before.
struct Delivery {
    /// Bytes acknowledged or SACKed for the first time.
    var bytes = 0
    /// When the first of them left that were sent only once; nil without any.
    var measured: Instant?
    /// The cumulative ACK covers something that was sent more than once.
    var acknowledgesRetransmission = false
    /// One past the highest of those that were sent only once.
    var originalEnd: SequenceNumber?

    mutating func note(
        _ record: SendRecord, bytes: Int, end: SequenceNumber, isMeasure: Bool, now: Instant,
        detection: inout LossDetection
    ) {
        self.bytes += bytes
        if !record.wasRetransmitted {
            if isMeasure, measured == nil { measured = record.sent }
            originalEnd = end
        }
        detection.observe(sent: record.sent, end: end, wasRetransmitted: record.wasRetransmitted, now: now)
    }
}

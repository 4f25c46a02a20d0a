import Packets
import Primitives

/// What became of one stretch of sequence numbers since it last left.
enum SendPlace: UInt8 {
    case inFlight
    /// Taken for lost, and not sent again yet.
    case lost
    /// Received out of order, as the peer says (RFC 2018).
    case sacked
}

/// One segment or super-segment that was sent and is not acknowledged.
struct SendRecord {
    var start: SequenceNumber
    var end: SequenceNumber
    /// When it last left.
    var sent: Instant
    var next: UnsafeMutablePointer<SendRecord>?
    var previous: UnsafeMutablePointer<SendRecord>?
    var place = SendPlace.inFlight
    /// Sent more than once: measures no round trip (Karn; RFC 6298, section 3).
    var wasRetransmitted = false
    /// Parts of it left earlier than `sent` says.
    var isMerged = false

    var count: Int { end - start }
}

/// Memory for the send records of all flows: a flow with nothing in flight holds none. Records are taken from chunks
/// that are never given back, so that sending costs no allocation once they are there.
///
/// Two limits: records of one flow, and records in all. Both are for new text and for what a SACK splits; a
/// retransmission that needs a part of a record is granted it, at most one more for each that there is.
struct SendRecordArena: ~Copyable {
    typealias Pointer = UnsafeMutablePointer<SendRecord>
    private static let chunkSize = 128

    let limit: Int
    let limitPerFlow: Int
    /// Records in use.
    private(set) var used = 0
    private var free: Pointer?
    private var chunks: [Pointer] = []

    init(limit: Int, limitPerFlow: Int) {
        self.limit = limit
        self.limitPerFlow = limitPerFlow
    }

    deinit { for chunk in chunks { chunk.deallocate() } }

    var isFull: Bool { used >= limit }

    mutating func take() -> Pointer {
        if free == nil { grow() }
        guard let record = free else { preconditionFailure("a new chunk has free records") }
        free = record.pointee.next
        used += 1
        return record
    }

    mutating func give(_ record: Pointer) {
        record.pointee.next = free
        free = record
        used -= 1
    }

    private mutating func grow() {
        let chunk = Pointer.allocate(capacity: Self.chunkSize)
        let empty = SendRecord(
            start: SequenceNumber(0), end: SequenceNumber(0), sent: Instant(nanoseconds: 0), next: nil, previous: nil)
        chunk.initialize(repeating: empty, count: Self.chunkSize)
        for i in (0..<Self.chunkSize).reversed() {
            chunk[i].next = free
            free = chunk + i
        }
        chunks.append(chunk)
    }
}

import Primitives

/// What the owner's tables keep of a flow, beside what TCP needs: its age, who it belongs to, what it has carried.
struct FlowLife {
    /// When its SYN came.
    var created = Instant(nanoseconds: 0)
    /// When its last segment came from the application.
    var lastHeard = Instant(nanoseconds: 0)
    /// Since when something is in flight of which the application has acknowledged nothing new. Nil also after an answer
    /// from a shut window, until the next probe.
    var outstandingSince: Instant?
    /// Keepalives in a row that nobody answered.
    var unansweredKeepalives = 0
    /// A keepalive is to go out.
    var owesKeepalive = false
    /// ACKs that were sent for segments which should not have come.
    var answers = AnswerLimit()
    /// The flow's entry in `SourceTable`.
    var source: UInt32 = .max
    /// Retransmitted segments.
    var retransmissions: UInt32 = 0
    /// Bytes that the owner took.
    var bytesIn: UInt64 = 0
    /// Bytes of the owner that the application has acknowledged.
    var bytesOut: UInt64 = 0

    /// Length of a tick of the coarse clock, as a power of two of nanoseconds: 1.07 s.
    static let tickBits: UInt64 = 30

    /// Whether the coarse clock has moved on since the application was last heard.
    @inline(__always)
    func isNewTick(_ now: Instant) -> Bool { (now.nanoseconds ^ lastHeard.nanoseconds) >> Self.tickBits != 0 }
}

/// How many ACKs a flow may send in answer to segments that should not have come: RFC 5961, section 7, with the numbers
/// proposed there. Two ends that disagree about where they are answer each other's ACKs with ACKs; this ends it.
struct AnswerLimit {
    /// 5 s and 10 ACKs in the RFC.
    static let period: Interval = .seconds(5)
    static let perPeriod: UInt32 = 10

    private var end = Instant(nanoseconds: 0)
    private var used: UInt32 = 0

    func hasRoom(now: Instant) -> Bool { now >= end || used < Self.perPeriod }

    mutating func take(now: Instant) -> Bool {
        if now >= end {
            end = now + Self.period
            used = 0
        }
        guard used < Self.perPeriod else { return false }
        used += 1
        return true
    }
}

/// What happened so far. Everything only grows.
public struct FlowCounters: Equatable, Sendable {
    public var packetsIn = 0
    public var packetsOut = 0
    public var bytesIn = 0
    public var bytesOut = 0
    /// SYNs that became a flow.
    public var opened = 0
    public var established = 0
    public var closed = 0
    public var resetByPeer = 0
    public var resetByUs = 0
    public var rejected = 0
    public var retransmissions = 0
    public var fastRetransmissions = 0
    public var timeouts = 0
    public var zeroWindowProbes = 0
    public var outOfOrder = 0
    public var duplicates = 0
    public var challengeAcknowledgments = 0

    // Packets that were dropped, by reason.
    public var malformed = 0
    public var badChecksum = 0
    public var fragments = 0
    public var unsupportedProtocol = 0
    public var impossibleAddress = 0
    public var tableFull = 0
    public var halfOpenFull = 0
    public var replyQueueFull = 0
    public var outsideWindow = 0
    public var noFlow = 0
    public var heldQueueFull = 0
    public var consumerFull = 0

    // The table and its limits.

    /// Segments that belonged to a flow, whatever came of them.
    public var flowSegments = 0
    /// SYNs of a host that has as many flows as one may have.
    public var sourceFull = 0
    /// SYNs of a host that has as many half-open flows as one may have.
    public var sourceHalfOpenFull = 0
    /// Half-open flows that lost their place to a newer one.
    public var halfOpenRecycled = 0
    /// Flows in TIME-WAIT that lost their place to a new one.
    public var timeWaitRecycled = 0
    /// Idle flows that were cut for a new one.
    public var evicted = 0
    /// Flows whose owner never said what came of the dial.
    public var dialTimeouts = 0
    public var keepalives = 0
    /// Flows given up since nobody answered their keepalives.
    public var keepaliveFailures = 0
    /// Flows given up since nothing of what was in flight was acknowledged in time.
    public var userTimeouts = 0
    /// Segments out of place that were not answered, since their flow had answered enough of them.
    public var acknowledgmentsSkipped = 0
    /// Challenge ACKs that were not sent, since there were enough in all.
    public var challengesSkipped = 0
    /// RSTs sent for segments that fit no flow.
    public var resetsSent = 0
    /// RSTs not sent, since there were enough in all.
    public var resetsSkipped = 0

    // What the receiving side of TCP saw.
    /// Segments older than TS.Recent: dropped (RFC 7323, section 5.3).
    public var oldTimestamps = 0
    /// Segments without the timestamps that were agreed: dropped (RFC 7323, section 3.2).
    public var missingTimestamps = 0
    /// Segments with text that came with CE (RFC 3168).
    public var congestionMarks = 0
    /// Reductions of the congestion window because of ECE (RFC 3168).
    public var congestionEchoes = 0

    // Recovery.
    /// Probes of the tail of a flight (RFC 8985, section 7).
    public var tailLossProbes = 0
    /// Timeouts and fast retransmissions that were for nothing, and were taken back.
    public var spuriousRecoveries = 0
    /// SACK blocks that named what cannot be.
    public var invalidSACKBlocks = 0
    /// Timeouts after which what the peer had SACKed was not believed any more (RFC 2018, section 8).
    public var sackReneged = 0
    /// New text that had to wait for a send record.
    public var sendRecordsFull = 0

    public init() {}
}

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

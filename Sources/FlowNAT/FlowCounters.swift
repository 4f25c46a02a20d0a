/// What happened so far. Everything only grows.
public struct FlowCounters: Equatable, Sendable {
    /// Packets given to `handle`, and given by `nextPacket`; a super-packet is one.
    public var packetsIn = 0
    public var packetsOut = 0
    /// Payload bytes of TCP and UDP in them, repeated ones included.
    public var bytesIn = 0
    public var bytesOut = 0
    /// SYNs that became a flow.
    public var opened = 0
    /// Handshakes that were completed.
    public var established = 0
    /// Flows that ended with both FINs acknowledged.
    public var closed = 0
    /// Flows that the application's RST ended, or a hard ICMP error in the handshake.
    public var resetByPeer = 0
    /// Flows that we ended with a RST: `abort`, and those that were given up.
    public var resetByUs = 0
    /// Dials that failed: `reject`.
    public var rejected = 0
    /// Packets whose text, or a part of it, had left before; probes of a shut window not counted.
    public var retransmissions = 0
    /// Recoveries that began with duplicate ACKs or SACK and not with a timeout.
    public var fastRetransmissions = 0
    /// Retransmission timeouts (RFC 6298), those of SYN-ACK and FIN included.
    public var timeouts = 0
    /// Probes of a shut window (RFC 9293, section 3.8.6.1).
    public var zeroWindowProbes = 0
    /// Segments that came before their predecessors, whether there was room to keep them or not.
    public var outOfOrder = 0
    /// Segments that said nothing new.
    public var duplicates = 0
    /// ACKs that ask a doubtful sender to prove itself (RFC 5961).
    public var challengeAcknowledgments = 0

    // Packets that were dropped, by reason.
    /// Headers that contradict themselves or the packet's length.
    public var malformed = 0
    /// A wrong checksum of TCP, UDP or ICMP that no virtio header vouches for.
    public var badChecksum = 0
    /// Of a protocol that is not carried, echo requests of ICMP included.
    public var unsupportedProtocol = 0
    /// From or to what can be no host's address or port.
    public var impossibleAddress = 0
    /// SYNs, and datagrams of new sources, for which the table had no place.
    public var tableFull = 0
    /// SYNs beyond `maximumHalfOpen`.
    public var halfOpenFull = 0
    /// Our own answers (RST, ICMP errors) beyond `maximumReplyBytes`.
    public var replyQueueFull = 0
    /// Segments of a flow that lie outside its receive window; old repetitions are most of them.
    public var outsideWindow = 0
    /// Segments, no SYNs, that fit no flow.
    public var noFlow = 0
    /// Segments out of order that were not kept, or in part, since a limit of held text was reached.
    public var heldQueueFull = 0
    /// Times that the consumer took less than it was given.
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
    /// ICMP errors not sent, since there were enough in all.
    public var unreachablesSkipped = 0
    /// Flows given up since the same text was sent too often, or too many probes of a shut window were not answered.
    public var retransmissionFailures = 0
    /// Flows given up since nobody answered their SYN-ACK.
    public var handshakeFailures = 0

    // Segments of a flow that were dropped: a part of `flowSegments`, as `outsideWindow` is.
    /// What an open connection has none of (RFC 9293, section 3.10.7.4, fifth).
    public var segmentsWithoutAcknowledgment = 0
    /// RSTs that TIME-WAIT does not believe (RFC 1337).
    public var resetsInTimeWait = 0
    /// What came while the far end was dialled, but for the SYN again and a RST that fits.
    public var ignoredWhileOpening = 0
    /// Text or a second FIN beyond the FIN (RFC 9293, section 3.10.7.4, seventh).
    public var textAfterFIN = 0

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

    // Packets larger than the MTU, by the TUN's offloads; none of them is cut or joined by copying.
    public var superPacketsIn = 0
    public var superPacketsOut = 0

    // Fragments.
    /// Fragments that came in, but for those of protocols that are refused.
    public var fragments = 0
    public var reassembled = 0
    public var fragmentsOut = 0
    /// Without payload, of odd size, beyond 65 535 bytes, at odds about the end, or with headers in disorder.
    public var malformedFragments = 0
    /// First fragments without the whole transport header.
    public var tinyFragments = 0
    /// Exact repetitions, ignored.
    public var duplicateFragments = 0
    /// Datagrams refused because fragments overlapped, or were too many.
    public var overlappingFragments = 0
    public var excessFragments = 0
    /// Fragments of datagrams that were refused before.
    public var refusedFragments = 0
    public var reassemblyTimeouts = 0
    public var reassemblyEvicted = 0
    /// Fragments that came where the settings allow no datagram a place.
    public var fragmentsWithoutPlace = 0

    // UDP.
    public var associationsOpened = 0
    public var associationsExpired = 0
    public var associationsEvicted = 0
    /// Packets of associations; one by USO carries many datagrams.
    public var associationPackets = 0
    public var datagramsIn = 0
    public var datagramsOut = 0
    /// Oldest datagrams that gave way to newer ones, and new ones for which there was no room.
    public var datagramsDropped = 0
    public var datagramQueueFull = 0
    /// Too large for IP, or of the other family.
    public var datagramsUnsendable = 0
    public var datagramsRejected = 0

    // ICMP errors from the application's side.
    public var icmpErrorsIn = 0
    public var icmpUnreachables = 0
    public var pathMTULowered = 0
    /// About nothing that we know of as outstanding.
    public var icmpErrorsUnmatched = 0
    /// Of a kind that nothing follows from, or not to be believed.
    public var icmpErrorsIgnored = 0

    // Headers that are not followed.
    public var sourceRouted = 0
    public var unknownOptions = 0

    public init() {}
}

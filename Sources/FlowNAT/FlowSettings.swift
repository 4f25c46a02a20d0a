import Primitives

/// Limits and times of a `FlowNAT`.
public struct FlowSettings: Sendable {
    /// Flows at once, in every state. A SYN beyond is dropped: the application tries again.
    public var maximumFlows = 4_096
    /// Flows whose dial is not decided yet or whose handshake is not over. They hold no buffers.
    public var maximumHalfOpen = 1_024
    /// Largest IP packet to and from the TUN that is not a super-segment, bytes.
    public var mtu = 1_500
    /// Whether the TUN takes super-segments and partial checksums (virtio header).
    public var offload = true
    /// Bytes that the application may send before the consumer has released any: the largest receive window.
    public var receiveWindow = 1 << 20
    /// How long a flow that closed first keeps its addresses (RFC 9293, section 3.6.1: 2 MSL). The other end of a TUN is
    /// a kernel some microseconds away; a gateway's LAN is a few milliseconds away.
    public var timeWait: Interval = .seconds(10)
    /// RFC 6298 asks for one second at least; across a TUN that would turn one lost packet into a visible stall.
    /// The value is Linux's own (TCP_RTO_MIN).
    public var minimumRetransmissionTimeout: Interval = .milliseconds(200)
    public var maximumRetransmissionTimeout: Interval = .seconds(60)
    /// Retransmissions of the same data, or probes of a shut window that nobody answered, before the flow is given up
    /// with a RST.
    public var maximumRetransmissions = 10
    /// Retransmissions of a SYN-ACK before the flow is given up.
    public var maximumHandshakeRetransmissions = 5
    /// How long an ACK may wait for company (RFC 9293, section 3.8.6.3 allows 500 ms). Short, since an application that
    /// uses Nagle's algorithm waits for it.
    public var acknowledgmentDelay: Interval = .milliseconds(5)
    /// Segments kept per flow that arrived before their predecessors.
    public var maximumHeldSegments = 64
    /// Bytes kept in all flows together that arrived before their predecessors.
    public var maximumHeldBytes = 16 << 20
    /// Bytes of answers that belong to no flow (RST, ICMP errors) waiting for the TUN; what comes on top is dropped.
    public var maximumReplyBytes = 256 << 10
    /// Challenge ACKs in all per second (RFC 5961, section 7).
    public var challengeAcknowledgmentsPerSecond = 1_000
    /// ICMP errors in all per second about protocols that are not carried (RFC 1812, section 4.3.2.8; RFC 4443,
    /// section 2.4(f)).
    public var unreachablesPerSecond = 1_000

    // For tests.

    /// The initial sequence number of every flow, for tests that cross the wrap at 2^32. Anybody can guess it: leave it
    /// nil elsewhere, for the numbers of RFC 6528.
    public var initialSequence: UInt32?

    public init() {}
}

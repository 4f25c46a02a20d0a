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

    // Fragments, UDP
    /// Datagrams put together from fragments at once. Each takes 64 KiB; the oldest makes room for another.
    public var maximumReassemblies = 64
    /// The same for one source address, which then loses its own oldest.
    public var maximumReassembliesPerSource = 32
    /// Fragments of one datagram. One of 65 535 bytes needs 124 where the MTU is 552.
    public var maximumFragments = 128
    /// How long fragments wait for the others, from the first that came on (RFC 8200, section 4.5: 60 s; Linux: 30 s).
    public var reassemblyTimeout: Interval = .seconds(30)
    /// UDP associations at once. The one that was quiet longest makes room for another.
    public var maximumAssociations = 4_096
    /// The same for one source address, which then loses its own quietest.
    public var maximumAssociationsPerSource = 2_048
    /// How long an association lasts after the application's last datagram (RFC 4787, section 4.3, REQ-5: two minutes at
    /// least, five recommended).
    public var associationTimeout: Interval = .seconds(300)
    /// The same while it has asked name servers (port 53) alone: a lookup uses a new port each time (REQ-5a allows less
    /// for well-known ports).
    public var nameLookupTimeout: Interval = .seconds(30)
    /// Datagrams, and their bytes, that wait for the TUN in one association; the oldest give way.
    public var maximumQueuedDatagrams = 512
    public var maximumQueuedDatagramBytes = 256 << 10
    /// Memory of all those queues together, bytes. A queue that is not empty counts for four blocks of the pool more than its
    /// bytes.
    public var maximumDatagramMemory = 16 << 20
    /// Whether the TUN takes super-packets of UDP too (USO, Linux 6.2); without effect unless `offload` is set.
    public var udpOffload = false

    public init() {}
}

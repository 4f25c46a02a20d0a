import Primitives

/// Limits and times of a `FlowNAT`.
public struct FlowSettings: Sendable {
    /// Flows at once, in every state. A SYN beyond is dropped: the application tries again.
    public var maximumFlows = 4_096
    /// Flows whose dial is not decided yet or whose handshake is not over. They hold no buffers. The last quarter is for
    /// hosts that have an established flow: a flood from addresses that are made up leaves it free.
    public var maximumHalfOpen = 1_024
    /// Largest IP packet to and from the TUN that is not a super-segment, bytes.
    public var mtu = 1_500
    /// Whether the TUN takes super-segments and partial checksums (virtio header).
    public var offload = true
    /// Bytes that the application may send before the consumer has released any: the largest receive window.
    public var receiveWindow = 1 << 20
    /// What `FlowNAT.limitWindows` has made of it.
    var windowBound = Int.max
    /// How long a flow that closed first keeps its addresses (RFC 9293, section 3.6.1: 2 MSL). The other end of a TUN is
    /// a kernel some microseconds away; a gateway's LAN is a few milliseconds away.
    public var timeWait: Interval = .seconds(10)
    /// RFC 6298 asks for one second at least; across a TUN that would turn one lost packet into a visible stall.
    /// The value is Linux's own (TCP_RTO_MIN).
    public var minimumRetransmissionTimeout: Interval = .milliseconds(200)
    /// Where doubling the timeout ends, of retransmissions and of probes of a shut window (RFC 6298, section 2.5: 60 s at
    /// least).
    public var maximumRetransmissionTimeout: Interval = .seconds(60)
    /// Retransmissions of the same data, or probes of a shut window that nobody answered, before the flow is given up
    /// with a RST.
    public var maximumRetransmissions = 10
    /// Retransmissions of a SYN-ACK before the flow is given up.
    public var maximumHandshakeRetransmissions = 5
    /// How long an ACK may wait for company (RFC 9293, section 3.8.6.3 allows 500 ms). Short, since an application that
    /// uses Nagle's algorithm waits for it.
    public var acknowledgmentDelay: Interval = .milliseconds(5)
    /// Pieces of text kept per flow that arrived before their predecessors; those that join are few.
    public var maximumHeldSegments = 1_024
    /// Memory per flow for text that arrived before its predecessors, bytes: a window of small segments and to spare.
    public var maximumHeldBytesPerFlow = 1_536 << 10
    /// Memory in all flows together for text that arrived before its predecessors, bytes: counted in the pool's blocks.
    public var maximumHeldBytes = 16 << 20
    /// Bytes of answers that belong to no flow (RST, ICMP errors) waiting for the TUN; what comes on top is dropped.
    public var maximumReplyBytes = 256 << 10
    /// Challenge ACKs in all per second (RFC 5961, section 7).
    public var challengeAcknowledgmentsPerSecond = 1_000
    /// ICMP errors in all per second about what is not carried, datagrams that `rejectDatagram` refuses, and fragments
    /// whose others did not come (RFC 1812, section 4.3.2.8; RFC 4443, section 2.4(f)); `reject` of a flow is not
    /// counted. What comes on top is not said.
    public var unreachablesPerSecond = 1_000

    // The table: what one host may take, and when a flow loses its place.

    /// Flows of one source address, those in TIME-WAIT not counted; nil for no limit but `maximumFlows`. On a host of its
    /// own all flows have one source; a gateway's LAN is better served with a limit.
    public var maximumFlowsPerSource: Int?
    /// Half-open flows of one source address; nil for half of `maximumHalfOpen`: whoever scans or floods from one address
    /// leaves as much for all others.
    public var maximumHalfOpenPerSource: Int?
    /// How long a half-open flow keeps its place when there are no others left. Long enough for a dial whose SYN was lost
    /// once (RFC 6298: one second) over any path.
    public var halfOpenPatience: Interval = .seconds(3)
    /// How long nothing was heard of an idle flow that may be cut when the table is full.
    public var evictionIdleTime: Interval = .seconds(60)
    /// How long a flow waits for `accept` or `reject`. Linux gives up its SYNs after 127 s and tells nobody.
    public var dialTimeout: Interval = .seconds(130)
    /// How long the application may be silent before it is asked whether it is still there; nil for never. The least that
    /// RFC 9293, section 3.8.4 allows.
    public var keepaliveIdle: Interval? = .seconds(7_200)
    /// Between two keepalives without an answer.
    public var keepaliveInterval: Interval = .seconds(75)
    /// Keepalives without an answer before the flow is given up with a RST.
    public var keepaliveProbes = 9
    /// How long data may be in flight without any of it being acknowledged before the flow is given up with a RST (RFC
    /// 9293, section 3.8.3: five minutes); nil for as long as `maximumRetransmissions` takes.
    public var userTimeout: Interval? = .seconds(300)
    /// RSTs in all per second for segments that no flow fits.
    public var resetsPerSecond = 1_000

    // What is agreed with the application in its SYN.

    /// Timestamps and protection against wrapped sequence numbers (RFC 7323).
    public var timestamps = true
    /// Explicit congestion notification (RFC 3168).
    public var ecn = true

    // Recovery.
    /// Records of what one flow has sent and is not acknowledged, one for each packet; beyond, new text joins the last
    /// one. Retransmissions may double them.
    public var maximumSendRecords = 1_024
    /// The same for all flows together. A flow without any is always granted one.
    public var maximumSendRecordsInAll = 1 << 18
    /// How long the peer may keep back the ACK of a lone segment (RFC 8985, section 7.2, TLP.max_ack_delay); what Linux
    /// does at least.
    public var peerAcknowledgmentDelay: Interval = .milliseconds(40)

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
    /// Memory of all those queues together, bytes. A queue that is not empty counts for four blocks of the pool (64 KiB) more
    /// than its bytes, so this is also how many associations can have something waiting at once: some thousand.
    public var maximumDatagramMemory = 64 << 20
    /// Whether the TUN takes super-packets of UDP too (USO, Linux 6.2); without effect unless `offload` is set.
    public var udpOffload = false

    // For tests.

    /// The initial sequence number of every flow, for tests that cross the wrap at 2^32. Anybody can guess it: leave it
    /// nil elsewhere, for the numbers of RFC 6528.
    public var initialSequence: UInt32?

    public init() {}

    var flowsPerSource: Int { maximumFlowsPerSource ?? .max }
    var halfOpenPerSource: Int { maximumHalfOpenPerSource ?? max(1, maximumHalfOpen / 2) }
    /// Half-open flows of hosts that have not shown yet that their address is real.
    var unprovenHalfOpen: Int { maximumHalfOpen - maximumHalfOpen / 4 }
}

extension FlowSettings {
    /// Where settings lie: so large a struct would be copied with each call that is given it.
    typealias Reference = UnsafePointer<FlowSettings>
}

extension UnsafePointer<FlowSettings> {
    /// Settings that stay as they are until `deallocate`, but for `windowBound`.
    static func allocate(_ settings: FlowSettings) -> Self {
        let pointer = UnsafeMutablePointer<FlowSettings>.allocate(capacity: 1)
        pointer.initialize(to: settings)
        return Self(pointer)
    }
}

import Packets
import Primitives

/// Where a flow stands: the states of RFC 9293, section 3.3.2, seen from the end that answers.
public enum TCPState: Sendable, CaseIterable {
    /// The SYN is here and the far end is being dialled. Not in the RFC: it is LISTEN that has already heard a SYN.
    case opening
    case synReceived
    case established
    case finWait1
    case finWait2
    case closeWait
    case closing
    case lastAck
    case timeWait
}

/// The one timer that a flow's sending side runs at a time.
enum SendTimer: Equatable {
    case idle
    /// Something is in flight (RFC 6298).
    case retransmit(at: Instant)
    /// Something is in flight, and its tail is probed before the timeout (RFC 8985, section 7).
    case probe(at: Instant)
    /// Something may be lost or only late (RFC 8985, section 6.2, step 5).
    case reorder(at: Instant)
    /// The peer's window is shut and data waits (RFC 9293, section 3.8.6.1).
    case persist(at: Instant)
    case timeWait(until: Instant)

    var deadline: Instant? {
        switch self {
        case .idle: nil
        case .retransmit(let at), .probe(let at), .reorder(let at), .persist(let at): at
        case .timeWait(let until): until
        }
    }
}

/// Whether an ACK is owed.
enum AcknowledgmentTimer: Equatable {
    case none
    case delayed(until: Instant)
    case immediate
}

/// What a call on a flow asks its owner to do.
struct FlowOutcome: OptionSet {
    let rawValue: UInt16

    /// There may be a segment to send.
    static let ready = FlowOutcome(rawValue: 1)
    static let established = FlowOutcome(rawValue: 2)
    static let finished = FlowOutcome(rawValue: 4)
    static let drained = FlowOutcome(rawValue: 8)
    /// The peer's RST: remove the flow.
    static let resetByPeer = FlowOutcome(rawValue: 16)
    /// Answer with a RST that fits the segment, the flow stays as it is.
    static let refuseSegment = FlowOutcome(rawValue: 32)
    /// Given up: send a RST and remove the flow.
    static let giveUp = FlowOutcome(rawValue: 64)
    /// Both sides are through: tell the owner.
    static let closed = FlowOutcome(rawValue: 128)
    /// The slot is free again.
    static let remove = FlowOutcome(rawValue: 256)
    /// An ACK that may only go out within the rate of challenge ACKs (RFC 5961, section 7).
    static let challenge = FlowOutcome(rawValue: 512)
}

/// One TCP connection with an application: the state that receiving and sending share.
///
/// Receiving is in TCPFlow+Receiving, acknowledgments in TCPFlow+Acknowledging, sending in TCPFlow+Sending, timers in
/// TCPFlow+Timers.
struct TCPFlow: ~Copyable {
    // The order is that of use: with ten thousand flows each line of the cache that a segment touches comes from memory.
    // What every segment asks for stands first, in either direction; repairs and the rare stand last.

    let id: FlowID
    let addresses: FlowAddresses
    var state = TCPState.opening
    /// In the owner's list of ready flows.
    var isReady = false
    var isDrainQueued = false
    /// The owner has nothing more to send: a FIN follows the queue.
    var isFinishing = false
    /// One byte goes out although the window is shut.
    var mustProbe = false
    /// Both SYNs carried SACK-permitted (RFC 2018, section 2).
    let permitsSACK: Bool
    /// The peer has sent SACK blocks, so that losses are found by them. One that permits them may still send none.
    var hasSACKed = false
    /// Rcv.Wind.Shift (RFC 7323); zero where the peer did not offer scaling.
    var windowShift: UInt8
    /// Snd.Wind.Shift (RFC 7323).
    var peerWindowShift: UInt8 = 0
    let peerScalesWindow: Bool

    // MARK: Both directions

    /// RCV.NXT.
    var nextReceive: SequenceNumber
    /// The right edge of the window that was promised; it never moves left.
    var windowEdge: SequenceNumber
    /// Last.ACK.sent (RFC 7323, section 4.3).
    var lastAcknowledgmentSent: SequenceNumber
    /// SND.UNA: the oldest number not acknowledged.
    var unacknowledged: SequenceNumber
    /// SND.NXT: what is sent next. Goes back only for a SYN-ACK that is repeated.
    var nextSend: SequenceNumber
    /// One past the highest number ever sent; the byte of a window probe, which may be refused, makes it exceed SND.NXT.
    var highestSent: SequenceNumber
    /// The sequence number of the first byte of `sendQueue`.
    var queueStart: SequenceNumber
    /// Segment of the last window update: SND.WL1, SND.WL2.
    var windowSequence: SequenceNumber
    var windowAcknowledgment: SequenceNumber
    /// TSecr of the last acceptable ACK; nil without timestamps (RFC 3522 compares it with what was sent).
    var lastEcho: UInt32?
    /// SND.WND, scaled up.
    var peerWindow = 0
    /// Bytes delivered to the owner that it has not released yet.
    var unreleased = 0
    /// Bytes received since the last ACK.
    var unacknowledgedBytes = 0
    let windowLimit: Int
    /// Payload bytes of a segment to the application, its options counted off.
    var segmentSize: Int
    /// Nil where the SYN carried none (RFC 7323, section 3.2).
    var timestamps: Timestamps?
    var acknowledgment = AcknowledgmentTimer.none
    var timer = SendTimer.idle
    /// The flow's earliest entry in the owner's deadline heap.
    var scheduled: Instant?
    var probe = TailLossProbe.none
    /// Timeouts in a row without any answer.
    var unanswered = 0
    var held = HeldSegments()
    /// For the tables and the snapshot.
    var life = FlowLife()
    var ecn: ExplicitCongestion

    // MARK: Sending, towards the application

    /// Neighbours in the owner's list of ready flows.
    var nextReady: UInt32?
    var previousReady: UInt32?
    /// Bytes for the application: sent and not acknowledged, then not yet sent.
    var sendQueue: BlockQueue
    /// What was sent and is not acknowledged.
    var records: SendRecords
    var congestion: CongestionWindow
    var roundTrip: RoundTripEstimator
    var detection: LossDetection
    /// When something was sent last that is acknowledged.
    var lastSent = Instant(nanoseconds: 0)
    /// When the retransmission timeout is due, while another timer runs before it.
    var retransmitDue = Instant(nanoseconds: 0)
    /// How often the timeout was doubled. Only a new measurement takes that back, not progress alone: where the round
    /// trip is longer than the timeout, nothing would ever be measured (Karn; RFC 6298, section 5).
    var backoff = 0
    /// MAX.SND.WND (RFC 5961, section 5).
    var largestPeerWindow = 0
    /// Bytes acknowledged by the application that the owner has not been told of.
    var drained = 0
    var recovery = RecoveryState.none
    /// Timeouts in a row without progress.
    var attempts = 0
    /// Without SACK: bytes that duplicate ACKs say have arrived somewhere.
    var assumedDelivered = 0
    var duplicateAcknowledgments = 0

    // MARK: Repairs, and the rare

    /// What is being repaired was too large for the path: no congestion, and no reduction was made for it.
    var isRepairFree = false
    var rate = ProportionalRate.idle
    var undo: UndoState
    /// Text that came twice, for the next ACK (RFC 2883).
    var duplicate: SACKBlock?
    /// Type and code of the last ICMP error about this flow.
    var softError: (type: UInt8, code: UInt8)?
    /// ISS and IRS.
    let initialSend: SequenceNumber
    let initialReceive: SequenceNumber
    /// The MSS of our SYN-ACK: how large the application's segments may be.
    let announcedSize: UInt16

    /// A flow that has just heard a SYN.
    init(
        id: FlowID, addresses: FlowAddresses, syn: TCPHeader, initialSend: SequenceNumber, timestampOffset: UInt32,
        pool: BlockPool, records arena: UnsafeMutablePointer<SendRecordArena>, settings: FlowSettings.Reference,
        now: Instant
    ) {
        self.id = id
        self.addresses = addresses
        self.initialSend = initialSend
        unacknowledged = initialSend
        nextSend = initialSend
        highestSent = initialSend
        queueStart = initialSend + 1
        sendQueue = BlockQueue(pool: pool)
        windowSequence = syn.sequence
        windowAcknowledgment = initialSend
        peerWindow = Int(syn.window)
        initialReceive = syn.sequence
        nextReceive = syn.sequence + 1
        peerScalesWindow = syn.options.windowScale != nil
        permitsSACK = syn.options.sackPermitted
        peerWindowShift = min(syn.options.windowScale ?? 0, TCPOptions.maximumWindowScale)
        windowLimit = min(settings.pointee.receiveWindow, peerScalesWindow ? TCPFlow.maximumWindow : 0xFFFF)
        var shift: UInt8 = 0
        while windowLimit >> Int(shift) > 0xFFFF { shift += 1 }
        windowShift = shift
        windowEdge = nextReceive
        lastAcknowledgmentSent = syn.sequence
        if settings.pointee.timestamps, let option = syn.options.timestamps {
            timestamps = Timestamps(recent: option.value, offset: timestampOffset, now: now)
        }
        ecn = ExplicitCongestion(syn: syn, settings: settings)
        let ours = TCPFlow.maximumSegmentSize(mtu: settings.pointee.mtu, isIPv4: addresses.source.address.isIPv4)
        announcedSize = UInt16(clamping: ours)
        // RFC 9293, section 3.7.1: 536 (IPv4) or 1220 (IPv6) without the option. A tiny announced size would make us
        // send mostly headers, so there is a floor.
        let announced = syn.options.maximumSegmentSize.map(Int.init)
        let theirs = announced ?? (addresses.source.address.isIPv4 ? 536 : 1_220)
        segmentSize = min(max(theirs, TCPFlow.minimumSegmentSize), ours)
        // RFC 6691, section 2: the announced size does not count options.
        if timestamps != nil { segmentSize -= TCPFlow.timestampsLength }
        records = SendRecords(arena: arena, start: initialSend)
        detection = LossDetection(start: initialSend)
        undo = UndoState(start: initialSend)
        congestion = CongestionWindow(segment: segmentSize)
        roundTrip = RoundTripEstimator(
            minimum: settings.pointee.minimumRetransmissionTimeout,
            maximum: settings.pointee.maximumRetransmissionTimeout)
    }

    /// The largest window that the largest scale can express (RFC 7323, section 2.3), bytes.
    static let maximumWindow = 0xFFFF << Int(TCPOptions.maximumWindowScale)
    /// Linux's floor for a peer's MSS (TCP_MIN_SND_MSS) without its options.
    static let minimumSegmentSize = 48

    static func maximumSegmentSize(mtu: Int, isIPv4: Bool) -> Int {
        mtu - PacketWriter.ipHeaderLength(isIPv4: isIPv4) - TCPHeader.minimumLength
    }

    /// One past the last byte of the queue: where a FIN stands.
    var queueEnd: SequenceNumber { queueStart + sendQueue.count }
    var finHasBeenSent: Bool { isFinishing && highestSent > queueEnd }
    /// Of a segment without text: SND.NXT, but never beyond the peer's window, where it would be dropped. A window probe
    /// that was refused, and a window that has shrunk, leave more sent than the peer wants.
    @inline(__always)
    var acceptableNumber: SequenceNumber {
        state == .synReceived ? highestSent : SequenceNumber.earlier(nextSend, unacknowledged + peerWindow)
    }
    /// Sent and not acknowledged, whatever became of it.
    var inFlight: Int { nextSend - unacknowledged }
}

import Packets
import Primitives

/// The application's kernel as seen across a TUN: one TCP connection that speaks IP packets, on a virtual clock.
///
/// It opens actively (`connect`) or passively (`listen`), is strict about what it receives (`violations`) and plain in
/// what it does: a fixed receive buffer, the peer's window as the only limit of sending, retransmission by timeout
/// with go-back-N and after three duplicate ACKs. Drain `nextPacket` after every other call.
public final class SimTCPPeer {
    public struct Settings: Sendable {
        /// What is announced in the SYN; also the limit of what is sent.
        public var maximumSegmentSize = 1400
        /// Nil leaves the option out, and with it the peer's.
        public var windowScale: UInt8? = 7
        public var timestamps = true
        public var sackPermitted = true
        /// Asks for, or agrees to, explicit congestion notification (RFC 3168). Marks are echoed, and echoes confirmed; with
        /// no congestion window there is nothing to reduce.
        public var ecn = false
        /// Bytes received and not yet read; the window that is advertised.
        public var receiveBuffer = 256 << 10
        /// Bytes written and not yet acknowledged.
        public var sendBuffer = 256 << 10
        /// Send super-segments and leave checksums to the receiver, as a kernel does on a TUN with offloads.
        public var segmentationOffload = false
        public var initialRTO = Interval.seconds(1)
        public var minimumRTO = Interval.milliseconds(200)
        public var maximumRTO = Interval.seconds(60)
        /// Retransmissions of the SYN before giving up.
        public var synRetries = 6
        /// Retransmissions of one segment, or unanswered window probes, before giving up.
        public var dataRetries = 15
        public var acknowledgmentDelay = Interval.milliseconds(40)
        public var timeWait = Interval.seconds(2)
        /// How long an open connection with nothing under way may be silent before the other side is asked whether it is
        /// still there, and then asked again; nil for never (RFC 9293, section 3.8.4).
        public var keepalive: Interval?
        /// Questions without an answer before giving up.
        public var keepaliveProbes = 9
        public var windowProbe = WindowProbe.oldSequence

        public init() {}
    }

    /// What a probe of a zero window looks like.
    public enum WindowProbe: Sendable {
        /// An empty segment one below what is acknowledged: Linux.
        case oldSequence
        /// One byte of new data: RFC 9293, section 3.8.6.1, as BSD does it.
        case oneByte
    }

    /// RFC 9293, section 3.3.2.
    public enum State: Equatable, Sendable {
        case closed, listen, synSent, synReceived, established, finWait1, finWait2, closing, closeWait, lastAck,
            timeWait
    }

    /// What the application's call of `connect` came to.
    public enum Outcome: Equatable, Sendable {
        case connected
        /// RST answered the SYN.
        case refused
        /// ICMP answered the SYN.
        case unreachable(type: UInt8, code: UInt8)
        /// Nothing answered; also when a connection dies of it later.
        case timedOut
    }

    public struct Counters: Equatable, Sendable {
        public var packetsSent = 0
        public var packetsReceived = 0
        public var bytesReceived = 0
        public var retransmissions = 0
        public var windowProbes = 0
        /// Segments that PAWS refused (RFC 7323, section 5.3).
        public var oldTimestamps = 0
        /// Segments with text that came with CE, and ACKs with ECE that were acted upon.
        public var congestionMarks = 0
        public var congestionEchoes = 0
        public var superSegmentsReceived = 0
        /// ICMP errors about an open connection, which keep it open (RFC 1122, section 4.2.3.9).
        public var softErrors = 0
    }

    /// The most entries of `violations`.
    public static let violationLimit = 16

    public let settings: Settings
    public internal(set) var state = State.closed
    public internal(set) var outcome: Outcome?
    public internal(set) var receivedFIN = false
    public internal(set) var receivedRST = false
    public internal(set) var counters = Counters()
    /// What the other side did that no TCP may do: wrong checksums, data beyond the window, segments above the MSS,
    /// acknowledgments of what was never sent.
    public internal(set) var violations: [String] = []
    /// What goes before the packet that `nextPacket` gave last.
    public internal(set) var packetHeader = VirtioHeader.none

    public internal(set) var local = Endpoint(.v4(IPv4Address(0)), 0)
    public internal(set) var remote = Endpoint(.v4(IPv4Address(0)), 0)

    // Sending (names of RFC 9293, section 3.3.1, spelled out).
    var initialSequence = SequenceNumber(0)
    var unacknowledged = SequenceNumber(0)
    /// Where sending goes on; falls back to `unacknowledged` after a timeout.
    var nextToSend = SequenceNumber(0)
    /// The highest that was ever sent.
    var sent = SequenceNumber(0)
    var sendWindow = 0
    var sendWindowScale: UInt8 = 0
    var windowUpdateSequence = SequenceNumber(0)
    var windowUpdateAcknowledgment = SequenceNumber(0)
    /// Bytes from `outgoingStart` on, written and not yet acknowledged.
    var outgoing: ArraySlice<UInt8> = []
    var outgoingStart = SequenceNumber(0)
    var isWriteShut = false
    var peerSegmentSize = 536
    var duplicateAcknowledgments = 0

    // Receiving.
    var incoming = SimReassembly()
    var receiveWindowScale: UInt8 = 0
    /// What of the sequence space the other side may use.
    var advertisedEdge = SequenceNumber(0)
    var application: [UInt8] = []

    // Options in use.
    var usesTimestamps = false
    var usesSACK = false
    var usesECN = false
    var recentTimestamp: UInt32 = 0
    /// Last.ACK.sent (RFC 7323, section 4.3).
    var lastAcknowledgmentSent = SequenceNumber(0)

    // Congestion notification.
    var mustEchoCongestion = false
    var mustConfirmCongestion = false
    /// Echoes of what had been sent then are of one event.
    var congestionPoint: SequenceNumber?

    // What is owed, and timers.
    var mustAcknowledge = false
    var mustProbe = false
    var mustRetransmitFirst = false
    var unacknowledgedReceived = 0
    var resets: [Reset] = []
    var acknowledgeAt: Instant?
    var retransmitAt: Instant?
    var timeWaitUntil: Instant?
    var keepaliveAt: Instant?
    var unansweredKeepalives = 0
    var mustKeepAlive = false
    var retries = 0
    var rto: Interval
    var smoothedRTT: Interval?
    var rttVariation = Interval.zero
    /// One segment at a time is timed, and no retransmitted one (Karn; RFC 6298, section 3).
    var timedSegment: (end: SequenceNumber, sentAt: Instant)?

    var random: SeededRandom

    struct Reset {
        var sequence: SequenceNumber
        var acknowledgment: SequenceNumber?
    }

    public init(settings: Settings = Settings(), seed: UInt64 = 1) {
        self.settings = settings
        rto = settings.initialRTO
        random = SeededRandom(seed: seed)
    }

    // MARK: The application's calls

    public func connect(to remote: Endpoint, from local: Endpoint, now: Instant) {
        precondition(state == .closed && outcome == nil, "a peer is good for one connection")
        self.local = local
        self.remote = remote
        state = .synSent
        chooseInitialSequence()
    }

    /// Waits for one SYN to this endpoint, and takes it.
    public func listen(on local: Endpoint) {
        precondition(state == .closed && outcome == nil, "a peer is good for one connection")
        self.local = local
        state = .listen
    }

    /// Puts bytes into the send buffer; returns how many fit.
    public func write(_ bytes: [UInt8]) -> Int {
        guard canWrite else { return 0 }
        let count = min(bytes.count, writable)
        outgoing.append(contentsOf: bytes[..<count])
        return count
    }

    /// Bytes that `write` would take now.
    public var writable: Int { canWrite ? settings.sendBuffer - outgoing.count : 0 }
    /// Bytes written and not yet acknowledged.
    public var pendingBytes: Int { outgoing.count }

    private var canWrite: Bool {
        guard !isWriteShut else { return false }
        switch state {
        case .synSent, .synReceived, .established, .closeWait: return true
        case .closed, .listen, .finWait1, .finWait2, .closing, .lastAck, .timeWait: return false
        }
    }

    /// Everything that the application has read since the last call.
    public func read() -> [UInt8] {
        let bytes = application
        application = []
        return bytes
    }

    /// A reader that does not read lets the receive buffer fill up and the window close.
    public var isReading = true {
        didSet { takeFromBuffer() }
    }

    /// Bytes in the receive buffer that the application has not read.
    public var buffered: Int { incoming.ready.count }

    /// FIN after all that was written: `shutdown(SHUT_WR)`.
    public func shutdownWrite() {
        guard !isWriteShut else { return }
        switch state {
        case .established: state = .finWait1
        case .closeWait: state = .lastAck
        case .synSent, .synReceived: break
        case .closed, .listen, .finWait1, .finWait2, .closing, .lastAck, .timeWait: return
        }
        isWriteShut = true
    }

    /// RST, and everything is forgotten: `close` with SO_LINGER of zero.
    public func abort() {
        switch state {
        case .closed, .listen, .synSent, .timeWait: break
        case .synReceived, .established, .finWait1, .finWait2, .closing, .closeWait, .lastAck:
            resets = [Reset(sequence: sent, acknowledgment: incoming.next)]
        }
        close(nil)
    }

    // MARK: Time

    public var nextDeadline: Instant? {
        earliest(earliest(acknowledgeAt, retransmitAt), earliest(timeWaitUntil, keepaliveAt))
    }

    public func handleTimeout(now: Instant) {
        if let at = acknowledgeAt, at <= now {
            acknowledgeAt = nil
            mustAcknowledge = true
        }
        if let until = timeWaitUntil, until <= now { close(nil) }
        if let at = retransmitAt, at <= now {
            retransmitAt = nil
            retransmit(now: now)
        }
        if let at = keepaliveAt, at <= now { keepAlive(now: now) }
    }

    /// Something was heard of the other side.
    func noteHeard(now: Instant) {
        unansweredKeepalives = 0
        keepaliveAt = settings.keepalive.map { now + $0 }
    }

    private func keepAlive(now: Instant) {
        keepaliveAt = settings.keepalive.map { now + $0 }
        // What is under way asks the same question.
        guard retransmitAt == nil else { return }
        guard unansweredKeepalives < settings.keepaliveProbes else { return close(.timedOut) }
        unansweredKeepalives += 1
        mustKeepAlive = true
    }

    private func retransmit(now: Instant) {
        let isHandshake = state == .synSent || state == .synReceived
        retries += 1
        guard retries <= (isHandshake ? settings.synRetries : settings.dataRetries) else { return close(.timedOut) }
        rto = min(rto * 2, settings.maximumRTO)
        timedSegment = nil
        if !isHandshake, sendWindow == 0, !outgoing.isEmpty {
            mustProbe = true
        } else {
            nextToSend = unacknowledged
        }
    }

    // MARK: Shared

    func chooseInitialSequence() {
        initialSequence = SequenceNumber(UInt32.random(in: 0 ... .max, using: &random))
        unacknowledged = initialSequence
        nextToSend = initialSequence
        sent = initialSequence
        outgoingStart = initialSequence + 1
    }

    func close(_ outcome: Outcome?) {
        state = .closed
        if let outcome { self.outcome = outcome }
        outgoing = []
        mustAcknowledge = false
        mustProbe = false
        mustRetransmitFirst = false
        acknowledgeAt = nil
        retransmitAt = nil
        timeWaitUntil = nil
        keepaliveAt = nil
        mustKeepAlive = false
    }

    func note(_ violation: String) {
        if violations.count < Self.violationLimit { violations.append(violation) }
    }

    /// The application reads what has arrived, if it does; a window that grew enough is announced.
    func takeFromBuffer() {
        guard isReading, !incoming.ready.isEmpty else { return }
        application += incoming.ready
        incoming.ready = []
        if windowGrowth >= windowStep { mustAcknowledge = true }
    }
}

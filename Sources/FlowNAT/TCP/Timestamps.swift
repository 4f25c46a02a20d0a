import Packets
import Primitives

/// The timestamps of one flow (RFC 7323): what we send, and the latest that the application sent.
struct Timestamps {
    /// TS.Recent: what is echoed, and what later segments must not be older than.
    private(set) var recent: UInt32
    private var recentAt: Instant
    /// Where our clock of milliseconds begins: keyed by the addresses, so that flows do not tell how long the machine has
    /// been up (RFC 7323, section 7.1), and a new flow between the same ends goes on where the last one was.
    private let offset: UInt32

    init(recent: UInt32, offset: UInt32, now: Instant) {
        self.recent = recent
        recentAt = now
        self.offset = offset
    }

    /// TSval of a segment that is sent now.
    func value(now: Instant) -> UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000) &+ offset }

    /// Whether a segment is from the past: PAWS (section 5.3, R1). A value of a connection that was silent for so long that
    /// the clock may have gone around proves nothing (section 5.5).
    func isOld(_ value: UInt32, now: Instant) -> Bool {
        Int32(bitPattern: value &- recent) < 0 && now - recentAt < Self.recentLifetime
    }

    mutating func update(_ value: UInt32, now: Instant) {
        recent = value
        recentAt = now
    }

    /// How much newer than TS.Recent a value is; negative when it is older.
    func age(of value: UInt32) -> Int { Int(Int32(bitPattern: value &- recent)) }

    /// TS.Recent of a flow that was idle for longer is invalid (section 5.5).
    private static let recentLifetime = Interval.seconds(24 * 86_400)
}

extension TCPFlow {
    /// Bytes of options in every segment with text.
    var optionLength: Int { timestamps == nil ? 0 : TCPFlow.timestampsLength }
    /// The option with the two NOPs before it (RFC 7323, appendix A).
    static let timestampsLength = 12

    /// What PAWS says of a segment that is no RST (RFC 7323, sections 3.2 and 5.3): nil when it may go on.
    mutating func refuseByTimestamps(
        _ segment: TCPHeader, isPure: Bool, now: Instant, counters: inout FlowCounters
    ) -> FlowOutcome? {
        guard let timestamps else { return nil }
        guard let option = segment.options.timestamps else {
            // Section 3.2: SHOULD be dropped in silence. Linux takes them, FreeBSD drops them; without the option a segment
            // of an earlier time could not be told from a new one.
            counters.missingTimestamps += 1
            return []
        }
        guard timestamps.isOld(option.value, now: now) else { return nil }
        counters.oldTimestamps += 1
        // An ACK that another one has overtaken has nothing to tell, and answers to several of them would look like a
        // loss to the application. Section 5.3 has an ACK for everything; Linux (tcp_disordered_ack) makes the same
        // exception.
        if isPure, segment.sequence == nextReceive, segment.acknowledgment <= unacknowledged { return [] }
        // Two ends that each take the other's timestamps for old would answer each other for ever.
        guard mayAnswerUnacceptable(isEmpty: isPure, now: now, counters: &counters) else { return [] }
        acknowledgment = .immediate
        return .ready
    }

    /// RFC 7323, section 4.3: TS.Recent follows the segment that moves the left edge of the window, so that a delayed ACK
    /// echoes the first of those that it acknowledges.
    mutating func noteTimestamps(_ segment: TCPHeader, now: Instant) {
        guard timestamps != nil, let option = segment.options.timestamps else { return }
        if segment.flags.contains(.ack) { lastEcho = option.echo }
        if segment.sequence <= lastAcknowledgmentSent, !timestamps!.isOld(option.value, now: now) {
            timestamps!.update(option.value, now: now)
        }
    }

    /// Whether a SYN for a flow in TIME-WAIT begins a new connection (RFC 6191, section 2).
    func mayBeReused(by syn: TCPHeader, settings: FlowSettings.Reference) -> Bool {
        let isHigher = syn.sequence > nextReceive
        guard settings.pointee.timestamps, let option = syn.options.timestamps else { return isHigher }
        guard let timestamps else { return true }
        let age = timestamps.age(of: option.value)
        return age > 0 || (age == 0 && isHigher)
    }
}

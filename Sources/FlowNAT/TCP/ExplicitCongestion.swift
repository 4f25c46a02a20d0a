import Packets
import Primitives

/// Explicit congestion notification of one flow (RFC 3168, section 6.1), both directions.
struct ExplicitCongestion {
    /// Both SYNs asked for it.
    var isNegotiated: Bool
    /// A packet came with CE, and no CWR since: every ACK says ECE.
    fileprivate(set) var mustEcho = false
    /// We send less, and the next new text shall say so: CWR.
    fileprivate(set) var mustConfirm = false
    /// The last ACK carried ECE: the congestion window must not grow (section 6.1.2).
    fileprivate(set) var isEchoed = false
    /// What had been sent when the window was last reduced: marks of that flight are one and the same event.
    fileprivate(set) var reductionPoint: SequenceNumber?

    init(syn: TCPHeader, settings: FlowSettings.Reference) {
        isNegotiated = settings.pointee.ecn && Self.asks(syn)
    }

    /// An ECN-setup SYN (section 6.1.1).
    static func asks(_ syn: TCPHeader) -> Bool { syn.flags.isSuperset(of: [.ece, .cwr]) }

    /// The codepoints of the IP header (section 5).
    static let capable: UInt8 = 2
    private static let experienced: UInt8 = 3

    static func isMarked(_ trafficClass: UInt8) -> Bool { trafficClass & experienced == experienced }
}

extension TCPFlow {
    /// A SYN that comes again without the bits: something on the way does not let them pass (RFC 3168, section 6.1.1.1).
    mutating func noteRepeatedSYN(_ segment: TCPHeader, now: Instant) {
        if !ExplicitCongestion.asks(segment) { ecn.isNegotiated = false }
        noteTimestamps(segment, now: now)
    }

    /// The receiver's part, for a segment with text in the window (section 6.1.3): CE is echoed until CWR.
    mutating func noteCongestion(_ segment: TCPHeader, isMarked: Bool, counters: inout FlowCounters) {
        if segment.flags.contains(.cwr) { ecn.mustEcho = false }
        guard isMarked else { return }
        counters.congestionMarks += 1
        ecn.mustEcho = true
        // Congestion is news that should not wait for a second segment.
        acknowledgment = .immediate
    }

    /// The sender's part, before the ACK itself is looked at (section 6.1.2): once for each window of data.
    mutating func reactToCongestionEcho(_ segment: TCPHeader, now: Instant, counters: inout FlowCounters) {
        let number = segment.acknowledgment
        guard state != .synReceived, number >= unacknowledged, number <= highestSent else { return }
        ecn.isEchoed = segment.flags.contains(.ece)
        if let point = ecn.reductionPoint, number > point { ecn.reductionPoint = nil }
        guard ecn.isEchoed, ecn.reductionPoint == nil, !recovery.isRepairing, highestSent > unacknowledged else {
            return
        }
        counters.congestionEchoes += 1
        congestion.congestionEvent(inFlight: highestSent - unacknowledged, now: now)
        noteReduction()
    }

    /// The congestion window was reduced, for whatever reason: the peer is told, and further marks of this flight are not
    /// acted upon.
    mutating func noteReduction() {
        guard ecn.isNegotiated else { return }
        ecn.mustConfirm = true
        ecn.reductionPoint = highestSent
    }

    /// Flags and traffic class of a segment as it is written. Text that is sent for the first time can be marked; what
    /// carries no text, goes out again, or probes a window cannot (sections 6.1.4 to 6.1.6).
    mutating func congestionBits(
        _ flags: inout TCPFlags, at sequence: SequenceNumber, payloadCount: Int
    ) -> UInt8 {
        if flags.contains(.syn) {
            flags.insert(.ece)
            return 0
        }
        if ecn.mustEcho { flags.insert(.ece) }
        guard payloadCount > 0, sequence >= highestSent else { return 0 }
        if case .persist = timer { return 0 }
        if ecn.mustConfirm {
            flags.insert(.cwr)
            ecn.mustConfirm = false
        }
        return ExplicitCongestion.capable
    }
}

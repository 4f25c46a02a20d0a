import Packets
import Primitives

/// Whether a loss is being repaired, and until which number is acknowledged.
enum RecoveryState: Equatable {
    case none
    /// Fast recovery (RFC 6675, RFC 6582).
    case fast(until: SequenceNumber)
    /// After a timeout. While it is in doubt, what arrives may show that it came too early (RFC 5682).
    case timeout(until: SequenceNumber, isDoubtful: Bool)
    /// It is over, and without SACK duplicate ACKs of this very number are echoes of what was sent again, no sign of loss
    /// (RFC 6582, section 3.2, step 2).
    case settling(at: SequenceNumber)

    var isRepairing: Bool {
        switch self {
        case .fast, .timeout: true
        case .none, .settling: false
        }
    }
}

/// How fast to send while a loss is repaired: in proportion to what arrives, down to the threshold (RFC 9937).
struct ProportionalRate {
    /// Bytes in flight when it began (RecoverFS).
    private let flight: Int
    private var delivered = 0
    private var sent = 0

    init(flight: Int) { self.flight = max(1, flight) }

    static let idle = ProportionalRate(flight: 1)

    mutating func noteSent(_ bytes: Int) { sent += bytes }

    /// - Parameters:
    ///   - bytes: what this ACK says has arrived (DeliveredData).
    ///   - isSafe: it acknowledges something and shows no further loss (safeACK).
    /// - Returns: the congestion window until the next ACK.
    mutating func window(delivered bytes: Int, inFlight: Int, threshold: Int, isSafe: Bool, segment: Int) -> Int {
        delivered += bytes
        var count: Int
        if inFlight > threshold {
            count = (delivered * threshold + flight - 1) / flight - sent
        } else {
            count = max(delivered - sent, bytes)
            if isSafe { count += segment }
            count = min(threshold - inFlight, count)
        }
        // The fast retransmit itself goes out at once.
        if sent == 0 { count = max(count, segment) }
        return inFlight + max(0, count)
    }
}

/// A probe of the tail of a flight (RFC 8985, section 7).
enum TailLossProbe: Equatable {
    case none
    /// The probe is due to be sent.
    case owed
    /// New text was the probe: nothing is to be learnt from its ACK.
    case sentNew(end: SequenceNumber)
    /// The last segment was sent again; its ACK tells whether the first had been lost.
    case sentAgain(end: SequenceNumber)
}

/// What is needed to take back a reduction that turns out to have been for nothing.
struct UndoState {
    private(set) var saved: CongestionWindow.Saved?
    /// SND.UNA when the loss was seen.
    private var start: SequenceNumber
    /// Bytes sent again that no D-SACK has named yet.
    private var unexplained = 0
    private var hasResent = false

    init(start: SequenceNumber) { self.start = start }

    mutating func begin(_ saved: CongestionWindow.Saved, at start: SequenceNumber) {
        self.saved = saved
        self.start = start
        unexplained = 0
        hasResent = false
    }

    mutating func end() { saved = nil }

    mutating func noteResent(_ bytes: Int) {
        unexplained += bytes
        hasResent = true
    }

    /// Everything sent again since then arrived twice: nothing had been lost (RFC 3708, section 3).
    mutating func explains(_ block: SACKBlock) -> Bool {
        guard saved != nil, hasResent, block.start >= start else { return false }
        unexplained -= block.end - block.start
        return unexplained <= 0
    }
}

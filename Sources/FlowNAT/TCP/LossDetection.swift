import Packets
import Primitives

/// RACK: what was sent long before something that has arrived is lost (RFC 8985, section 6).
struct LossDetection {
    /// Of the last sent segment that has arrived: when it left, and one past its last number (RACK.xmit_ts, .end_seq).
    private(set) var sent = Instant(nanoseconds: 0)
    private(set) var end: SequenceNumber
    /// Its round trip (RACK.rtt).
    private(set) var roundTrip = Interval.zero
    /// The shortest round trip seen; a retransmission that seems to be answered sooner was not the one that arrived.
    var shortest = Interval.zero
    /// RACK.fack: one past the highest number that has arrived.
    private var forwardmost: SequenceNumber
    private(set) var hasSeenReordering = false
    /// RACK.reo_wnd_mult: grows with every round that a D-SACK shows to have been too hasty.
    private(set) var multiplier: Int64 = 1
    /// Recoveries until the multiplier falls back (RACK.reo_wnd_persist).
    private var persistence = 0
    /// D-SACKs below count no more in this round (RACK.dsack_round).
    private var round: SequenceNumber?

    init(start: SequenceNumber) {
        end = start
        forwardmost = start
    }

    /// Steps 2 and 3, for each segment that has newly arrived.
    mutating func observe(sent: Instant, end: SequenceNumber, wasRetransmitted: Bool, now: Instant) {
        if end > forwardmost {
            forwardmost = end
        } else if end < forwardmost, !wasRetransmitted {
            hasSeenReordering = true
        }
        let elapsed = now - sent
        // The original may have arrived: an answer this soon cannot be the retransmission's.
        if wasRetransmitted, elapsed < shortest { return }
        roundTrip = elapsed
        if sent > self.sent || (sent == self.sent && end > self.end) {
            self.sent = sent
            self.end = end
        }
    }

    /// RACK_sent_after: whether the last sent segment that arrived left after this one.
    func leftAfter(_ record: SendRecord) -> Bool {
        sent > record.sent || (sent == record.sent && end > record.end)
    }

    /// Step 4: a D-SACK says that something was sent again for nothing.
    ///
    /// - Parameter next: SND.NXT; the next D-SACK counts when that is acknowledged.
    mutating func noteDuplicate(unacknowledged: SequenceNumber, next: SequenceNumber) {
        // A round of long ago, beyond the wrap of the numbers, is over too.
        if let round, unacknowledged < round, round <= next { return }
        round = next
        multiplier = min(multiplier + 1, Self.largestMultiplier)
        persistence = Self.persistentRecoveries
    }

    /// A recovery is over.
    mutating func noteRecovered() {
        guard multiplier > 1 else { return }
        persistence -= 1
        if persistence <= 0 { multiplier = 1 }
    }

    /// Step 4: how much later than expected a segment may arrive.
    ///
    /// - Parameters:
    ///   - isSure: in recovery, or as much is SACKed as three duplicate ACKs would tell: without reordering ever seen
    ///     nothing is waited for.
    ///   - smoothed: SRTT, the most.
    func reorderingWindow(isSure: Bool, smoothed: Interval) -> Interval {
        if !hasSeenReordering, isSure { return .zero }
        return min(shortest * multiplier / 4, smoothed)
    }

    /// The window is never more than SRTT; a larger factor is of no use, and a peer's D-SACKs could go on for ever.
    private static let largestMultiplier: Int64 = 256
    /// RFC 8985, section 6.2, step 4.
    private static let persistentRecoveries = 16
}

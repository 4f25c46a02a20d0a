import Packets
import Primitives

/// Finding losses and repairing them. With SACK by time (RACK, RFC 8985), without by duplicate ACKs (RFC 6582); how
/// fast, says RFC 9937.
extension TCPFlow {
    /// Bytes that the network still holds, as far as is known.
    var bytesUnderWay: Int { max(0, records.bytesInFlight - assumedDelivered) }

    /// What the congestion window leaves for another segment. With nothing under way one segment may always go.
    var congestionRoom: Int {
        let used = bytesUnderWay
        return max(congestion.window - used, used == 0 ? segmentSize : 0)
    }

    mutating func repair(
        _ news: Acknowledged, now: Instant, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) {
        if let sent = news.delivery.measured, !news.delivery.acknowledgesRetransmission {
            roundTrip.sample(now - sent, now: now)
            backoff = 0
        }
        var delivered = news.delivery.bytes
        if news.isDuplicate {
            let assumed = assumeDelivered()
            assumedDelivered += assumed
            delivered += assumed
        } else if assumedDelivered > 0 {
            // A part of what is now acknowledged was told of by duplicates before.
            let known = min(assumedDelivered, max(0, news.progress - segmentSize))
            assumedDelivered = records.isEmpty ? 0 : assumedDelivered - known
            delivered = max(0, delivered - known)
        }

        if let block = news.duplicate {
            detection.noteDuplicate(unacknowledged: unacknowledged, next: nextSend)
            if undo.explains(block) { takeBack(counters: &counters) }
        }
        judgeProbe(news, now: now)
        judgeTimeout(news, counters: &counters)
        let before = recovery
        let isOver = leaveRecoveryIfOver()

        var lost = 0
        if hasSACKed {
            lost = findLate(now: now)
        } else if news.isDuplicate {
            lost = countDuplicate()
        } else if news.progress > 0 {
            duplicateAcknowledgments = 0
            // A partial ACK: the next hole (RFC 6582, section 3.2, step 3).
            if case .fast = recovery { lost = records.markFirstLost(segment: segmentSize) }
        }
        if lost > 0, !recovery.isRepairing {
            enterFastRecovery(progress: news.progress, delivered: delivered, now: now, counters: &counters)
        }
        adjustWindow(
            news, delivered: delivered, isSafe: news.progress > 0 && lost == 0, ending: isOver ? before : nil, now: now)
        // Without SACK a partial ACK brings the next hole whatever else is under way (RFC 6582, section 3.2, step 3).
        if !hasSACKed, lost > 0, congestionRoom < segmentSize { congestion.setWindow(bytesUnderWay + segmentSize) }
    }

    /// What a duplicate ACK says has arrived: one segment, and no more in all than was under way when recovery began.
    /// A peer that makes duplicates up gains nothing by more of them (RFC 5681, section 5).
    private func assumeDelivered() -> Int {
        var most = records.bytesInFlight
        if case .fast(let point) = recovery { most = min(most, point - unacknowledged) }
        return min(segmentSize, max(0, most - assumedDelivered - segmentSize))
    }

    private mutating func adjustWindow(
        _ news: Acknowledged, delivered: Int, isSafe: Bool, ending: RecoveryState?, now: Instant
    ) {
        switch recovery {
        case .fast:
            guard delivered > 0 else { return }
            congestion.setWindow(
                rate.window(
                    delivered: delivered, inFlight: bytesUnderWay, threshold: congestion.threshold, isSafe: isSafe,
                    segment: segmentSize))
        case .none, .settling, .timeout:
            guard news.progress > 0, !ecn.isEchoed else { return }
            var isAfterTimeout = false
            switch ending ?? recovery {
            // What was SACKed during fast recovery is acknowledged at its end, and is no reason to grow.
            case .fast: return
            // Here the end counts as one segment: a window of one would never grow otherwise where each flight needs a
            // timeout.
            case .timeout: isAfterTimeout = true
            case .none, .settling: break
            }
            congestion.acknowledged(
                news.progress, inFlight: news.flight, isAfterTimeout: isAfterTimeout,
                roundTrip: roundTrip.smoothed ?? .zero, now: now)
        }
    }

    // MARK: Finding losses

    /// RACK; starts the timer for what may only be late. Returns the bytes newly taken for lost.
    private mutating func findLate(now: Instant) -> Int {
        if case .reorder = timer { timer = .retransmit(at: retransmitDue) }
        guard records.sackedBytes > 0 || recovery.isRepairing else { return 0 }
        let isSure = recovery.isRepairing || records.sackedBytes >= TCPFlow.duplicateThreshold * segmentSize
        let window = detection.reorderingWindow(isSure: isSure, smoothed: roundTrip.smoothed ?? .zero)
        let found = records.detectLosses(detection, reorderingWindow: window, now: now)
        if let wait = found.wait { startReordering(at: now + wait) }
        return found.lost
    }

    /// The timer of `findLate` is due.
    mutating func reorderingTimeout(now: Instant, counters: inout FlowCounters) {
        timer = .retransmit(at: retransmitDue)
        guard findLate(now: now) > 0, !recovery.isRepairing else { return }
        enterFastRecovery(progress: 0, delivered: 0, now: now, counters: &counters)
        congestion.setWindow(
            rate.window(
                delivered: 0, inFlight: bytesUnderWay, threshold: congestion.threshold, isSafe: false,
                segment: segmentSize))
    }

    /// RFC 5681, section 3.2: the third duplicate means a loss.
    private mutating func countDuplicate() -> Int {
        guard recovery == .none else { return 0 }
        duplicateAcknowledgments += 1
        guard duplicateAcknowledgments == TCPFlow.duplicateThreshold else { return 0 }
        return records.markFirstLost(segment: segmentSize)
    }

    static let duplicateThreshold = 3

    // MARK: Recovery

    private mutating func enterFastRecovery(
        progress: Int, delivered: Int, now: Instant, counters: inout FlowCounters
    ) {
        counters.fastRetransmissions += 1
        undo.begin(congestion.saved, from: unacknowledged, to: nextSend)
        congestion.enterRecovery(inFlight: inFlight + progress)
        noteReduction()
        rate = ProportionalRate(flight: inFlight - records.sackedBytes - assumedDelivered + delivered)
        recovery = .fast(until: nextSend)
        probe = .none
        startRetransmission(now: now)
    }

    private mutating func leaveRecoveryIfOver() -> Bool {
        switch recovery {
        case .none:
            return false
        case .settling(let point):
            if unacknowledged > point { recovery = .none }
            return false
        case .fast(let point):
            guard unacknowledged >= point else { return false }
            congestion.leaveRecovery()
            settle(at: point)
        case .timeout(let point, _):
            guard unacknowledged >= point else { return false }
            settle(at: point)
        }
        isRepairFree = false
        detection.noteRecovered()
        return true
    }

    private mutating func settle(at point: SequenceNumber) {
        duplicateAcknowledgments = 0
        recovery = hasSACKed || unacknowledged > point ? .none : .settling(at: point)
    }

    /// A timeout: everything is lost until something else is known.
    mutating func enterTimeoutRecovery(counters: inout FlowCounters) {
        // Another timeout, or one that fast recovery could not prevent: the same flight is not punished twice (RFC 5681,
        // section 3.1).
        let isFirst = !recovery.isRepairing || isRepairFree
        isRepairFree = false
        if isFirst { undo.begin(congestion.saved, from: unacknowledged, to: nextSend) }
        congestion.timeout(inFlight: inFlight, isFirst: isFirst)
        noteReduction()
        // RFC 2018, section 8, asks to forget all SACKs at a timeout; what is forgotten is sent again for nothing. So only
        // when the peer does not acknowledge what it has SACKed, or the first timeout brought nothing.
        let isForgetting =
            records.sackedBytes > 0 && (records.first?.pointee.place == .sacked || attempts > 1)
        if isForgetting { counters.sackReneged += 1 }
        records.markAllLost(forgettingSACK: isForgetting)
        recovery = .timeout(until: nextSend, isDoubtful: isFirst && permitsSACK)
        probe = .none
        assumedDelivered = 0
        duplicateAcknowledgments = 0
    }

    /// F-RTO with SACK (RFC 5682, section 3): what was not sent again has arrived, so it was only late.
    private mutating func judgeTimeout(_ news: Acknowledged, counters: inout FlowCounters) {
        guard case .timeout(let until, true) = recovery, news.delivery.bytes > 0 else { return }
        if let end = news.delivery.originalEnd, end <= until { return takeBack(counters: &counters) }
        recovery = .timeout(until: until, isDoubtful: false)
    }

    /// The reduction was for nothing: the window is as before, and nothing is lost.
    private mutating func takeBack(counters: inout FlowCounters) {
        guard let saved = undo.saved else { return }
        counters.spuriousRecoveries += 1
        congestion.restore(saved)
        undo.finish()
        records.unmarkLost()
        if recovery.isRepairing { recovery = .none }
    }

    // MARK: Tail loss probe

    /// RFC 8985, section 7.4.2.
    private mutating func judgeProbe(_ news: Acknowledged, now: Instant) {
        switch probe {
        case .none, .owed:
            break
        case .sentNew(let end):
            if unacknowledged >= end { probe = .none }
        case .sentAgain(let end):
            guard unacknowledged >= end else { return }
            if news.duplicate?.end == end {
                probe = .none  // both arrived
            } else if unacknowledged > end {
                // Nobody says that it arrived twice: the first was lost, and the probe has repaired it.
                probe = .none
                if !recovery.isRepairing {
                    congestion.congestionEvent(inFlight: news.flight, now: now)
                    noteReduction()
                }
            } else if news.progress == 0, !news.carriesSACK {
                probe = .none  // both arrived, at a peer that does not speak of duplicates
            }
        }
    }
}

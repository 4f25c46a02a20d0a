import CNgtcp2
import Primitives

// How much leaves at a time, and when the next may. `nativeStatistics` is of the call to `nextBatch` at hand.

/// What kept the last write from going on, though there was more to send.
enum HeldBack {
    /// Or there was no more to send.
    case byNothing
    case byPacer
    /// The congestion window.
    case byWindow
}

extension QuicConnection {
    /// Round trips for which a path that has lost something is one that loses.
    private static let lossMemory: Int64 = 4

    /// Asks ngtcp2 what it knows of the path.
    func readNativeStatistics() {
        ngtcp2_conn_get_conn_stat(native, nativeStatistics)
        guard nativeStatistics.pointee.min_rtt != .max else {
            // It has begun anew: this is another path, or one on which nothing has arrived for long.
            if pacer.knowsPath { pacer = Pacer() }
            lossyProbe = LossyProbe()
            shortestRTT = RecentMinimum()
            return
        }
        shortestRTT.note(nativeStatistics.pointee.latest_rtt, now: latest)
    }

    /// Counts what a batch has brought on its way against the rate of the path: new bytes and those that were lost before, not
    /// acknowledgements.
    func noteDeparture(_ count: Int) {
        guard count > 0 else { return }
        pacer.note(requested: nativeStatistics.pointee.pacing_rate)
        let rate = nextPacingRate()
        pacer.sent(count, rate: rate, credit: credit, now: latest)
        // A rate that makes no sense is no reason to trap.
        let ready = min(rate * Double(Self.readyTime.nanoseconds), Double(Self.mostReadyBytes))
        readyBytes = max(Int(ready), Self.leastReadyBytes)
    }

    /// Bytes that may leave at once: what pacing lets go in a millisecond, as BBR has it (draft-cardwell-iccrg-bbr,
    /// section 4.6.3), or in the time by which the other end may put off what arrives, but no less than the ten packets that are
    /// harmless anywhere (RFC 9002, section 7.7). ngtcp2 0.12 answers 64 KB for every rate, ten milliseconds of a line of 50
    /// Mbit/s.
    var burst: Int {
        let time = max(Self.burstTime, moderation)
        let paced = nativeStatistics.pointee.pacing_rate * Double(time.nanoseconds)
        let harmless = Self.harmlessPackets * ngtcp2_conn_get_path_max_tx_udp_payload_size(native)
        return paced < Double(Self.maximumBatchBytes) ? max(Int(paced), harmless) : Self.maximumBatchBytes
    }

    /// Bytes a nanosecond, for the batch that is leaving.
    private func nextPacingRate() -> Double {
        let path = nativeStatistics
        if path.pointee.pacing_rate > 0 {
            return path.pointee.pacing_rate * nextGain()
        }
        guard path.pointee.smoothed_rtt > 0 else { return 0 }
        return Double(path.pointee.cwnd) / Double(path.pointee.smoothed_rtt) * Pacer.headroom
    }

    /// What congestion control's rate is multiplied with for the batch that is leaving; the probe learns how the path does.
    private func nextGain() -> Double {
        let hasQueue = hasStandingQueue
        guard pacer.knowsPath, hasQueue || losesWithoutCongestion else { return hasQueue ? Pacer.drainGain : 1 }
        let more = lossyProbe.gain(
            delivered: Double(nativeStatistics.pointee.delivery_rate_sec), hasQueue: hasQueue, roundTrip: smoothedRTT,
            now: latest)
        return hasQueue ? Pacer.drainGain : more
    }

    /// How much of the time before this batch counts as its own: what the pacer itself held back comes late by as much as this
    /// thread woke up late, and what the window held back is made up for as `Pacer.creditDivisor` says.
    private var credit: Interval {
        switch heldBack {
        case .byNothing: .zero
        case .byPacer: max(smoothedRTT / Pacer.creditDivisor, Pacer.latestWakeUp)
        case .byWindow: pacer.knowsPath && !hasStandingQueue ? smoothedRTT / Pacer.creditDivisor : .zero
        }
    }

    /// Packets are being lost, and none has to wait: the path loses them, not a full queue.
    ///
    /// BBR version 2 takes more than 2 % lost for congestion, whatever the delay, and gives way to half of what a path that
    /// loses 5 % carries. What counts as sent by an idle application changes neither its bounds nor, for the worse, its
    /// bandwidth, so that is what `writeControl` says meanwhile. As soon as a queue stands, loss is congestion again.
    var losesWithoutCongestion: Bool {
        let start = nativeStatistics.pointee.congestion_recovery_start_ts
        // Cubic and Reno, which have no rate, would no longer grow.
        guard nativeStatistics.pointee.pacing_rate > 0, start != .max, !hasStandingQueue else { return false }
        let memory = smoothedRTT * Self.lossMemory
        // A mark is no loss: it says that there is a queue, however short (RFC 9002, section 7.1).
        if let markedAt, latest - markedAt < memory { return false }
        return latest - Instant(nanoseconds: start) < memory
    }

    var hasStandingQueue: Bool {
        Pacer.hasStandingQueue(smoothed: smoothedRTT, minimum: .nanoseconds(Int64(clamping: shortestRTT.value)))
    }

    private var smoothedRTT: Interval { .nanoseconds(Int64(clamping: nativeStatistics.pointee.smoothed_rtt)) }
}

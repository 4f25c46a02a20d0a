import Packets
import Primitives

/// How long a flow may last: the dial, the user timeout, and keepalives.
extension TCPFlow {
    /// Where the numbers of a flow stood before a segment came.
    struct Mark {
        fileprivate var unacknowledged: SequenceNumber
        fileprivate var queueStart: SequenceNumber
        fileprivate var unreleased: Int
    }

    @inline(__always)
    var mark: Mark { Mark(unacknowledged: unacknowledged, queueStart: queueStart, unreleased: unreleased) }

    /// The application was heard.
    @inline(__always)
    mutating func noteHeard(since mark: Mark, now: Instant) {
        life.lastHeard = now
        life.unansweredKeepalives = 0
        life.owesKeepalive = false
        life.bytesIn &+= UInt64(max(0, unreleased - mark.unreleased))
        life.bytesOut &+= UInt64(max(0, queueStart - mark.queueStart))
        guard life.outstandingSince != nil else { return }
        if unacknowledged == highestSent || peerWindow == 0 {
            // A peer that answers may keep its window shut for ever (RFC 9293, section 3.8.6.1). The time begins anew with
            // the next probe.
            life.outstandingSince = nil
        } else if unacknowledged != mark.unacknowledged {
            life.outstandingSince = now
        }
    }

    /// A segment was sent.
    @inline(__always)
    mutating func noteSent(now: Instant) {
        if life.outstandingSince == nil, highestSent > unacknowledged { life.outstandingSince = now }
    }

    /// Nothing is on its way through this flow in either direction, so that its end takes away no byte.
    var isQuiet: Bool {
        unacknowledged == highestSent && sendQueue.isEmpty && sendQueue.staged == 0 && unreleased == 0 && held.isEmpty
            && !isReady
    }

    /// When `handleLifetime` has something to do.
    @inline(__always)
    func lifetimeDeadline(settings: FlowSettings.Reference) -> Instant? {
        switch state {
        case .opening:
            return life.created + settings.pointee.dialTimeout
        case .synReceived, .timeWait:
            return nil
        case .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck:
            // Probes of a shut window have their own limit, in probes: they are too few for a limit in time.
            if case .persist = timer { return nil }
            if let since = life.outstandingSince { return settings.pointee.userTimeout.map { since + $0 } }
            return keepaliveDeadline(settings: settings)
        }
    }

    /// RFC 9293, section 3.8.4. While something is to be sent, its retransmissions and probes ask the same question.
    @inline(__always)
    private func keepaliveDeadline(settings: FlowSettings.Reference) -> Instant? {
        guard let idle = settings.pointee.keepaliveIdle, case .idle = timer else { return nil }
        return life.lastHeard + idle + settings.pointee.keepaliveInterval * Int64(life.unansweredKeepalives)
    }

    /// What is due because the application was not heard. A flow that is still being dialled is its owner's to end.
    mutating func handleLifetime(
        now: Instant, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> FlowOutcome {
        guard state != .opening, let deadline = lifetimeDeadline(settings: settings), deadline <= now else { return [] }
        guard life.outstandingSince == nil else {
            counters.userTimeouts += 1
            return .giveUp
        }
        guard life.unansweredKeepalives < settings.pointee.keepaliveProbes else {
            counters.keepaliveFailures += 1
            return .giveUp
        }
        life.unansweredKeepalives += 1
        life.owesKeepalive = true
        return .ready
    }

    /// Writes the keepalive that is owed: an empty segment whose number the peer has acknowledged, so that it must
    /// answer. No byte of garbage: RFC 9293, section 3.8.4 wants none but for TCPs of long ago.
    /// - Returns: false when none is owed.
    mutating func nextKeepalive(
        into buffer: PacketBuffer, now: Instant, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> Bool {
        guard life.owesKeepalive else { return false }
        life.owesKeepalive = false
        counters.keepalives += 1
        buffer.clear()
        write(.ack, at: unacknowledged - 1, payloadCount: 0, options: .none, into: buffer, now: now, settings: settings)
        return true
    }

    /// Whether a segment that should not have come is answered. One with text or FIN always: its sender waits for that.
    mutating func mayAnswerUnacceptable(isEmpty: Bool, now: Instant, counters: inout FlowCounters) -> Bool {
        guard isEmpty, !life.answers.take(now: now) else { return true }
        counters.acknowledgmentsSkipped += 1
        return false
    }
}

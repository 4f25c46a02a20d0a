import Packets
import Primitives

extension TCPFlow {
    /// When this flow next needs `handleTimeout`.
    var nextDeadline: Instant? {
        if case .delayed(let until) = acknowledgment { return earliest(until, timer.deadline) }
        return timer.deadline
    }

    mutating func handleTimeout(
        now: Instant, settings: borrowing FlowSettings, counters: inout FlowCounters
    ) -> FlowOutcome {
        var outcome = FlowOutcome()
        if case .delayed(let until) = acknowledgment, until <= now {
            acknowledgment = .immediate
            outcome.insert(.ready)
        }
        switch timer {
        case .retransmit(let at) where at <= now:
            outcome.formUnion(retransmissionTimeout(settings: settings, counters: &counters))
        case .persist(let at) where at <= now:
            outcome.formUnion(persistTimeout(now: now, settings: settings))
        case .timeWait(let until) where until <= now:
            timer = .idle
            outcome.insert(.remove)
        case .idle, .retransmit, .persist, .timeWait:
            break
        }
        return outcome
    }

    /// RFC 9293, section 3.8.6.1: a probe. A peer that answers may keep its window shut for ever, one that does not is
    /// gone (RFC 1122, section 4.2.2.17).
    private mutating func persistTimeout(now: Instant, settings: borrowing FlowSettings) -> FlowOutcome {
        unanswered += 1
        guard unanswered <= settings.maximumRetransmissions else { return .giveUp }
        backoff += 1
        mustProbe = true
        nextSend = unacknowledged  // the same byte each time
        timer = .persist(at: now + roundTrip.timeout(afterAttempts: backoff))
        return .ready
    }

    /// RFC 6298, section 5, rules 5.4 to 5.7: back to the first unacknowledged byte, with a window of one segment.
    private mutating func retransmissionTimeout(
        settings: borrowing FlowSettings, counters: inout FlowCounters
    ) -> FlowOutcome {
        attempts += 1
        unanswered += 1
        backoff += 1
        counters.timeouts += 1
        let limit = state == .synReceived ? settings.maximumHandshakeRetransmissions : settings.maximumRetransmissions
        // A FIN is sent into a shut window too, and a peer that refuses it there is alive.
        guard (peerWindow == 0 ? unanswered : attempts) <= limit else { return .giveUp }
        timedSegment = nil
        timer = .idle
        recoveryPoint = nil
        duplicateAcknowledgments = 0
        mustResendFirst = false
        if state != .synReceived {
            congestion.timeout(inFlight: highestSent - unacknowledged)
            noteReduction()
            timeoutPoint = highestSent
        }
        nextSend = unacknowledged
        return .ready
    }

    /// Starts the persist timer when data waits before a shut window and nothing in flight would open it.
    mutating func persistIfStalled(now: Instant) {
        guard case .idle = timer, peerWindow == 0, inFlight == 0, nextSend < queueEnd else { return }
        switch state {
        case .established, .closeWait, .finWait1, .closing, .lastAck:
            timer = .persist(at: now + roundTrip.timeout(afterAttempts: backoff))
        case .opening, .synReceived, .finWait2, .timeWait:
            break
        }
    }
}

import Packets
import Primitives

extension TCPFlow {
    /// When this flow next needs `handleTimeout`.
    var nextDeadline: Instant? {
        if case .delayed(let until) = acknowledgment { return earliest(until, timer.deadline) }
        return timer.deadline
    }

    mutating func handleTimeout(
        now: Instant, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> FlowOutcome {
        var outcome = FlowOutcome()
        if case .delayed(let until) = acknowledgment, until <= now {
            acknowledgment = .immediate
            outcome.insert(.ready)
        }
        switch timer {
        case .retransmit(let at) where at <= now:
            outcome.formUnion(retransmissionTimeout(settings: settings, counters: &counters))
        case .probe(let at) where at <= now:
            probe = .owed
            startRetransmission(now: now)
            outcome.insert(.ready)
        case .reorder(let at) where at <= now:
            reorderingTimeout(now: now, counters: &counters)
            outcome.insert(.ready)
        case .persist(let at) where at <= now:
            outcome.formUnion(persistTimeout(now: now, settings: settings, counters: &counters))
        case .timeWait(let until) where until <= now:
            timer = .idle
            outcome.insert(.remove)
        case .idle, .retransmit, .probe, .reorder, .persist, .timeWait:
            break
        }
        return outcome
    }

    /// RFC 9293, section 3.8.6.1: a probe. A peer that answers may keep its window shut for ever, one that does not is
    /// gone (RFC 1122, section 4.2.2.17).
    private mutating func persistTimeout(
        now: Instant, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> FlowOutcome {
        unanswered += 1
        guard unanswered <= settings.pointee.maximumRetransmissions else {
            counters.retransmissionFailures += 1
            return .giveUp
        }
        backoff += 1
        mustProbe = true
        timer = .persist(at: now + roundTrip.timeout(afterAttempts: backoff))
        return .ready
    }

    /// RFC 6298, section 5, rules 5.4 to 5.7: the first unacknowledged segment again, with a window of one segment.
    private mutating func retransmissionTimeout(
        settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> FlowOutcome {
        attempts += 1
        unanswered += 1
        backoff += 1
        counters.timeouts += 1
        let isHandshake = state == .synReceived
        let limit =
            isHandshake
            ? settings.pointee.maximumHandshakeRetransmissions : settings.pointee.maximumRetransmissions
        // A FIN is sent into a shut window too, and a peer that refuses it there is alive.
        guard (peerWindow == 0 ? unanswered : attempts) <= limit else {
            if isHandshake { counters.handshakeFailures += 1 } else { counters.retransmissionFailures += 1 }
            return .giveUp
        }
        timer = .idle
        if isHandshake {
            nextSend = initialSend
        } else {
            enterTimeoutRecovery(counters: &counters)
        }
        return .ready
    }

    /// Starts the persist timer when data waits before a shut window and nothing in flight would open it.
    mutating func persistIfStalled(now: Instant) {
        guard case .idle = timer, peerWindow == 0, records.bytesInFlight == 0,
            nextSend < queueEnd || records.lostBytes > 0
        else { return }
        switch state {
        case .established, .closeWait, .finWait1, .closing, .lastAck:
            timer = .persist(at: now + roundTrip.timeout(afterAttempts: backoff))
        case .opening, .synReceived, .finWait2, .timeWait:
            break
        }
    }

    /// After an ACK. Probes end when the window has opened, and when they have carried away all that waited: a peer may take
    /// their bytes and keep the window shut. One that takes a byte is asked again soon.
    mutating func settlePersist(madeProgress: Bool, now: Instant) {
        let hasEnded = peerWindow > 0 || (nextSend >= queueEnd && records.lostBytes == 0)
        guard hasEnded || madeProgress else { return }
        backoff = 0
        mustProbe = false
        timer = hasEnded ? .idle : .persist(at: now + roundTrip.timeout)
        // The user timeout begins with what is sent next: the time of the probes does not count.
        if hasEnded { life.outstandingSince = nil }
    }

    // MARK: Which timer runs

    /// The retransmission timeout begins anew (RFC 6298, rules 5.1 and 5.3).
    mutating func startRetransmission(now: Instant) {
        retransmitDue = now + roundTrip.timeout(afterAttempts: backoff)
        timer = .retransmit(at: retransmitDue)
    }

    mutating func startReordering(at deadline: Instant) {
        switch timer {
        case .idle, .retransmit, .probe, .reorder: if deadline < retransmitDue { timer = .reorder(at: deadline) }
        case .persist, .timeWait: break
        }
    }

    /// After something was sent.
    mutating func startTimer(now: Instant, settings: FlowSettings.Reference) {
        switch timer {
        case .idle:
            startRetransmission(now: now)
            startProbe(now: now, settings: settings)
        case .retransmit, .probe:
            startProbe(now: now, settings: settings)
        case .persist:
            // A FIN went into the shut window.
            mustProbe = false
            startRetransmission(now: now)
        case .reorder, .timeWait:
            break
        }
    }

    /// RFC 8985, section 7.2: a probe of the tail, where there is one to lose and nothing says yet that it is lost.
    private mutating func startProbe(now: Instant, settings: FlowSettings.Reference) {
        guard permitsSACK, state != .synReceived, recovery == .none, probe == .none, records.sackedBytes == 0,
            records.bytesInFlight > 0
        else { return }
        let isAlone = inFlight <= segmentSize
        let delay = isAlone ? settings.pointee.peerAcknowledgmentDelay : nil
        guard let wait = roundTrip.probeTimeout(acknowledgmentDelay: delay) else { return }
        timer = .probe(at: min(now + wait, retransmitDue))
    }

    /// After an ACK.
    mutating func settleTimer(madeProgress: Bool, now: Instant, settings: FlowSettings.Reference) {
        switch timer {
        case .persist, .timeWait:
            return
        case .idle, .retransmit, .probe, .reorder:
            break
        }
        if records.isEmpty {
            timer = .idle
            return
        }
        switch timer {
        case .reorder(let at) where madeProgress:
            startRetransmission(now: now)
            startReordering(at: at)
        case .idle, .retransmit, .probe:
            if madeProgress {
                startRetransmission(now: now)
                startProbe(now: now, settings: settings)
            } else if case .idle = timer {
                startRetransmission(now: now)
            } else if case .probe = timer, records.sackedBytes > 0 {
                timer = .retransmit(at: retransmitDue)
            }
        case .reorder, .persist, .timeWait:
            break
        }
    }
}

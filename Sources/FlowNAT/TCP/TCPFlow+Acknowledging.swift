import Packets
import Primitives

extension TCPFlow {
    /// What an acceptable segment acknowledges: RFC 9293, section 3.10.7.4, fifth; RFC 5961, section 5; RFC 6582.
    ///
    /// - Parameter isPure: the segment carries neither text nor FIN.
    mutating func acknowledge(
        _ segment: TCPHeader, isPure: Bool, now: Instant, settings: borrowing FlowSettings,
        counters: inout FlowCounters
    ) -> FlowOutcome {
        let number = segment.acknowledgment
        var outcome = FlowOutcome()
        if state == .synReceived {
            guard number > unacknowledged, number <= highestSent else { return .refuseSegment }
            state = .established
            outcome.insert(.established)
            // The window of the handshake's last ACK is the first that is scaled.
            windowSequence = segment.sequence - 1
        }
        // RFC 5961, section 5: neither what was never sent nor what is older than any window.
        guard number <= highestSent, number >= unacknowledged - largestPeerWindow else {
            return outcome.union(.challenge)
        }
        unanswered = 0
        let oldWindow = peerWindow
        updateWindow(segment)
        if number > unacknowledged {
            outcome.formUnion(acceptProgress(to: number, now: now, settings: settings))
        } else if number == unacknowledged, isPure, peerWindow == oldWindow, peerWindow > 0, inFlight > 0 {
            outcome.formUnion(countDuplicate(counters: &counters))
        }
        if peerWindow > 0, case .persist = timer {
            timer = .idle
            backoff = 0
            mustProbe = false
            nextSend = unacknowledged  // the probe's byte may have been refused
        }
        return outcome.union(.ready)
    }

    /// SND.WND moves only with segments newer than the last that set it. One that acknowledges more is newer too,
    /// even where its text is a retransmission and its sequence number therefore old. One that acknowledges less is
    /// older, and its window counted from there.
    private mutating func updateWindow(_ segment: TCPHeader) {
        guard segment.acknowledgment >= unacknowledged else { return }
        let isNewer =
            segment.acknowledgment > unacknowledged || segment.sequence > windowSequence
            || (segment.sequence == windowSequence && segment.acknowledgment >= windowAcknowledgment)
        guard isNewer else { return }
        peerWindow = Int(segment.window) << Int(peerWindowShift)
        largestPeerWindow = max(largestPeerWindow, peerWindow)
        windowSequence = segment.sequence
        windowAcknowledgment = segment.acknowledgment
    }

    private mutating func acceptProgress(
        to number: SequenceNumber, now: Instant, settings: borrowing FlowSettings
    ) -> FlowOutcome {
        let bytes = number - unacknowledged
        let wasLimited =
            !ecn.isEchoed && inFlight + segmentSize >= min(congestion.window, max(peerWindow, segmentSize))
        unacknowledged = number
        if nextSend < number { nextSend = number }
        attempts = 0
        mustResendFirst = false
        if let timed = timedSegment, number >= timed.end {
            roundTrip.sample(now - timed.sent)
            timedSegment = nil
            backoff = 0
        }
        if let point = timeoutPoint, number > point { timeoutPoint = nil }

        // The SYN and the FIN take a number each, but no byte of the queue.
        let text = max(0, min(number - queueStart, sendQueue.count))
        var outcome = FlowOutcome.ready
        if text > 0 {
            sendQueue.consume(text)
            queueStart += text
            drained += text
            outcome.insert(.drained)
        }

        if let point = recoveryPoint {
            if number >= point {
                recoveryPoint = nil
                duplicateAcknowledgments = 0
                congestion.deflate()
            } else {
                mustResendFirst = true  // a partial ACK: the next hole (RFC 6582, section 3.2, step 3)
                congestion.partialDeflate(bytes)
            }
        } else {
            duplicateAcknowledgments = 0
            congestion.acknowledged(bytes, wasLimited: wasLimited)
        }

        let isAllAcknowledged = unacknowledged == highestSent
        timer = isAllAcknowledged ? .idle : .retransmit(at: now + roundTrip.timeout(afterAttempts: backoff))
        if finHasBeenSent && number > queueEnd {
            outcome.formUnion(acceptFINAcknowledgment(now: now, settings: settings))
        }
        return outcome
    }

    private mutating func acceptFINAcknowledgment(now: Instant, settings: borrowing FlowSettings) -> FlowOutcome {
        switch state {
        case .finWait1:
            state = .finWait2
            return []
        case .closing:
            return enterTimeWait(now: now, settings: settings)
        case .lastAck:
            return [.closed, .remove]
        case .opening, .synReceived, .established, .finWait2, .closeWait, .timeWait:
            return []
        }
    }

    /// RFC 5681, section 3.2: the third duplicate means a loss.
    private mutating func countDuplicate(counters: inout FlowCounters) -> FlowOutcome {
        duplicateAcknowledgments += 1
        if recoveryPoint != nil {
            congestion.inflate()
            return .ready
        }
        guard duplicateAcknowledgments == 3, timeoutPoint == nil else { return [] }
        counters.fastRetransmissions += 1
        recoveryPoint = highestSent
        congestion.fastRetransmit(inFlight: highestSent - unacknowledged)
        noteReduction()
        timedSegment = nil  // Karn: what is sent twice measures nothing (RFC 6298, section 3)
        mustResendFirst = true
        return .ready
    }
}

import Packets
import Primitives

extension TCPFlow {
    /// What an acceptable segment acknowledges: RFC 9293, section 3.10.7.4, fifth; RFC 5961, section 5.
    ///
    /// - Parameter isPure: the segment carries neither text nor FIN.
    mutating func acknowledge(
        _ segment: TCPHeader, isPure: Bool, now: Instant, settings: FlowSettings.Reference,
        counters: inout FlowCounters
    ) -> FlowOutcome {
        let number = segment.acknowledgment
        var outcome = FlowOutcome()
        if state == .synReceived {
            guard number > unacknowledged, number <= highestSent else { return .refuseSegment }
            state = .established
            outcome.insert(.established)
            if attempts > 0 { congestion.beginSlowly() }
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

        var news = Acknowledged(progress: max(0, number - unacknowledged), flight: bytesUnderWay)
        detection.shortest = roundTrip.shortest
        let wasEmpty = records.isEmpty
        if news.progress > 0 {
            outcome.formUnion(acceptProgress(to: number, now: now, settings: settings, delivery: &news.delivery))
        }
        if permitsSACK, !segment.options.sack.isEmpty {
            news.carriesSACK = true
            readSACK(segment.options.sack, of: number, now: now, news: &news, counters: &counters)
        }
        news.isDuplicate =
            news.progress == 0 && number == unacknowledged && isPure && peerWindow == oldWindow && peerWindow > 0
            && !wasEmpty && !news.carriesSACK && records.sackedBytes == 0
        let tells = !wasEmpty || news.duplicate != nil || probe != .none
        if tells { repair(news, now: now, settings: settings, counters: &counters) }

        if case .persist = timer { settlePersist(madeProgress: news.progress > 0, now: now) }
        settleTimer(madeProgress: news.progress > 0, now: now, settings: settings)
        return hasSentAll ? outcome : outcome.union(.ready)
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
        to number: SequenceNumber, now: Instant, settings: FlowSettings.Reference, delivery: inout Delivery
    ) -> FlowOutcome {
        records.acknowledge(to: number, now: now, detection: &detection, delivery: &delivery)
        unacknowledged = number
        if nextSend < number { nextSend = number }  // the byte of a window probe
        attempts = 0

        // The SYN and the FIN take a number each, but no byte of the queue.
        let text = max(0, min(number - queueStart, sendQueue.count))
        var outcome = FlowOutcome.ready
        if text > 0 {
            sendQueue.consume(text)
            queueStart += text
            drained += text
            outcome.insert(.drained)
        }
        if finHasBeenSent && number > queueEnd {
            outcome.formUnion(acceptFINAcknowledgment(now: now, settings: settings))
        }
        return outcome
    }

    private mutating func acceptFINAcknowledgment(now: Instant, settings: FlowSettings.Reference) -> FlowOutcome {
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

    // MARK: SACK

    /// RFC 2018; a first block below the acknowledgment or inside the second is a D-SACK (RFC 2883, section 4).
    private mutating func readSACK(
        _ blocks: SACKBlocks, of number: SequenceNumber, now: Instant, news: inout Acknowledged,
        counters: inout FlowCounters
    ) {
        var from = 0
        let first = blocks[0]
        let isInSecond = blocks.count > 1 && first.start >= blocks[1].start && first.end <= blocks[1].end
        if first.start < first.end, first.end <= number || isInSecond {
            from = 1
            let isOurs = first.end <= highestSent && first.start >= unacknowledged - max(largestPeerWindow, 1 << 16)
            if isOurs { news.duplicate = first } else { counters.invalidSACKBlocks += 1 }
        }
        // By their numbers, or a block that is reported late would look like reordering.
        var done = unacknowledged
        for _ in from..<blocks.count {
            var lowest: SACKBlock?
            for i in from..<blocks.count where blocks[i].start > done {
                if lowest.map({ blocks[i].start < $0.start }) ?? true { lowest = blocks[i] }
            }
            guard let block = lowest else { break }
            done = block.start
            guard block.start < block.end, block.end <= nextSend else {
                counters.invalidSACKBlocks += 1
                continue
            }
            hasSACKed = true
            records.sack(block, now: now, detection: &detection, delivery: &news.delivery)
        }
    }
}

/// What one ACK tells the sender.
struct Acknowledged {
    /// Bytes by which SND.UNA moved.
    let progress: Int
    /// Bytes that were under way before.
    let flight: Int
    var delivery = Delivery()
    var carriesSACK = false
    /// What the peer has received twice.
    var duplicate: SACKBlock?
    /// Nothing but the same number once more (RFC 5681, section 2), and no SACK to say why.
    var isDuplicate = false

    init(progress: Int, flight: Int) {
        self.progress = progress
        self.flight = flight
    }
}

import Packets
import Primitives

/// Takes bytes of a flow in order; returns how many it took. What it did not take counts as never received.
public typealias FlowConsumer = (FlowID, UnsafeRawBufferPointer) -> Int

extension TCPFlow {
    /// The receiver's part of RFC 9293, section 3.10.7.4, in its order: timestamps (RFC 7323, section 5.3), sequence
    /// number, RST, SYN, ACK, text, FIN. The urgent pointer is not looked at: urgent text is delivered in its place, as
    /// RFC 6093 has it, section 4.
    ///
    /// - Parameter isMarked: the packet came with CE (RFC 3168).
    mutating func receive(
        _ segment: TCPHeader, payload: UnsafeRawBufferPointer, isMarked: Bool, now: Instant,
        settings: FlowSettings.Reference, counters: inout FlowCounters, memory: inout ChunkStore, deliver: FlowConsumer
    ) -> FlowOutcome {
        if isPlainText(segment, count: payload.count, isMarked: isMarked, now: now) {
            return receivePlainText(
                segment, payload, now: now, settings: settings, counters: &counters, deliver: deliver)
        }
        if state == .opening { return receiveWhileOpening(segment, now: now, counters: &counters) }
        if state == .synReceived, segment.flags.isDisjoint(with: [.ack, .rst]), segment.flags.contains(.syn),
            segment.sequence == initialReceive
        {
            noteRepeatedSYN(segment, now: now)
            nextSend = initialSend  // the application has not seen our SYN-ACK
            return .ready
        }

        let isFIN = segment.flags.contains(.fin)
        let length = payload.count + (isFIN ? 1 : 0)
        // A RST proves itself by its number; a SYN gets its challenge whatever it carries, so that an application whose
        // kernel has forgotten the connection can reset it.
        if segment.flags.isDisjoint(with: [.rst, .syn]),
            let refusal = refuseByTimestamps(segment, isPure: length == 0, now: now, counters: &counters)
        {
            return refusal
        }
        // A RST may carry text that explains it (RFC 1122, section 4.2.2.12); only its number counts.
        guard isAcceptable(segment.sequence, length: segment.flags.contains(.rst) ? 0 : length) else {
            counters.outsideWindow += 1
            if segment.flags.contains(.rst) { return [] }
            noteDuplicate(segment.sequence, count: payload.count)
            return receiveOutsideWindow(
                segment, isEmpty: length == 0, now: now, settings: settings, counters: &counters)
        }
        if segment.flags.contains(.rst) {
            // RFC 1337: an old RST must not end TIME-WAIT early, or what it guards against can happen.
            if state == .timeWait {
                counters.resetsInTimeWait += 1
                return []
            }
            // RFC 5961, section 3: only the exact number resets; anything else in the window may be a guess.
            return segment.sequence == nextReceive ? .resetByPeer : .challenge
        }
        if segment.flags.contains(.syn) { return .challenge }  // RFC 5961, section 4
        guard segment.flags.contains(.ack) else {
            counters.segmentsWithoutAcknowledgment += 1
            return []
        }

        noteTimestamps(segment, now: now)
        if ecn.isNegotiated {
            if !payload.isEmpty { noteCongestion(segment, isMarked: isMarked, counters: &counters) }
            reactToCongestionEcho(segment, now: now, counters: &counters)
        }
        var outcome = acknowledge(segment, isPure: length == 0, now: now, settings: settings, counters: &counters)
        if !outcome.isDisjoint(with: [.refuseSegment, .giveUp, .remove, .challenge]) { return outcome }
        if length > 0 {
            outcome.formUnion(
                takeText(
                    payload, at: segment.sequence, hasFIN: isFIN, now: now, settings: settings, counters: &counters,
                    memory: &memory, deliver: deliver))
        }
        return outcome
    }

    // MARK: The short way

    /// Text that is next in order and fits, with nothing held, on a flow whose other direction rests: the ACK it carries
    /// says nothing new. Of all that `receive` looks at only the timestamp and the text are left.
    @inline(__always)
    private func isPlainText(_ segment: TCPHeader, count: Int, isMarked: Bool, now: Instant) -> Bool {
        guard segment.sequence == nextReceive, segment.flags.subtracting(.psh) == .ack, count > 0, !isMarked,
            state == .established, count <= windowEdge - nextReceive, held.isEmpty
        else { return false }
        guard segment.acknowledgment == unacknowledged, unacknowledged == highestSent, case .idle = timer,
            case .none = probe, Int(segment.window) << Int(peerWindowShift) == peerWindow, segment.options.sack.isEmpty
        else { return false }
        guard let timestamps else { return true }
        guard let option = segment.options.timestamps else { return false }
        return !timestamps.isOld(option.value, now: now)
    }

    @inline(__always)
    private mutating func receivePlainText(
        _ segment: TCPHeader, _ text: UnsafeRawBufferPointer, now: Instant, settings: FlowSettings.Reference,
        counters: inout FlowCounters, deliver: FlowConsumer
    ) -> FlowOutcome {
        noteTimestamps(segment, now: now)
        // What `acknowledge` does with a number and a window that it knows.
        unanswered = 0
        windowSequence = segment.sequence
        windowAcknowledgment = segment.acknowledgment
        _ = take(text, counters: &counters, deliver: deliver)
        let outcome = noteProgress(finished: false, now: now, settings: settings)
        // With nothing else to send, an ACK that may wait is no reason to ask for a segment.
        return acknowledgment == .immediate ? outcome : []
    }

    // MARK: In full

    /// While the dial is undecided the application can only repeat its SYN, or give up.
    private mutating func receiveWhileOpening(
        _ segment: TCPHeader, now: Instant, counters: inout FlowCounters
    ) -> FlowOutcome {
        if segment.flags.contains(.rst), segment.sequence == nextReceive { return .resetByPeer }
        if segment.flags.contains(.syn), segment.flags.isDisjoint(with: [.ack, .rst, .fin]),
            segment.sequence == initialReceive
        {
            noteRepeatedSYN(segment, now: now)
        } else {
            counters.ignoredWhileOpening += 1
        }
        return []
    }

    /// The four cases of RFC 9293, section 3.10.7.4, table 6, but that an empty segment may stand at the edge: there an
    /// application is that has filled the window, and its ACKs must count even while a hole in what it sent is open.
    private func isAcceptable(_ sequence: SequenceNumber, length: Int) -> Bool {
        // A FIN just beyond the window moves RCV.NXT past the edge.
        let edge = SequenceNumber.later(windowEdge, nextReceive)
        if length == 0 { return nextReceive <= sequence && sequence <= edge }
        return sequence < edge && sequence + length > nextReceive
    }

    private mutating func receiveOutsideWindow(
        _ segment: TCPHeader, isEmpty: Bool, now: Instant, settings: FlowSettings.Reference,
        counters: inout FlowCounters
    ) -> FlowOutcome {
        if segment.flags.contains(.syn) { return .challenge }
        if state == .timeWait, segment.flags.contains(.fin) {
            timer = .timeWait(until: now + settings.pointee.timeWait)  // RFC 9293: our ACK of its FIN was lost
        }
        // A window probe, a keepalive or an old duplicate: say where we are. With a shut window the ACK of what is next
        // in order still counts (RFC 9293, section 3.10.7.4: "special allowance").
        if mayAnswerUnacceptable(isEmpty: isEmpty, now: now, counters: &counters) { acknowledgment = .immediate }
        guard segment.sequence == nextReceive, segment.flags.contains(.ack), state != .synReceived else {
            return .ready
        }
        noteTimestamps(segment, now: now)
        return acknowledge(segment, isPure: false, now: now, settings: settings, counters: &counters).union(.ready)
    }

    private mutating func takeText(
        _ payload: UnsafeRawBufferPointer, at sequence: SequenceNumber, hasFIN: Bool, now: Instant,
        settings: FlowSettings.Reference, counters: inout FlowCounters, memory: inout ChunkStore, deliver: FlowConsumer
    ) -> FlowOutcome {
        switch state {
        case .opening, .synReceived, .closeWait, .closing, .lastAck, .timeWait:
            // After its FIN the application can have nothing new to say (RFC 9293, section 3.10.7.4, seventh).
            counters.textAfterFIN += 1
            acknowledgment = .immediate
            return .ready
        case .established, .finWait1, .finWait2:
            break
        }

        // Only what is new and inside the window.
        let skip = max(0, nextReceive - sequence)
        let fits = min(payload.count, windowEdge - sequence)
        let keepsFIN = hasFIN && fits == payload.count
        noteDuplicate(sequence, count: payload.count)
        guard skip < fits || (keepsFIN && skip == fits) else {
            counters.duplicates += 1
            acknowledgment = .immediate
            return .ready
        }
        let text = UnsafeRawBufferPointer(rebasing: payload[skip..<max(skip, fits)])
        if sequence > nextReceive {
            hold(text, at: sequence, hasFIN: keepsFIN, settings: settings, counters: &counters, memory: &memory)
            acknowledgment = .immediate  // a duplicate ACK tells the sender of the gap (RFC 5681, section 4.2)
            return .ready
        }

        var whole = take(text, counters: &counters, deliver: deliver)
        var finished = whole && keepsFIN
        if !held.isEmpty {
            while whole, !finished, let next = held.text(at: nextReceive, memory: &memory) {
                whole = take(next, counters: &counters, deliver: deliver)
            }
            held.drop(before: nextReceive, memory: &memory)
            if whole, held.finish == nextReceive { finished = true }
            acknowledgment = .immediate  // a gap is closed, wholly or in part (RFC 5681, section 4.2)
        }
        if finished { held.removeAll(memory: &memory) }
        return noteProgress(finished: finished, now: now, settings: settings)
    }

    private mutating func hold(
        _ text: UnsafeRawBufferPointer, at sequence: SequenceNumber, hasFIN: Bool,
        settings: FlowSettings.Reference, counters: inout FlowCounters, memory: inout ChunkStore
    ) {
        counters.outOfOrder += 1
        let outcome = held.hold(text, at: sequence, settings: settings, memory: &memory)
        if let known = outcome.duplicate {
            if !outcome.isNew { counters.duplicates += 1 }
            if permitsSACK { duplicate = known }
        }
        guard outcome.isComplete else { return counters.heldQueueFull += 1 }
        if hasFIN { held.holdFIN(at: sequence + text.count) }
    }

    /// RFC 2883, section 4: what of a segment had been received in order before.
    private mutating func noteDuplicate(_ sequence: SequenceNumber, count: Int) {
        guard permitsSACK, count > 0, sequence < nextReceive else { return }
        duplicate = SACKBlock(start: sequence, end: SequenceNumber.earlier(sequence + count, nextReceive))
    }

    /// Hands over bytes that are next in order; false when the owner could not take them all.
    @inline(__always)
    private mutating func take(
        _ text: UnsafeRawBufferPointer, counters: inout FlowCounters, deliver: FlowConsumer
    ) -> Bool {
        guard !text.isEmpty else { return true }
        let taken = deliver(id, text)
        precondition(taken >= 0 && taken <= text.count, "a consumer takes no more than it is given")
        nextReceive += taken
        unreleased += taken
        unacknowledgedBytes += taken
        if taken < text.count { counters.consumerFull += 1 }
        return taken == text.count
    }

    private mutating func noteProgress(
        finished: Bool, now: Instant, settings: FlowSettings.Reference
    ) -> FlowOutcome {
        guard !finished else {
            nextReceive += 1
            acknowledgment = .immediate
            return receiveFIN(now: now, settings: settings).union([.finished, .ready])
        }
        // Every second full segment is acknowledged at once (RFC 9293, section 3.8.6.3).
        if unacknowledgedBytes >= 2 * segmentSize || !held.isEmpty || duplicate != nil {
            acknowledgment = .immediate
            return .ready
        }
        if case .none = acknowledgment { acknowledgment = .delayed(until: now + settings.pointee.acknowledgmentDelay) }
        return .ready
    }

    private mutating func receiveFIN(now: Instant, settings: FlowSettings.Reference) -> FlowOutcome {
        switch state {
        case .established:
            state = .closeWait
            return []
        case .finWait1:
            state = .closing
            return []
        case .finWait2:
            return enterTimeWait(now: now, settings: settings)
        case .opening, .synReceived, .closeWait, .closing, .lastAck, .timeWait:
            return []
        }
    }

    mutating func enterTimeWait(now: Instant, settings: FlowSettings.Reference) -> FlowOutcome {
        state = .timeWait
        timer = .timeWait(until: now + settings.pointee.timeWait)
        return .closed
    }

    /// The owner has passed on `count` bytes: the window may open again.
    mutating func release(_ count: Int, settings: FlowSettings.Reference) -> FlowOutcome {
        unreleased -= min(count, unreleased)
        switch state {
        case .established, .finWait1, .finWait2: break
        case .opening, .synReceived, .closeWait, .closing, .lastAck, .timeWait: return []
        }
        let limit = min(windowLimit, settings.pointee.windowBound)
        let promised = windowEdge - nextReceive
        let possible = limit - unreleased
        // Silly window avoidance (RFC 9293, section 3.8.6.2.2): tell of a good piece of window, not of every byte.
        // No less than `promiseWindow` opens, or the ACK would look like a duplicate.
        // A window that is smaller than the application's segments is as good as shut.
        let least = min(segmentSize, limit / 2)
        let step = promised < Int(announcedSize) ? least : max(least, limit / 4)
        guard possible - promised >= step else { return [] }
        acknowledgment = .immediate
        return .ready
    }

    /// The window field of the next segment; what it promises is kept in `windowEdge`.
    mutating func promiseWindow(settings: FlowSettings.Reference) -> UInt16 {
        let limit = min(windowLimit, settings.pointee.windowBound)
        let possible = nextReceive + max(0, limit - unreleased)
        if possible - windowEdge >= min(segmentSize, limit / 2) { windowEdge = possible }
        let promised = max(0, windowEdge - nextReceive)
        // Rounded up, so that the edge does not move left where the shift cannot express it (RFC 7323, section 2.4). Where
        // that would be more than can be kept, rounded down: otherwise the edge would creep on with every small segment.
        let unit = 1 << Int(windowShift)
        var field = (promised + unit - 1) >> Int(windowShift)
        if unit > 1, (nextReceive + field << Int(windowShift)) - possible >= unit { field -= 1 }
        field = min(max(field, 0), 0xFFFF)
        windowEdge = SequenceNumber.later(windowEdge, nextReceive + field << Int(windowShift))
        return UInt16(field)
    }
}

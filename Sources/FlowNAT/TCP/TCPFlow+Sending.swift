import Packets
import Primitives

extension TCPFlow {
    /// The most bytes of an IP packet; a super-segment is one.
    static let maximumPacket = 0xFFFF

    /// Writes the next segment that may go out now.
    /// - Returns: false when there is none.
    mutating func nextSegment(
        into buffer: PacketBuffer, now: Instant, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> Bool {
        switch state {
        case .opening:
            return false
        case .synReceived:
            guard nextSend == initialSend else {
                return sendAcknowledgmentIfOwed(into: buffer, now: now, settings: settings)
            }
            sendSYNACK(into: buffer, now: now, settings: settings)
            return true
        case .timeWait, .finWait2:
            return sendAcknowledgmentIfOwed(into: buffer, now: now, settings: settings)
        case .established, .closeWait, .finWait1, .closing, .lastAck:
            break
        }
        if owesReport { return sendAcknowledgmentIfOwed(into: buffer, now: now, settings: settings) }
        if mustProbe { return sendWindowProbe(into: buffer, now: now, settings: settings, counters: &counters) }
        if resend(into: buffer, now: now, settings: settings, counters: &counters) { return true }
        if probe == .owed, probeTail(into: buffer, now: now, settings: settings, counters: &counters) { return true }
        if let count = sendableText(counters: &counters) {
            sendNew(count, into: buffer, now: now, settings: settings)
            return true
        }
        return sendAcknowledgmentIfOwed(into: buffer, now: now, settings: settings)
    }

    /// Another call of `nextSegment` or `nextKeepalive` would find nothing.
    @inline(__always)
    var hasSentAll: Bool {
        nextSend == queueEnd && !isFinishing && records.lostBytes == 0 && acknowledgment != .immediate && !mustProbe
            && probe != .owed && !life.owesKeepalive
    }

    // MARK: New text

    /// How many bytes of new text may go out: nil for none, zero for a FIN alone.
    @inline(__always)
    private func sendableText(counters: inout FlowCounters) -> Int? {
        let waiting = queueEnd - nextSend
        let finWaits = isFinishing && nextSend <= queueEnd
        guard waiting > 0 || finWaits else { return nil }
        guard records.canAppend else {
            counters.sendRecordsFull += 1
            return nil
        }
        // A FIN needs no window of its own: nothing but it can follow, and the peer must learn of it.
        if waiting <= 0 { return 0 }
        let usable = min(peerWindow - inFlight, congestionRoom)
        if usable <= 0 { return nil }
        if waiting <= usable { return waiting }
        // Silly window avoidance at the sender (RFC 9293, section 3.8.6.2.1): full segments, or all there is, or
        // nothing is in flight that could bring an ACK.
        if usable >= segmentSize { return usable - usable % segmentSize }
        return inFlight > 0 ? nil : usable
    }

    private mutating func sendNew(
        _ wanted: Int, into buffer: PacketBuffer, now: Instant, settings: FlowSettings.Reference
    ) {
        buffer.clear()
        let start = nextSend
        let count = buffer.addUnread(of: sendQueue, limit: min(wanted, mostText(settings: settings)))
        sendQueue.advanceMark(count)
        if records.isEmpty {
            congestion.resume(afterIdle: now - lastSent, timeout: roundTrip.timeout)
        }
        let carriesFIN = isFinishing && start + count == queueEnd
        writeText(at: start, count: count, carriesFIN: carriesFIN, into: buffer, now: now, settings: settings)
        nextSend = start + count + (carriesFIN ? 1 : 0)
        highestSent = SequenceNumber.later(highestSent, nextSend)
        records.append(from: start, to: nextSend, now: now)
        if carriesFIN { enterAfterFIN() }
        noteSent(count, now: now, settings: settings)
    }

    /// The most text of one packet.
    @inline(__always)
    private func mostText(settings: FlowSettings.Reference) -> Int {
        let isIPv4 = addresses.source.address.isIPv4
        let headers = PacketWriter.ipHeaderLength(isIPv4: isIPv4) + TCPHeader.minimumLength + optionLength
        // A super-segment holds full segments; a shorter one in its midst would be a small packet each 64 KB.
        let room = TCPFlow.maximumPacket - headers
        return settings.pointee.offload ? room - room % segmentSize : segmentSize
    }

    /// Headers of a segment whose text is in the buffer already.
    private mutating func writeText(
        at sequence: SequenceNumber, count: Int, carriesFIN: Bool, into buffer: PacketBuffer, now: Instant,
        settings: FlowSettings.Reference
    ) {
        var flags: TCPFlags = .ack
        if count > 0 && sequence + count == queueEnd { flags.insert(.psh) }
        if carriesFIN { flags.insert(.fin) }
        write(
            flags, at: sequence, payloadCount: count, options: TCPOptions(), into: buffer, now: now, settings: settings)
    }

    private mutating func noteSent(_ bytes: Int, now: Instant, settings: FlowSettings.Reference) {
        lastSent = now
        rate.noteSent(bytes)
        startTimer(now: now, settings: settings)
    }

    // MARK: What was sent before

    /// The first lost bytes again; false when there are none or there is no room for them.
    private mutating func resend(
        into buffer: PacketBuffer, now: Instant, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> Bool {
        guard let record = records.firstLost() else { return false }
        let start = record.pointee.start
        let run = records.lostRun(from: record, limit: mostText(settings: settings) + 1)
        let text = min(run, max(0, queueEnd - start), mostText(settings: settings))
        var count = text
        if text > 0 {
            let room = min(unacknowledged + peerWindow - start, congestionRoom)
            guard room > 0, room >= min(text, segmentSize) || records.bytesInFlight == 0 else { return false }
            if room < text { count = room >= segmentSize ? room - room % segmentSize : room }
        }
        counters.retransmissions += 1
        let bytes = sendAgain(
            from: start, text: count, mayCarryFIN: run > count, into: buffer, now: now, settings: settings)
        records.retransmit(record, bytes: bytes, now: now)
        undo.noteResent(bytes)
        noteSent(bytes, now: now, settings: settings)
        return true
    }

    /// Writes a segment of old text. Returns the sequence numbers it takes, the FIN's included.
    private mutating func sendAgain(
        from start: SequenceNumber, text: Int, mayCarryFIN: Bool, into buffer: PacketBuffer, now: Instant,
        settings: FlowSettings.Reference
    ) -> Int {
        buffer.clear()
        var count = 0
        sendQueue.forEachRegion(from: start - queueStart, limit: text) { region in
            guard buffer.add(region) else { return false }
            count += region.count
            return true
        }
        let carriesFIN = mayCarryFIN && finHasBeenSent && start + count == queueEnd
        writeText(at: start, count: count, carriesFIN: carriesFIN, into: buffer, now: now, settings: settings)
        return count + (carriesFIN ? 1 : 0)
    }

    /// RFC 8985, section 7.3: new text where the peer has room for it, or else the last segment again.
    private mutating func probeTail(
        into buffer: PacketBuffer, now: Instant, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> Bool {
        probe = .none
        let waiting = queueEnd - nextSend
        let count = min(waiting, segmentSize)
        if waiting > 0, peerWindow - inFlight >= count, records.canAppend {
            counters.tailLossProbes += 1
            sendNew(count, into: buffer, now: now, settings: settings)
            probe = .sentNew(end: nextSend)
            timer = .retransmit(at: retransmitDue)
            return true
        }
        let numbers = segmentSize + (finHasBeenSent ? 1 : 0)
        guard let start = records.probeLast(bytes: numbers, now: now) else { return false }
        counters.tailLossProbes += 1
        counters.retransmissions += 1
        let text = max(0, SequenceNumber.earlier(nextSend, queueEnd) - start)
        let bytes = sendAgain(from: start, text: text, mayCarryFIN: true, into: buffer, now: now, settings: settings)
        probe = .sentAgain(end: start + bytes)
        lastSent = now
        return true
    }

    /// One byte into a shut window. It may be refused, so it counts as not sent: no record, no round trip.
    private mutating func sendWindowProbe(
        into buffer: PacketBuffer, now: Instant, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> Bool {
        mustProbe = false
        counters.zeroWindowProbes += 1
        let bytes = sendAgain(
            from: unacknowledged, text: 1, mayCarryFIN: false, into: buffer, now: now, settings: settings)
        highestSent = SequenceNumber.later(highestSent, unacknowledged + bytes)
        return true
    }

    private mutating func enterAfterFIN() {
        switch state {
        case .established: state = .finWait1
        case .closeWait: state = .lastAck
        case .opening, .synReceived, .finWait1, .finWait2, .closing, .lastAck, .timeWait: break
        }
    }

    private mutating func sendSYNACK(into buffer: PacketBuffer, now: Instant, settings: FlowSettings.Reference) {
        buffer.clear()
        let isIPv4 = addresses.source.address.isIPv4
        let size = TCPFlow.maximumSegmentSize(mtu: settings.pointee.mtu, isIPv4: isIPv4)
        var options = TCPOptions.none
        options.maximumSegmentSize = UInt16(clamping: size)
        if peerScalesWindow { options.windowScale = windowShift }
        options.sackPermitted = permitsSACK
        write(
            [.syn, .ack], at: initialSend, payloadCount: 0, options: options, into: buffer, now: now, settings: settings
        )
        records.noteHandshake(at: initialSend, now: now)
        lastSent = now
        nextSend = initialSend + 1
        highestSent = SequenceNumber.later(highestSent, nextSend)
        // A repeated SYN does not restart the timer, or it would keep the flow half-open for ever.
        if case .idle = timer { startRetransmission(now: now) }
    }

    private mutating func sendAcknowledgmentIfOwed(
        into buffer: PacketBuffer, now: Instant, settings: FlowSettings.Reference
    ) -> Bool {
        guard acknowledgment == .immediate else { return false }
        buffer.clear()
        var options = TCPOptions()
        if permitsSACK, !held.isEmpty || duplicate != nil {
            options.sack = held.blocks(after: nextReceive, duplicate: duplicate)
        }
        write(.ack, at: acceptableNumber, payloadCount: 0, options: options, into: buffer, now: now, settings: settings)
        duplicate = nil  // told once (RFC 2883, section 4)
        return true
    }

    /// An ACK that tells of a hole or a duplicate goes out on its own, before any text: only without text does it count
    /// as a duplicate ACK (RFC 5681, section 2), and blocks on text would make its segments smaller than the others.
    @inline(__always)
    private var owesReport: Bool { acknowledgment == .immediate && (!held.isEmpty || duplicate != nil) }

    /// Headers of a segment whose payload regions are in the buffer already.
    mutating func write(
        _ flags: TCPFlags, at sequence: SequenceNumber, payloadCount: Int, options: consuming TCPOptions,
        into buffer: PacketBuffer, now: Instant, settings: FlowSettings.Reference
    ) {
        let window: UInt16
        if flags.contains(.syn) {
            // The window of a SYN is never scaled (RFC 7323, section 2.2).
            window = UInt16(min(windowLimit, 0xFFFF))
            windowEdge = SequenceNumber.later(windowEdge, nextReceive + Int(window))
        } else {
            window = promiseWindow(settings: settings)
        }
        if let timestamps { options.timestamps = (timestamps.value(now: now), timestamps.recent) }
        var flags = flags
        var trafficClass: UInt8 = 0
        if ecn.isNegotiated { trafficClass = congestionBits(&flags, at: sequence, payloadCount: payloadCount) }
        SegmentWriter.write(
            from: addresses.destination, to: addresses.source, sequence: sequence, acknowledgment: nextReceive,
            flags: flags, window: window, options: options, payloadCount: payloadCount, segmentSize: segmentSize,
            offload: settings.pointee.offload, trafficClass: trafficClass, into: buffer)
        acknowledgment = .none
        unacknowledgedBytes = 0
        lastAcknowledgmentSent = nextReceive
    }
}

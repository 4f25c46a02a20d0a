import Packets
import Primitives

extension TCPFlow {
    /// The most bytes of an IP packet; a super-segment is one.
    static let maximumPacket = 0xFFFF

    /// Writes the next segment that may go out now.
    /// - Returns: false when there is none.
    mutating func nextSegment(
        into buffer: PacketBuffer, now: Instant, settings: borrowing FlowSettings, counters: inout FlowCounters
    ) -> Bool {
        switch state {
        case .opening:
            return false
        case .synReceived:
            guard nextSend == initialSend else { return sendAcknowledgmentIfOwed(into: buffer, settings: settings) }
            sendSYNACK(into: buffer, now: now, settings: settings)
            return true
        case .timeWait, .finWait2:
            return sendAcknowledgmentIfOwed(into: buffer, settings: settings)
        case .established, .closeWait, .finWait1, .closing, .lastAck:
            break
        }
        if mustResendFirst, highestSent > unacknowledged {
            mustResendFirst = false
            counters.retransmissions += 1
            sendText(
                from: unacknowledged, count: min(segmentSize, max(0, queueEnd - unacknowledged)), into: buffer,
                now: now,
                settings: settings)
            return true
        }
        if let count = sendableText() {
            if nextSend < highestSent { counters.retransmissions += 1 }
            if mustProbe { counters.zeroWindowProbes += 1 }
            mustProbe = false
            sendText(from: nextSend, count: count, into: buffer, now: now, settings: settings)
            return true
        }
        return sendAcknowledgmentIfOwed(into: buffer, settings: settings)
    }

    /// How many bytes of text may go out from SND.NXT on: nil for none, zero for a FIN alone.
    private mutating func sendableText() -> Int? {
        let waiting = queueEnd - nextSend
        let finWaits = isFinishing && nextSend <= queueEnd
        guard waiting > 0 || finWaits else { return nil }
        if mustProbe { return min(1, max(0, waiting)) }
        let window = min(peerWindow, congestion.window)
        let usable = window - inFlight
        if waiting > 0 && usable <= 0 { return nil }
        // A FIN needs no window of its own: nothing but it can follow, and the peer must learn of it.
        if waiting <= 0 { return 0 }
        if waiting <= usable { return waiting }
        // Silly window avoidance at the sender (RFC 9293, section 3.8.6.2.1): full segments, or all there is, or
        // nothing is in flight that could bring an ACK.
        if usable >= segmentSize { return usable - usable % segmentSize }
        return inFlight > 0 ? nil : usable
    }

    private mutating func sendText(
        from sequence: SequenceNumber, count wanted: Int, into buffer: PacketBuffer, now: Instant,
        settings: borrowing FlowSettings
    ) {
        let isIPv4 = addresses.source.address.isIPv4
        let headers = PacketWriter.ipHeaderLength(isIPv4: isIPv4) + TCPHeader.minimumLength
        // A super-segment holds full segments; a shorter one in its midst would be a small packet each 64 KB.
        let room = TCPFlow.maximumPacket - headers
        let most = settings.offload ? room - room % segmentSize : segmentSize
        buffer.clear()
        var count = 0
        sendQueue.forEachRegion(from: sequence - queueStart, limit: min(wanted, most)) { region in
            guard buffer.add(region) else { return false }
            count += region.count
            return true
        }
        let end = sequence + count
        let reachesEnd = end == queueEnd
        let carriesFIN = isFinishing && reachesEnd
        var flags: TCPFlags = .ack
        if count > 0 && reachesEnd { flags.insert(.psh) }
        if carriesFIN { flags.insert(.fin) }
        write(flags, at: sequence, payloadCount: count, options: .none, into: buffer, settings: settings)

        let next = end + (carriesFIN ? 1 : 0)
        if carriesFIN { enterAfterFIN() }
        if next > highestSent {
            if timedSegment == nil, sequence == highestSent, !isProbing { timedSegment = (next, now) }
            highestSent = next
        }
        if next > nextSend { nextSend = next }
        switch timer {
        case .idle where highestSent > unacknowledged:
            timer = .retransmit(at: now + roundTrip.timeout(afterAttempts: backoff))
        case .idle, .retransmit, .persist, .timeWait:
            break
        }
    }

    /// A probe's byte may be refused and sent again; its answer measures nothing.
    private var isProbing: Bool {
        if case .persist = timer { true } else { false }
    }

    private mutating func enterAfterFIN() {
        switch state {
        case .established: state = .finWait1
        case .closeWait: state = .lastAck
        case .opening, .synReceived, .finWait1, .finWait2, .closing, .lastAck, .timeWait: break
        }
    }

    private mutating func sendSYNACK(into buffer: PacketBuffer, now: Instant, settings: borrowing FlowSettings) {
        buffer.clear()
        let isIPv4 = addresses.source.address.isIPv4
        let size = TCPFlow.maximumSegmentSize(mtu: settings.mtu, isIPv4: isIPv4)
        var options = TCPOptions.none
        options.maximumSegmentSize = UInt16(clamping: size)
        if peerScalesWindow { options.windowScale = windowShift }
        options.sackPermitted = permitsSACK
        write([.syn, .ack], at: initialSend, payloadCount: 0, options: options, into: buffer, settings: settings)
        // Karn: what is sent twice measures nothing (RFC 6298, section 3).
        timedSegment = highestSent == initialSend ? (initialSend + 1, now) : nil
        nextSend = initialSend + 1
        highestSent = SequenceNumber.later(highestSent, nextSend)
        // A repeated SYN does not restart the timer, or it would keep the flow half-open for ever.
        if case .idle = timer { timer = .retransmit(at: now + roundTrip.timeout(afterAttempts: backoff)) }
    }

    private mutating func sendAcknowledgmentIfOwed(into buffer: PacketBuffer, settings: borrowing FlowSettings) -> Bool
    {
        guard acknowledgment == .immediate else { return false }
        buffer.clear()
        // SND.NXT after a timeout lies behind what the peer has seen: an ACK goes out at the highest number.
        write(.ack, at: highestSent, payloadCount: 0, options: .none, into: buffer, settings: settings)
        return true
    }

    /// Headers of a segment whose payload regions are in the buffer already.
    mutating func write(
        _ flags: TCPFlags, at sequence: SequenceNumber, payloadCount: Int, options: TCPOptions,
        into buffer: PacketBuffer, settings: borrowing FlowSettings
    ) {
        let window: UInt16
        if flags.contains(.syn) {
            // The window of a SYN is never scaled (RFC 7323, section 2.2).
            window = UInt16(min(windowLimit, 0xFFFF))
            windowEdge = SequenceNumber.later(windowEdge, nextReceive + Int(window))
        } else {
            window = promiseWindow()
        }
        SegmentWriter.write(
            from: addresses.destination, to: addresses.source, sequence: sequence, acknowledgment: nextReceive,
            flags: flags, window: window, options: options, payloadCount: payloadCount, segmentSize: segmentSize,
            offload: settings.offload, into: buffer)
        acknowledgment = .none
        unacknowledgedBytes = 0
    }
}

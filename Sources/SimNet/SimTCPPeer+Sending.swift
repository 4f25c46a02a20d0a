import Packets
import Primitives

extension SimTCPPeer {
    /// The next packet for the TUN, nil when there is none for now. `packetHeader` is what goes before it.
    public func nextPacket(now: Instant) -> [UInt8]? {
        if !resets.isEmpty { return writeReset(resets.removeFirst()) }
        switch state {
        case .closed, .listen:
            return nil
        case .synSent, .synReceived:
            if nextToSend == initialSequence { return writeSYN(now: now) }
        case .established, .finWait1, .closing, .closeWait, .lastAck:
            if let packet = nextProbe(now: now) ?? nextRetransmission(now: now) ?? nextData(now: now) { return packet }
        case .finWait2, .timeWait:
            break
        }
        if mustKeepAlive {
            mustKeepAlive = false
            return write(.ack, at: sent - 1, payload: [], now: now)
        }
        guard mustAcknowledge else { return nil }
        return write(.ack, at: sent, payload: [], now: now)
    }

    /// The sequence number of the FIN, once the writing side is shut.
    var finSequence: SequenceNumber { outgoingStart + outgoing.count }

    // MARK: What to send

    private func nextProbe(now: Instant) -> [UInt8]? {
        guard mustProbe else { return nil }
        mustProbe = false
        guard sendWindow == 0, !outgoing.isEmpty else { return nil }
        counters.windowProbes += 1
        retransmitAt = now + rto
        switch settings.windowProbe {
        case .oldSequence:
            return write(.ack, at: unacknowledged - 1, payload: [], now: now)
        case .oneByte:
            return write(.ack, at: unacknowledged, payload: outgoing.prefix(1), now: now)
        }
    }

    /// Fast retransmit: the first segment that was not acknowledged, once (RFC 5681, section 3.2).
    private func nextRetransmission(now: Instant) -> [UInt8]? {
        guard mustRetransmitFirst else { return nil }
        mustRetransmitFirst = false
        guard nextToSend == sent, unacknowledged != sent else { return nil }
        let payload = outgoing.prefix(min(segmentSize, sent - unacknowledged))
        let isLast = isWriteShut && unacknowledged + payload.count == finSequence && sent == finSequence + 1
        return write(isLast ? [.ack, .fin] : .ack, at: unacknowledged, payload: payload, now: now)
    }

    private func nextData(now: Instant) -> [UInt8]? {
        let offset = nextToSend - outgoingStart
        let left = outgoing.count - offset
        guard left >= 0 else { return nil }
        let room = unacknowledged + sendWindow - nextToSend
        let size = min(left, max(0, room), chunkSize)
        // Silly window avoidance (RFC 9293, section 3.8.6.2.1): a full segment, the last one, or nothing under way.
        let isWorthwhile = size == left || size >= segmentSize || nextToSend == unacknowledged
        let withFIN = isWriteShut && size == left
        guard size > 0 && isWorthwhile || withFIN else {
            if left > 0, sendWindow == 0, unacknowledged == sent, retransmitAt == nil { retransmitAt = now + rto }
            return nil
        }
        let start = outgoing.startIndex + offset
        var flags: TCPFlags = .ack
        if size == left, size > 0 { flags.insert(.psh) }
        if withFIN { flags.insert(.fin) }
        return write(flags, at: nextToSend, payload: outgoing[start..<start + size], now: now)
    }

    /// Payload bytes of one segment on the wire.
    var segmentSize: Int { max(1, min(peerSegmentSize, settings.maximumSegmentSize) - (usesTimestamps ? 12 : 0)) }

    /// Payload bytes of one packet: with offload a whole number of segments, below the limit of an IP packet.
    private var chunkSize: Int {
        settings.segmentationOffload ? max(1, 65_000 / segmentSize) * segmentSize : segmentSize
    }

    // MARK: The window

    /// What an announcement now would add to the window.
    var windowGrowth: Int {
        let free = min(settings.receiveBuffer - incoming.ready.count, 0xFFFF << Int(receiveWindowScale))
        return incoming.next + free - advertisedEdge
    }

    /// A smaller growth is not worth announcing (RFC 9293, section 3.8.6.2.2).
    var windowStep: Int { min(2 * settings.maximumSegmentSize, settings.receiveBuffer / 2) }

    /// The window field, and with it the promise: the right edge never moves back.
    private func announceWindow(isSYN: Bool) -> UInt16 {
        if isSYN {
            let window = min(0xFFFF, settings.receiveBuffer)
            advertisedEdge = SequenceNumber.later(advertisedEdge, incoming.next + window)
            return UInt16(window)
        }
        var window = advertisedEdge - incoming.next
        if windowGrowth >= windowStep { window += windowGrowth }
        // Rounded up, or the scaling would take back a few bytes of what was promised.
        let scale = Int(receiveWindowScale)
        let field = min(0xFFFF, (window + (1 << scale) - 1) >> scale)
        advertisedEdge = SequenceNumber.later(advertisedEdge, incoming.next + field << scale)
        return UInt16(field)
    }

    // MARK: Writing

    private func writeSYN(now: Instant) -> [UInt8] {
        var options = TCPOptions(maximumSegmentSize: UInt16(clamping: settings.maximumSegmentSize))
        let isAnswer = state == .synReceived
        // An answer repeats only what the SYN offered.
        if let scale = settings.windowScale, !isAnswer || receiveWindowScale > 0 { options.windowScale = scale }
        options.sackPermitted = isAnswer ? usesSACK : settings.sackPermitted
        if isAnswer ? usesTimestamps : settings.timestamps {
            options.timestamps = (timestamp(now), isAnswer ? recentTimestamp : 0)
        }
        var flags: TCPFlags = isAnswer ? [.syn, .ack] : .syn
        if isAnswer ? usesECN : settings.ecn { flags.formUnion(isAnswer ? .ece : [.ece, .cwr]) }
        return write(flags, at: initialSequence, payload: [], options: options, now: now)
    }

    private func writeReset(_ reset: Reset) -> [UInt8] {
        counters.packetsSent += 1
        return encode(
            flags: reset.acknowledgment == nil ? .rst : [.rst, .ack], sequence: reset.sequence,
            acknowledgment: reset.acknowledgment ?? SequenceNumber(0), window: 0, options: .none, payload: [])
    }

    /// Milliseconds; never zero.
    func timestamp(_ now: Instant) -> UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000 + 1) }

    private func write(
        _ flags: TCPFlags, at sequence: SequenceNumber, payload: ArraySlice<UInt8>, options: TCPOptions? = nil,
        now: Instant
    ) -> [UInt8] {
        var flags = flags
        let congestion = congestionField(&flags, at: sequence, hasText: !payload.isEmpty)
        let end = sequence + payload.count + (flags.isDisjoint(with: [.syn, .fin]) ? 0 : 1)
        if end > sequence { keepAccounts(from: sequence, to: end, now: now) }
        if flags.contains(.ack) {
            mustAcknowledge = false
            acknowledgeAt = nil
            unacknowledgedReceived = 0
            lastAcknowledgmentSent = incoming.next
        }
        counters.packetsSent += 1
        var carried = options ?? TCPOptions()
        if options == nil {
            if usesTimestamps { carried.timestamps = (timestamp(now), recentTimestamp) }
            if usesSACK { carried.sack = incoming.sack }
        }
        return encode(
            flags: flags, sequence: sequence, acknowledgment: flags.contains(.ack) ? incoming.next : SequenceNumber(0),
            window: announceWindow(isSYN: flags.contains(.syn)), options: carried, payload: payload,
            congestion: congestion)
    }

    /// The ECN field of the IP header, and ECE and CWR in the flags: text that is new, and no probe, is capable.
    private func congestionField(_ flags: inout TCPFlags, at sequence: SequenceNumber, hasText: Bool) -> UInt8 {
        guard usesECN, !flags.contains(.syn) else { return 0 }
        if mustEchoCongestion { flags.insert(.ece) }
        guard hasText, sequence >= sent, sendWindow > 0 else { return 0 }
        if mustConfirmCongestion {
            flags.insert(.cwr)
            mustConfirmCongestion = false
        }
        return 2
    }

    /// Retransmission counters, the timed segment and the timer, for a segment that takes sequence numbers.
    private func keepAccounts(from start: SequenceNumber, to end: SequenceNumber, now: Instant) {
        if start < sent {
            counters.retransmissions += 1
            timedSegment = nil
        } else if timedSegment == nil {
            timedSegment = (end, now)
        }
        sent = SequenceNumber.later(sent, end)
        nextToSend = SequenceNumber.later(nextToSend, end)
        if retransmitAt == nil { retransmitAt = now + rto }
    }

    private func encode(
        flags: TCPFlags, sequence: SequenceNumber, acknowledgment: SequenceNumber, window: UInt16, options: TCPOptions,
        payload: ArraySlice<UInt8>, congestion: UInt8 = 0
    ) -> [UInt8] {
        let isIPv4 = local.address.isIPv4
        let ipLength = PacketWriter.ipHeaderLength(isIPv4: isIPv4)
        let tcpLength = TCPHeader.minimumLength + options.encodedLength
        let length = tcpLength + payload.count
        packetHeader =
            settings.segmentationOffload
            ? .tcp(
                isIPv4: isIPv4, ipHeaderLength: ipLength, tcpHeaderLength: tcpLength, payloadLength: payload.count,
                segmentSize: segmentSize)
            : .none
        packetHeader.ecn = flags.contains(.cwr) && packetHeader.gsoType != .none
        return [UInt8](unsafeUninitializedCapacity: ipLength + length) { buffer, count in
            let memory = UnsafeMutableRawPointer(buffer.baseAddress!)
            let segment = memory + ipLength
            PacketWriter.writeIPHeader(
                to: memory, source: local.address, destination: remote.address, protocol: IPProtocol.tcp,
                payloadLength: length, trafficClass: congestion)
            PacketWriter.writeTCPHeader(
                to: segment, sourcePort: local.port, destinationPort: remote.port, sequence: sequence,
                acknowledgment: acknowledgment, flags: flags, window: window, options: options)
            payload.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(start: segment + tcpLength, count: bytes.count).copyMemory(from: bytes)
            }
            if settings.segmentationOffload {
                PacketWriter.setPartialChecksum(
                    at: segment, length: length, protocol: .tcp, source: local.address, destination: remote.address)
            } else {
                PacketWriter.setChecksum(
                    at: segment, length: length, protocol: .tcp, source: local.address, destination: remote.address)
            }
            count = ipLength + length
        }
    }
}

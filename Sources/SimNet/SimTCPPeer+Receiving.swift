import Packets
import Primitives

extension SimTCPPeer {
    /// Takes a packet from the TUN.
    ///
    /// - Parameter virtioHeader: what came before it; nil on a TUN without the header.
    /// - Returns: whether the packet is for this peer's connection, or an ICMP error about it.
    @discardableResult
    public func handle(_ packet: [UInt8], virtioHeader: VirtioHeader? = nil, now: Instant) -> Bool {
        let ip: IPHeader
        do { ip = try IPHeader.parse(packet.span.bytes) } catch {
            note("an IP header that cannot be read: \(error)")
            return false
        }
        guard ip.destination == local.address else { return false }
        switch ip.protocol {
        case IPProtocol.tcp:
            return handleTCP(packet, ip, virtioHeader ?? .none, now: now)
        case IPProtocol.icmp, IPProtocol.icmpv6:
            return handleICMP(packet, ip)
        default:
            return false
        }
    }

    private func handleTCP(_ packet: [UInt8], _ ip: IPHeader, _ header: VirtioHeader, now: Instant) -> Bool {
        let tcp: TCPHeader
        do { tcp = try TCPHeader.parse(packet.span.bytes.extracting(ip.upperLayer)) } catch {
            note("a TCP header that cannot be read: \(error)")
            return false
        }
        let sender = Endpoint(ip.source, tcp.sourcePort)
        guard tcp.destinationPort == local.port, sender == remote || state == .listen else { return false }
        let payload = packet[(ip.headerLength + tcp.headerLength)..<ip.totalLength]
        counters.packetsReceived += 1
        guard isWellFormed(packet, ip, tcp, header, payload: payload.count) else { return true }
        if state != .closed, state != .listen { noteHeard(now: now) }
        receive(Segment(tcp: tcp, payload: payload, sender: sender, congestion: ip.trafficClass & 3), now: now)
        return true
    }

    struct Segment {
        var tcp: TCPHeader
        var payload: ArraySlice<UInt8>
        var sender: Endpoint
        /// The ECN field of the IP header (RFC 3168, section 5).
        var congestion: UInt8

        var flags: TCPFlags { tcp.flags }
        var start: SequenceNumber { tcp.sequence }
        /// Sequence numbers that it takes: data, SYN and FIN.
        var length: Int { payload.count + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0) }
        var end: SequenceNumber { start + length }
    }

    /// The checksum, finished where it was left to the receiver, and the claims of the virtio header.
    private func isWellFormed(
        _ packet: [UInt8], _ ip: IPHeader, _ tcp: TCPHeader, _ header: VirtioHeader, payload: Int
    ) -> Bool {
        var packet = packet
        if header.flags & VirtioHeader.needsChecksum != 0 {
            guard Int(header.checksumStart) == ip.headerLength, header.checksumOffset == 16 else {
                note("checksum start \(header.checksumStart) and offset \(header.checksumOffset) of no TCP header")
                return false
            }
            _ = packet.withUnsafeMutableBytes { Segmentation.completeChecksum(packet: $0, header: header) }
        }
        let segment = packet.span.bytes.extracting(ip.upperLayer)
        guard
            header.flags & VirtioHeader.dataValid != 0
                || Checksum.isValid(segment: segment, source: ip.source, destination: ip.destination, protocol: 6)
        else {
            note("a wrong TCP checksum")
            return false
        }
        guard header.gsoType != .none else {
            if payload > settings.maximumSegmentSize { note("a segment of \(payload) bytes, above the MSS") }
            return true
        }
        counters.superSegmentsReceived += 1
        guard header.gsoType == (ip.isIPv4 ? .tcpv4 : .tcpv6), header.flags & VirtioHeader.needsChecksum != 0,
            Int(header.headerLength) == ip.headerLength + tcp.headerLength, header.segmentSize > 0
        else {
            note("a super-segment with a wrong virtio header: \(header)")
            return false
        }
        if Int(header.segmentSize) > settings.maximumSegmentSize {
            note("a super-segment of segments of \(header.segmentSize) bytes, above the MSS")
        }
        return true
    }

    // MARK: Segment arrives (RFC 9293, section 3.10.7)

    private func receive(_ segment: Segment, now: Instant) {
        switch state {
        case .closed:
            answerWithReset(segment)
        case .listen:
            receiveInListen(segment)
        case .synSent:
            receiveInSynSent(segment, now: now)
        case .synReceived, .established, .finWait1, .finWait2, .closing, .closeWait, .lastAck, .timeWait:
            receiveSynchronized(segment, now: now)
        }
    }

    /// Section 3.10.7.1: what belongs to no connection is reset.
    private func answerWithReset(_ segment: Segment) {
        guard !segment.flags.contains(.rst) else { return }
        if segment.flags.contains(.ack) {
            resets = [Reset(sequence: segment.tcp.acknowledgment, acknowledgment: nil)]
        } else {
            resets = [Reset(sequence: SequenceNumber(0), acknowledgment: segment.end)]
        }
    }

    private func receiveInListen(_ segment: Segment) {
        guard segment.flags.subtracting([.ece, .cwr]) == .syn else { return }
        remote = segment.sender
        chooseInitialSequence()
        acceptSYN(segment)
        state = .synReceived
    }

    private func receiveInSynSent(_ segment: Segment, now: Instant) {
        if segment.flags.contains(.ack), segment.tcp.acknowledgment != initialSequence + 1 {
            note("the SYN is answered with acknowledgment \(segment.tcp.acknowledgment)")
            return answerWithReset(segment)
        }
        if segment.flags.contains(.rst) {
            if segment.flags.contains(.ack) { close(.refused) }
            return
        }
        // On a link that reorders, data may overtake the SYN-ACK.
        guard segment.flags.contains([.syn, .ack]) else { return }
        acceptSYN(segment)
        acknowledge(segment, now: now)
        openUp()
        mustAcknowledge = true
    }

    private func openUp() {
        state = isWriteShut ? .finWait1 : .established
        outcome = .connected
    }

    private func acceptSYN(_ segment: Segment) {
        let options = segment.tcp.options
        incoming.next = segment.start + 1
        peerSegmentSize = Int(options.maximumSegmentSize ?? 536)
        if settings.windowScale != nil, let scale = options.windowScale {
            sendWindowScale = scale
            receiveWindowScale = settings.windowScale ?? 0
        }
        usesTimestamps = settings.timestamps && options.timestamps != nil
        usesSACK = settings.sackPermitted && options.sackPermitted
        let isAnswer = segment.flags.contains(.ack)
        let agrees = segment.flags.intersection([.ece, .cwr]) == (isAnswer ? .ece : [.ece, .cwr])
        usesECN = settings.ecn && agrees
        lastAcknowledgmentSent = incoming.next
        recentTimestamp = options.timestamps?.value ?? 0
        sendWindow = Int(segment.tcp.window)
        windowUpdateSequence = segment.start
        windowUpdateAcknowledgment = segment.tcp.acknowledgment
        advertisedEdge = incoming.next + min(0xFFFF, settings.receiveBuffer)
    }

    private func receiveSynchronized(_ segment: Segment, now: Instant) {
        if state == .synReceived, segment.flags.subtracting([.ece, .cwr]) == .syn, segment.end == incoming.next {
            // Our answer was lost.
            nextToSend = initialSequence
            return
        }
        guard passesPAWS(segment, now: now) else { return }
        guard isAcceptable(segment) else {
            if !segment.flags.contains(.rst) { mustAcknowledge = true }
            return
        }
        if segment.flags.contains(.rst) {
            // RFC 5961, section 3.2: only the exact number resets, others in the window are challenged.
            guard segment.start == incoming.next else { return mustAcknowledge = true }
            receivedRST = true
            return close(state == .synReceived ? .refused : nil)
        }
        if segment.flags.contains(.syn) { return mustAcknowledge = true }
        guard segment.flags.contains(.ack) else { return note("a segment without ACK on an open connection") }
        if usesTimestamps, let timestamps = segment.tcp.options.timestamps, segment.start <= lastAcknowledgmentSent {
            recentTimestamp = timestamps.value
        }
        noteCongestion(segment)
        guard segment.tcp.acknowledgment <= sent else {
            note("an acknowledgment of \(segment.tcp.acknowledgment - sent) bytes that were never sent")
            return mustAcknowledge = true
        }
        acknowledge(segment, now: now)
        if state != .closed { receivePayload(segment, now: now) }
    }

    /// RFC 7323, sections 3.2 and 5.3. An empty segment that is old is one that was overtaken: no ACK for it.
    private func passesPAWS(_ segment: Segment, now: Instant) -> Bool {
        guard usesTimestamps, segment.flags.isDisjoint(with: [.rst, .syn]) else { return true }
        guard let timestamps = segment.tcp.options.timestamps else {
            note("a segment without timestamps")
            return false
        }
        if Int32(bitPattern: timestamps.echo &- timestamp(now)) > 0 { note("an echo of a timestamp that was not sent") }
        guard Int32(bitPattern: timestamps.value &- recentTimestamp) < 0 else { return true }
        counters.oldTimestamps += 1
        if segment.length > 0 { mustAcknowledge = true }
        return false
    }

    /// RFC 3168, section 6.1: both parts, and what only an agreed connection may say.
    private func noteCongestion(_ segment: Segment) {
        // No checksum covers IPv6's field: there it may be damage of the way.
        let isCapable = segment.congestion != 0 && local.address.isIPv4
        guard usesECN else {
            if isCapable || !segment.flags.isDisjoint(with: [.ece, .cwr]) {
                note("congestion notification that was not agreed on")
            }
            return
        }
        if isCapable, segment.payload.isEmpty { note("a segment without text that is ECN-capable") }
        if !segment.payload.isEmpty {
            if segment.flags.contains(.cwr) { mustEchoCongestion = false }
            if segment.congestion == 3 {
                counters.congestionMarks += 1
                mustEchoCongestion = true
            }
        }
        if let point = congestionPoint, segment.tcp.acknowledgment > point { congestionPoint = nil }
        guard segment.flags.contains(.ece), congestionPoint == nil, sent != unacknowledged else { return }
        counters.congestionEchoes += 1
        congestionPoint = sent
        mustConfirmCongestion = true
    }

    /// Section 3.10.7.4, first step. Empty segments one below the window are probes, and are answered too.
    private func isAcceptable(_ segment: Segment) -> Bool {
        let window = advertisedEdge - incoming.next
        if segment.end > advertisedEdge {
            // One byte into a closed window is a probe; a FIN may stand just beyond the edge, and a RST stands where the
            // segment that it answers has put it.
            let isProbe = window == 0 && segment.payload.count <= 1
            if !isProbe, !segment.payload.isEmpty, segment.start + segment.payload.count > advertisedEdge {
                note("\(segment.end - advertisedEdge) bytes beyond the window")
            }
        }
        if segment.length == 0 { return segment.start >= incoming.next && segment.start <= advertisedEdge }
        if segment.payload.isEmpty { return segment.end > incoming.next && segment.start <= advertisedEdge }
        return segment.end > incoming.next && segment.start < advertisedEdge
    }

    private func receivePayload(_ segment: Segment, now: Instant) {
        let payload = segment.payload.prefix(max(0, advertisedEdge - segment.start))
        if !payload.isEmpty {
            if state == .timeWait || incoming.end.map({ segment.start >= $0 }) == true { note("data after the FIN") }
            let before = incoming.next
            incoming.insert(payload, at: segment.start)
            counters.bytesReceived += incoming.next - before
            unacknowledgedReceived += payload.count
            let isInOrder = before != incoming.next && incoming.early.isEmpty
            if !isInOrder || unacknowledgedReceived >= 2 * settings.maximumSegmentSize {
                mustAcknowledge = true
            } else if acknowledgeAt == nil {
                acknowledgeAt = now + settings.acknowledgmentDelay
            }
        }
        if segment.flags.contains(.fin) {
            if payload.count == segment.payload.count { incoming.end = segment.start + payload.count }
            mustAcknowledge = true
        }
        takeFromBuffer()
        if let end = incoming.end, incoming.next == end, !receivedFIN { receiveFIN(now: now) }
    }

    private func receiveFIN(now: Instant) {
        receivedFIN = true
        incoming.next += 1
        advertisedEdge = SequenceNumber.later(advertisedEdge, incoming.next)
        switch state {
        case .synReceived, .established: state = .closeWait
        case .finWait1: state = .closing
        case .finWait2: enterTimeWait(now: now)
        case .closed, .listen, .synSent, .closing, .closeWait, .lastAck, .timeWait: break
        }
    }

    private func enterTimeWait(now: Instant) {
        state = .timeWait
        keepaliveAt = nil
        timeWaitUntil = now + settings.timeWait
    }

    // MARK: Acknowledgments

    private func acknowledge(_ segment: Segment, now: Instant) {
        let acknowledgment = segment.tcp.acknowledgment
        // RFC 9293, section 3.10.7.4, and besides whatever acknowledges more: a retransmitted segment has an old sequence
        // number and a new acknowledgment, and the old window counted from there would reach too far.
        let isNewer =
            acknowledgment > unacknowledged || windowUpdateSequence < segment.start
            || windowUpdateSequence == segment.start && windowUpdateAcknowledgment <= acknowledgment
        if acknowledgment >= unacknowledged, isNewer {
            let window = Int(segment.tcp.window) << (segment.flags.contains(.syn) ? 0 : Int(sendWindowScale))
            if window == sendWindow, acknowledgment == unacknowledged, segment.length == 0, sent != unacknowledged {
                duplicateAcknowledgments += 1
                if duplicateAcknowledgments == 3 { mustRetransmitFirst = true }
            }
            if sendWindow == 0, window > 0 { resumeAfterZeroWindow(now: now) }
            sendWindow = window
            windowUpdateSequence = segment.start
            windowUpdateAcknowledgment = acknowledgment
        }
        // A window that stays shut but answers is alive (RFC 1122, section 4.2.2.17).
        if sendWindow == 0 { retries = 0 }
        guard acknowledgment > unacknowledged else { return }
        advance(to: acknowledgment, now: now)
    }

    private func resumeAfterZeroWindow(now: Instant) {
        retries = 0
        rto = baseRTO
        retransmitAt = unacknowledged == sent ? nil : now + rto
    }

    private func advance(to acknowledgment: SequenceNumber, now: Instant) {
        if state == .synReceived { openUp() }
        let bytes = min(outgoing.count, max(0, acknowledgment - outgoingStart))
        outgoing.removeFirst(bytes)
        // A slice keeps the memory of what was cut off; begin anew now and then.
        if outgoing.startIndex > settings.sendBuffer { outgoing = ArraySlice(Array(outgoing)) }
        outgoingStart += bytes
        unacknowledged = acknowledgment
        nextToSend = SequenceNumber.later(nextToSend, acknowledgment)
        duplicateAcknowledgments = 0
        retries = 0
        if let timed = timedSegment, timed.end <= acknowledgment {
            timedSegment = nil
            measure(now - timed.sentAt)
        }
        rto = baseRTO
        retransmitAt = unacknowledged == sent ? nil : now + rto
        if isWriteShut, unacknowledged == finSequence + 1 { finIsAcknowledged(now: now) }
    }

    private func finIsAcknowledged(now: Instant) {
        switch state {
        case .finWait1: state = .finWait2
        case .closing: enterTimeWait(now: now)
        case .lastAck: close(nil)
        case .closed, .listen, .synSent, .synReceived, .established, .finWait2, .closeWait, .timeWait: break
        }
    }

    /// RFC 6298, section 2.
    private func measure(_ rtt: Interval) {
        guard let smoothed = smoothedRTT else {
            smoothedRTT = rtt
            rttVariation = rtt / 2
            return
        }
        let error = rtt > smoothed ? rtt - smoothed : smoothed - rtt
        rttVariation = (rttVariation * 3 + error) / 4
        smoothedRTT = (smoothed * 7 + rtt) / 8
    }

    var baseRTO: Interval {
        guard let smoothedRTT else { return settings.initialRTO }
        return min(max(smoothedRTT + rttVariation * 4, settings.minimumRTO), settings.maximumRTO)
    }

    // MARK: ICMP

    private func handleICMP(_ packet: [UInt8], _ ip: IPHeader) -> Bool {
        let message = packet.span.bytes.extracting(ip.upperLayer)
        let pseudo =
            ip.isIPv4
            ? 0
            : Checksum.pseudoHeader(
                source: ip.source, destination: ip.destination, protocol: ip.protocol, length: message.byteCount)
        guard Checksum.fold(Checksum.sum(message, initial: pseudo)) == 0xFFFF else {
            note("a wrong ICMP checksum")
            return false
        }
        guard let icmp = try? ICMPHeader.parse(message), icmp.isError(isIPv4: ip.isIPv4) else { return false }
        let quoted = message.extracting(ICMPHeader.byteCount..<message.byteCount)
        guard let original = try? IPHeader.parseQuoted(quoted), original.protocol == IPProtocol.tcp,
            original.source == local.address, original.destination == remote.address,
            quoted.byteCount >= original.headerLength + 8,
            quoted.bigEndian(at: original.headerLength, as: UInt16.self) == local.port,
            quoted.bigEndian(at: original.headerLength + 2, as: UInt16.self) == remote.port
        else { return false }
        let sequence = SequenceNumber(quoted.bigEndian(at: original.headerLength + 4, as: UInt32.self))
        guard sequence >= unacknowledged, sequence <= sent else { return true }
        let unreachable =
            ip.isIPv4 ? ICMPHeader.TypeV4.destinationUnreachable : ICMPHeader.TypeV6.destinationUnreachable
        if state == .synSent, icmp.type == unreachable {
            close(.unreachable(type: icmp.type, code: icmp.code))
        } else {
            counters.softErrors += 1
        }
        return true
    }
}

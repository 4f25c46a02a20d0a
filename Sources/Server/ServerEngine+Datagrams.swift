import Primitives
import QuicTransport
import Sealing
import Tunnel
import Users

/// UDP: associations of clients, each with a socket of the program's.
///
/// Up: what a client sends is opened into the outbox, and `nextDatagrams` hands it out in runs. Down: `datagramReceived`
/// seals each datagram straight into the queue of its connection.
extension ServerEngine {
    // MARK: - Beginning and end

    /// The request of an association. Its destination says the family; whether it may be sent to is asked with each
    /// datagram.
    /// - Parameter name: what the client asked for, where that was a name.
    func beginAssociation(
        _ flow: OutboundFlow, _ destination: Endpoint, name: DomainName? = nil, _ keys: SessionKeys
    ) {
        let session = flow.session
        guard session.associations.count < settings.maximumAssociationsPerConnection,
            datagramCounters.associationsOpen < settings.maximumAssociations,
            session.account?.associations.take() ?? true
        else {
            datagramCounters.associationsRefusedByLimit += 1
            return refuse(flow, .tooManyFlows)
        }
        let stream = flow.stream.id.rawValue
        let channel = DatagramChannel(keys: keys, stream: stream, role: .server, requested: destination)
        flow.association = ServerAssociation(channel: channel, name: name, now: last)
        session.associations[stream] = flow
        datagramCounters.associationsOpen += 1
        datagramCounters.associationsOpened += 1
        guard beginDial(flow) else {
            datagramCounters.associationsRefusedByLimit += 1
            return refuse(flow, .tooManyFlows)
        }
        flow.hasSocket = true
        let deadline = last + settings.dialTimeout
        flow.phase = .dialling(deadline: deadline)
        scheduleDial(flow, deadline: deadline)
        append(.openDatagramSocket(flow.id, isIPv4: destination.address.isIPv4))
    }

    /// - Parameter bound: the port that the far ends see, and the address if the socket has one.
    public func datagramSocketOpened(_ id: OutboundID, bound: Endpoint?, now: Instant) {
        last = now
        guard let flow = flow(id), case .dialling = flow.phase, let association = flow.association else { return }
        endDials(flow)
        flow.phase = .associated
        scheduleDial(flow, deadline: association.deadline(settings))
        let reply = FlowReply(.succeeded, bound: bound ?? .unspecified)
        guard flow.sealed.send(message: reply.encode(), to: flow.stream) else { return cut(flow, .resourceLimit) }
        markDirty(flow.session)
    }

    /// The time of an association may be over.
    func checkAssociation(_ flow: OutboundFlow) {
        guard let association = flow.association else { return }
        let deadline = association.deadline(settings)
        guard deadline <= last else { return scheduleDial(flow, deadline: deadline) }
        datagramCounters.associationsExpired += 1
        endAssociation(flow)
    }

    /// Ends an association in order; so does the client, when it sees the stream's end.
    func endAssociation(_ flow: OutboundFlow) {
        let connection = flow.session.connection
        connection.finish(flow.stream)
        connection.stopReceiving(flow.stream, code: TunnelErrorCode.noError.rawValue)
        markDirty(flow.session)
        release(flow, reset: false)
    }

    /// `release` for what an association has besides.
    func forgetAssociation(_ flow: OutboundFlow) {
        guard flow.association != nil else { return }
        flow.session.associations[flow.stream.id.rawValue] = nil
        if flow.session.latestAssociation === flow { flow.session.latestAssociation = nil }
        datagramCounters.associationsOpen -= 1
        flow.session.account?.associations.giveBack()
    }

    // MARK: - Up

    /// A QUIC datagram of a client.
    func receive(datagram: UnsafeRawBufferPointer, _ session: ServerSession) {
        guard let stream = DatagramFormat.stream(of: datagram), let flow = session.association(of: stream),
            let association = flow.association
        else {
            datagramCounters.withoutAssociation += 1
            return
        }
        guard let space = outbox.space(datagram.count) else {
            datagramCounters.droppedForOutbox += 1
            return
        }
        do throws(DatagramRefusal) {
            guard let (message, count) = try association.channel.open(datagram, into: space) else { return }
            pass(message, count, flow, association)
        } catch {
            datagramCounters.note(error)
        }
    }

    /// Takes the whole records off an association's stream; nonsense ends it.
    func readRecords(_ flow: OutboundFlow) {
        guard let association = flow.association else { return }
        do {
            try receiveRecords(flow, association)
        } catch {
            counters.sealingFailures += 1
            return cut(flow, .protocolViolation)
        }
        noteBuffered(flow.session)
        extendCredit(flow)
    }

    private func receiveRecords(_ flow: OutboundFlow, _ association: ServerAssociation) throws(MessageError) {
        while true {
            let space = outbox.space(DatagramMessage.maximumSize)
            switch try association.channel.nextRecord(from: &flow.queue, into: space) {
            case .incomplete: return
            case .unknown: if space == nil { datagramCounters.droppedForOutbox += 1 }
            case .message(let message, let count): pass(message, count, flow, association)
            }
        }
    }

    /// - Parameter count: bytes of payload at the start of the outbox's space.
    @inline(__always)
    private func pass(
        _ message: DatagramMessage, _ count: Int, _ flow: OutboundFlow, _ association: ServerAssociation
    ) {
        // Clients have no failures to tell.
        guard case .payload(let destination) = message else { return }
        let hasQuota = flow.session.account?.hasQuota == true
        association.noteSent(to: destination, remembers: hasQuota, now: last)
        guard allows(destination, flow, association) else {
            return tell(.notAllowed, destination, flow, association)
        }
        guard passes(count, .up, flow.session) else { return }
        datagramCounters.sent += 1
        counters.bytesOpened += UInt64(count)
        outbox.commit(count, flow.id, to: destination)
    }

    /// Whether datagrams to and from this far end pass. The policy is asked when the far end changes, but every datagram that
    /// it refuses is counted.
    @inline(__always)
    private func allows(_ endpoint: Endpoint, _ flow: OutboundFlow, _ association: ServerAssociation) -> Bool {
        let session = flow.session
        let grounds = VerdictGrounds(
            policy: policyGeneration, destinations: session.account?.destinationsVersion ?? 0)
        let (verdict, isNew) = association.verdict(endpoint, grounds) { name in
            self.verdict(on: endpoint, .udp, name: name, for: session)
        }
        if isNew {
            note(verdict, session, .endpoint(endpoint), .udp)
        } else if !verdict.isAllowed {
            dialCounters.note(verdict)
        }
        if !verdict.isAllowed { datagramCounters.denied += 1 }
        return verdict.isAllowed
    }

    /// The next datagrams for a socket, until there are no more.
    public func nextDatagrams() -> OutboundDatagrams? { outbox.next() }

    // MARK: - Down

    /// A datagram that came to an association's socket. From whom does not matter (endpoint-independent filtering: RFC
    /// 4787, REQ-8), as long as the client could send there too, and strangers do not spend what its user has.
    public func datagramReceived(
        _ id: OutboundID, from remote: Endpoint, _ payload: UnsafeRawBufferPointer, now: Instant
    ) {
        last = now
        guard let flow = flow(id), case .associated = flow.phase, let association = flow.association else { return }
        guard allows(remote, flow, association) else { return }
        guard !isStranger(remote, flow, association) else {
            datagramCounters.unsolicited += 1
            return
        }
        guard passes(payload.count, .down, flow.session) else { return }
        let connection = flow.session.connection
        markDirty(flow.session)
        guard let space = connection.datagramSpace(association.channel.sealedSize(payload.count, remote)) else {
            return stream(payload, from: remote, flow, association)
        }
        guard let count = association.channel.seal(payload, remote, into: space) else { return endAssociation(flow) }
        connection.sendDatagram(count, now: last)
        datagramCounters.received += 1
        counters.bytesSealed += UInt64(payload.count)
    }

    /// Where the user has a quota, whoever learns the port could spend it. So the association hears those addresses alone that it has
    /// sent to (address-dependent filtering, which REQ-8 recommends where that counts more than transparency).
    @inline(__always)
    private func isStranger(_ remote: Endpoint, _ flow: OutboundFlow, _ association: ServerAssociation) -> Bool {
        guard flow.session.account?.hasQuota == true else { return false }
        return !association.peers.contains(remote.address)
    }

    /// What is too large for a packet goes over the stream. A stream cannot drop its oldest, so what exceeds the limit is
    /// dropped itself.
    private func stream(
        _ payload: UnsafeRawBufferPointer, from remote: Endpoint, _ flow: OutboundFlow, _ association: ServerAssociation
    ) {
        let waiting = flow.stream.buffered
        guard payload.count <= DatagramMessage.maximumPayload, flow.stream.isWritable,
            waiting == 0 || waiting + payload.count <= settings.maximumStreamedDatagramBytes, mayQueue(flow.session)
        else {
            datagramCounters.droppedForStream += 1
            return
        }
        let count = association.channel.writeRecord(payload, remote, to: recordMemory)
        let record = UnsafeRawBufferPointer(rebasing: recordMemory[..<count])
        // Half a record would make nonsense of all that follow.
        guard flow.sealed.seal(record, to: flow.stream) == count else { return cut(flow, .resourceLimit) }
        datagramCounters.streamed += 1
        counters.bytesSealed += UInt64(payload.count)
    }

    /// Datagrams for clients that their connections dropped, as the path did not take them in time.
    public var datagramsDroppedForPath: Int {
        sessions.reduce(datagramCounters.droppedForPath) { $0 + ($1?.connection.statistics.datagramsDropped ?? 0) }
    }

    /// A datagram to `destination` came to nothing: the network said so, or the kernel would not send it.
    public func datagramFailed(_ id: OutboundID, to destination: Endpoint, _ failure: DialFailure, now: Instant) {
        last = now
        guard let flow = flow(id), let association = flow.association else { return }
        datagramCounters.failures += 1
        tell(failure.reply, destination, flow, association)
    }

    /// Tells the client, which tells the application. It may get lost, as ICMP may.
    private func tell(
        _ code: FlowReplyCode, _ destination: Endpoint, _ flow: OutboundFlow, _ association: ServerAssociation
    ) {
        let connection = flow.session.connection
        guard let space = connection.datagramSpace(association.channel.sealedFailureSize(destination)),
            let count = association.channel.seal(failure: code, destination, into: space)
        else { return }
        connection.sendDatagram(count, now: last)
        markDirty(flow.session)
    }
}

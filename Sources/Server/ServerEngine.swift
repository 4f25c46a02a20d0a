import Primitives
import QuicTransport
import Sealing
import Tunnel
import Users

/// The server: UDP datagrams of many clients on one side, dialled sockets on the other. No system calls, no clock.
///
/// The way up: `handleDatagram` → the stream's bytes are opened straight into the queue of their socket →
/// `ServerAction.write`. The way down: the program reads a socket into memory of its own and calls `socketRead` → the
/// bytes are sealed straight into the send queue of their stream → `nextBatch` hands out QUIC packets.
///
/// Datagrams go the same ways: see ServerEngine+Datagrams.
///
/// After every call: `nextAction`, `nextDatagrams` and `nextBatch` until they have nothing more, then sleep until `nextDeadline`.
public final class ServerEngine {
    public internal(set) var settings: ServerSettings
    // Each is changed in one step: that no access overlaps another need not be checked for every packet.
    @exclusivity(unchecked) public internal(set) var counters = ServerCounters()
    /// The memory that all buffers of this engine come from.
    public let pool: BlockPool

    @exclusivity(unchecked) public internal(set) var datagramCounters = ServerDatagramCounters()
    /// What each part of the policy has decided.
    public internal(set) var dialCounters: DialCounters
    public internal(set) var policy: DialPolicy
    /// Goes up when the policy changes: what it said before is asked anew.
    var policyGeneration = 0
    var denialNotices: RateBudget
    var nameCounters = NameCounters()
    var names: NameCache

    let endpoint: QuicEndpoint
    @exclusivity(unchecked) var outbox = DatagramOutbox()
    /// Where datagrams for streams are put together.
    let recordMemory = UnsafeMutableRawBufferPointer.allocate(byteCount: DatagramChannel.maximumRecord, alignment: 16)
    var random: any RandomNumberGenerator
    @exclusivity(unchecked) var sessions: [ServerSession?] = []
    private var sessionGeneration: UInt32 = 0
    /// In the order in which they came: those who have not logged in, and some who have.
    var newcomers = Fifo<SessionID>()
    /// Clients that the program has yet to decide about.
    var pendingLogins = 0
    @exclusivity(unchecked) var flows: [OutboundFlow?] = []
    private var freeFlows: [Int] = []
    private var generation: UInt32 = 0
    /// What the connections that are gone have counted.
    private var departed = ConnectionStatistics()
    @exclusivity(unchecked) private var actions = Fifo<ServerAction>()
    /// Connections that may have something to send.
    @exclusivity(unchecked) private var dirty = Fifo<ServerSession>()
    @exclusivity(unchecked) private var deadlines = DeadlineHeap()
    /// When dials are given up and associations end. One entry at most for each place in `flows`, whoever had it when the
    /// entry was made.
    private(set) var dialDeadlines = DeadlineHeap()
    private var dialScheduled: [Instant?] = []
    @exclusivity(unchecked) var last: Instant
    @exclusivity(unchecked) private var moderation: Interval?
    var leaving = Leaving.no
    /// See `setWallTime`.
    var wallTime: (unixSeconds: Int64, at: Instant)?

    public init(settings: ServerSettings, pool: BlockPool, random: any RandomNumberGenerator, now: Instant) {
        self.settings = settings
        self.pool = pool
        self.random = random
        policy = settings.policy
        dialCounters = DialCounters(settings.policy)
        denialNotices = RateBudget(
            burst: Self.denialNoticeBurst, perSecond: Self.denialNoticesPerSecond, now: now)
        names = NameCache(settings.names)
        last = now
        var transport = settings.transport
        // One stream more than flows: the control stream.
        transport.maximumStreams = settings.maximumFlowsPerConnection + 1
        let limits = Self.limits(settings)
        endpoint = QuicEndpoint(
            identity: settings.identity, settings: transport, resetKey: settings.resetKey,
            tokenSecret: settings.tokenSecret, limits: limits, loop: settings.loop, pool: pool, random: random)
    }

    deinit { recordMemory.deallocate() }

    // MARK: - Datagrams

    public func handleDatagram(
        _ datagram: UnsafeMutableRawBufferPointer, from remote: Endpoint, to local: Endpoint, ecn: UInt8, now: Instant
    ) {
        last = now
        let connection = endpoint.handle(
            UnsafeRawBufferPointer(datagram), from: remote, to: local, ecn: ecn, now: now)
        while let accepted = endpoint.nextAccepted() { adopt(accepted) }
        guard let connection, let session = session(of: connection) else { return }
        moderation = min(moderation ?? connection.moderation, connection.moderation)
        carryOutEvents(session)
        markDirty(session)
    }

    /// The shortest `QuicConnection.moderation` of those to which datagrams came since the last call; nil when none came.
    public func takeModeration() -> Interval? {
        defer { moderation = nil }
        return moderation
    }

    private func adopt(_ connection: QuicConnection) {
        let index = sessions.firstIndex { $0 == nil } ?? sessions.count
        sessionGeneration &+= 1
        let session = ServerSession(
            connection: connection, id: SessionID(index: index, generation: sessionGeneration), settings: settings,
            now: last)
        if index == sessions.count { sessions.append(nil) }
        sessions[index] = session
        connection.context = index
        connection.owner = self
        counters.connectionsOpen += 1
        counters.connectionsAccepted += 1
        makeRoomForNewcomer(session)
        switch leaving {
        case .no: break
        case .draining, .stopping: close(session, .shuttingDown, goodbye)
        }
    }

    func session(of connection: QuicConnection) -> ServerSession? {
        guard connection.context < sessions.count, let session = sessions[connection.context],
            session.connection === connection
        else { return nil }
        return session
    }

    func markDirty(_ session: ServerSession) {
        guard !session.isDirty else { return }
        session.isDirty = true
        dirty.append(session)
    }

    public func nextBatch(into buffer: UnsafeMutableRawBufferPointer, now: Instant) -> OutgoingBatch? {
        last = now
        if let batch = endpoint.nextStatelessDatagram(into: buffer) { return batch }
        while let session = dirty.first {
            if let batch = session.connection.nextBatch(into: buffer, now: now) {
                dirty.rotate()  // behind the others: every client gets its turn
                return batch
            }
            _ = dirty.popFirst()
            session.isDirty = false
            carryOutEvents(session)
            settle(session)
        }
        return nil
    }

    /// After a connection has sent all it can: when it wants to be called next, or that it is gone.
    private func settle(_ session: ServerSession) {
        guard sessions[session.index] === session else { return }  // settled for good already
        guard session.connection.state != .closed else {
            end(session, reason: "closed")
            datagramCounters.droppedForPath += session.connection.statistics.datagramsDropped
            departed.add(session.connection.statistics)
            endpoint.remove(session.connection)
            sessions[session.index] = nil
            counters.connectionsOpen -= 1
            return
        }
        noteBuffered(session)
        closeIfDrained(session)
        closeIfHeard(session)
        if let deadline = earliest(session.connection.nextDeadline, session.deadline) {
            deadlines.schedule(UInt32(session.index), at: deadline, scheduled: &session.scheduled)
        }
    }

    // MARK: - Time

    public var nextDeadline: Instant? { earliest(earliest(deadlines.next, dialDeadlines.next), drainDeadline) }

    public func handleTimeout(now: Instant) {
        last = now
        while let (slot, deadline) = deadlines.popDue(now: now) {
            guard let session = sessions[Int(slot)], session.scheduled == deadline else { continue }
            session.scheduled = nil
            if let real = session.connection.nextDeadline, real <= now { session.connection.handleTimeout(now: now) }
            switch session.phase {
            case .exchanging(let deadline) where deadline <= now: failAuthentication(session)
            case .loggingIn(let deadline) where deadline <= now: loginTimedOut(session)
            case .handshaking, .exchanging, .loggingIn, .open, .ended: break
            }
            if !refuseExpiredCertificate(session), let until = session.turnDeadline, until <= now { giveTurns(session) }
            wipeOldKeysIfDue(session)
            carryOutEvents(session)
            markDirty(session)
        }
        while let (slot, deadline) = dialDeadlines.popDue(now: now) {
            let index = Int(slot)
            guard dialScheduled[index] == deadline else { continue }
            dialScheduled[index] = nil
            guard let flow = flows[index] else { continue }
            switch flow.phase {
            case .dialling(let until) where until <= now:
                counters.dialsFailed += 1
                refuse(flow, .timedOut)
            case .dialling(let until):
                if flow.named?.transport == .tcp { advance(flow) } else { scheduleDial(flow, deadline: until) }
            case .associated: checkAssociation(flow)
            case .awaitingRequest, .open, .refused: break
            }
        }
        endDrainIfDue(now: now)
    }

    // MARK: - Figures

    /// What all connections have counted, those that are gone included. Only the counters; a round-trip time of all makes no
    /// sense.
    public var connectionTotals: ConnectionStatistics {
        var totals = departed
        for session in sessions { if let session { totals.add(session.connection.statistics) } }
        return totals
    }

    public var endpointCounters: QuicEndpoint.Counters { endpoint.counters }

    /// Calls `body` with the figures of each client's connection.
    public func forEachConnection(_ body: (_ client: Endpoint, ConnectionStatistics) -> Void) {
        for session in sessions { if let session { body(session.connection.remote, session.connection.statistics) } }
    }

    // MARK: - The end

    /// Ends every connection in order and resets every dialled socket.
    public func stop(now: Instant) {
        last = now
        leaving = .stopping
        for session in sessions {
            guard let session else { continue }
            close(session, .shuttingDown, goodbye)
            end(session, reason: goodbye)
            markDirty(session)
        }
    }

    func carryOutEvents(_ session: ServerSession) {
        while let event = session.connection.nextEvent() {
            switch event {
            case .established: established(session)
            case .pathValidated, .pathFailed: break  // told to clients alone
            case .closed(let reason): end(session, reason: "\(reason)")
            }
        }
    }

    func close(_ session: ServerSession, _ code: TunnelErrorCode, _ message: String) {
        session.connection.close(code: code.rawValue, message: message, now: last)
        markDirty(session)
    }

    private func established(_ session: ServerSession) {
        // It may have been revoked during the handshake.
        if refuseBadCertificate(session) { return }
        noteExpiry(session)
        session.phase = .exchanging(deadline: last + settings.helloTimeout)
    }

    /// The client does not know the server's key, does not speak the protocol, or says nothing.
    func failAuthentication(_ session: ServerSession) {
        counters.authenticationFailures += 1
        append(.log(.authenticationFailed(session.connection.validatedRemote)))
        close(session, .authenticationFailed, "")
        end(session, reason: "authentication failed")
    }

    /// The connection is of no more use: its sockets are reset, its flows forgotten.
    func end(_ session: ServerSession, reason: String) {
        switch session.phase {
        case .ended: return
        case .open:
            append(.log(.disconnected(session.connection.validatedRemote, reason: reason)))
            append(.loggedOut(session.id))
        case .loggingIn: pendingLogins -= 1
        case .handshaking, .exchanging: break
        }
        session.phase = .ended
        for index in session.flows {
            guard let flow = flows[index] else { continue }
            release(flow, reset: true)
        }
        session.flows.removeAll()
        forgetBuffered(session)
        session.seat = nil
        session.turnDeadline = nil
        session.certificateEnd = nil
    }

    // MARK: - Actions

    func append(_ action: ServerAction) { actions.append(action) }

    public func nextAction() -> ServerAction? { actions.popFirst() }

    // MARK: - The table of flows

    func hasRoomForFlow(_ session: ServerSession) -> Bool {
        // The transport counts streams; a flow may outlive its stream while its socket does not take the last bytes.
        session.flows.count < settings.maximumFlowsPerConnection
            && counters.flowsOpen < settings.maximumFlows
    }

    func insertFlow(session: ServerSession, stream: QuicStream, sealed: FlowStream) -> OutboundFlow {
        let index = freeFlows.popLast() ?? flows.count
        if index == flows.count {
            flows.append(nil)
            dialScheduled.append(nil)
        }
        generation &+= 1
        let flow = OutboundFlow(
            id: OutboundID(index: index, generation: generation), session: session, stream: stream, sealed: sealed,
            pool: pool)
        flows[index] = flow
        session.flows.insert(index)
        stream.context = index
        counters.flowsOpen += 1
        counters.flowsOpened += 1
        return flow
    }

    func flow(_ id: OutboundID) -> OutboundFlow? {
        guard id.index < flows.count, let flow = flows[id.index], flow.id == id else { return nil }
        return flow
    }

    /// Forgets a flow and has its socket closed.
    func release(_ flow: OutboundFlow, reset: Bool) {
        endDials(flow)
        forgetAssociation(flow)
        leaveQueues(flow)
        giveBackFlow(flow.session)
        forgetName(flow)
        if flow.hasSocket { append(.close(flow.id, reset: reset)) }
        flow.stream.context = -1
        flow.session.flows.remove(flow.id.index)
        flows[flow.id.index] = nil
        freeFlows.append(flow.id.index)
        counters.flowsOpen -= 1
        if isDraining { markDirty(flow.session) }
    }

    func scheduleDial(_ flow: OutboundFlow, deadline: Instant) {
        dialDeadlines.schedule(UInt32(flow.id.index), at: deadline, scheduled: &dialScheduled[flow.id.index])
    }
}

import Primitives
import QuicTransport
import Sealing
import Tunnel

/// The server: UDP datagrams of many clients on one side, dialled sockets on the other. No system calls, no clock.
///
/// The way up: `handleDatagram` → the stream's bytes are opened straight into the queue of their socket →
/// `ServerAction.write`. The way down: the program reads a socket into memory of its own and calls `socketRead` → the
/// bytes are sealed straight into the send queue of their stream → `nextBatch` hands out QUIC packets.
///
/// After every call: `nextAction` and `nextBatch` until they have nothing more, then sleep until `nextDeadline`.
public final class ServerEngine {
    public let settings: ServerSettings
    public internal(set) var counters = ServerCounters()
    /// The memory that all buffers of this engine come from.
    public let pool: BlockPool

    let endpoint: QuicEndpoint
    var random: any RandomNumberGenerator
    var sessions: [ServerSession?] = []
    var flows: [OutboundFlow?] = []
    private var freeFlows: [Int] = []
    private var generation: UInt32 = 0
    private var actions: [ServerAction] = []
    private var actionHead = 0
    private var dirty: [ServerSession] = []
    private var deadlines = DeadlineHeap()
    private var dialDeadlines = DeadlineHeap()
    var last: Instant
    private var isStopping = false

    public init(settings: ServerSettings, pool: BlockPool, random: any RandomNumberGenerator, now: Instant) {
        self.settings = settings
        self.pool = pool
        self.random = random
        last = now
        var transport = settings.transport
        // One stream more than flows: the control stream.
        transport.maximumStreams = settings.maximumFlowsPerConnection + 1
        var limits = QuicEndpoint.Limits()
        limits.connections = settings.maximumConnections
        limits.alwaysRetry = settings.alwaysRetry
        endpoint = QuicEndpoint(
            identity: settings.identity, settings: transport, resetKey: settings.resetKey, limits: limits, pool: pool,
            random: random)
    }

    // MARK: - Datagrams

    public func handleDatagram(
        _ datagram: UnsafeMutableRawBufferPointer, from remote: Endpoint, to local: Endpoint, ecn: UInt8, now: Instant
    ) {
        last = now
        let connection = endpoint.handle(
            UnsafeRawBufferPointer(datagram), from: remote, to: local, ecn: ecn, now: now)
        while let accepted = endpoint.nextAccepted() { adopt(accepted) }
        guard let connection, let session = session(of: connection) else { return }
        carryOutEvents(session)
        markDirty(session)
    }

    private func adopt(_ connection: QuicConnection) {
        let index = sessions.firstIndex { $0 == nil } ?? sessions.count
        let session = ServerSession(connection: connection, index: index)
        if index == sessions.count { sessions.append(nil) }
        sessions[index] = session
        connection.context = index
        connection.owner = self
        counters.connectionsOpen += 1
        counters.connectionsAccepted += 1
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
        while let session = dirty.last {
            if let batch = session.connection.nextBatch(into: buffer, now: now) { return batch }
            dirty.removeLast()
            session.isDirty = false
            carryOutEvents(session)
            settle(session)
        }
        return nil
    }

    /// After a connection has sent all it can: when it wants to be called next, or that it is gone.
    private func settle(_ session: ServerSession) {
        guard session.connection.state != .closed else {
            end(session, reason: "closed")
            endpoint.remove(session.connection)
            sessions[session.index] = nil
            counters.connectionsOpen -= 1
            return
        }
        if let deadline = session.connection.nextDeadline {
            deadlines.schedule(UInt32(session.index), at: deadline, scheduled: &session.scheduled)
        }
    }

    // MARK: - Time

    public var nextDeadline: Instant? { earliest(deadlines.next, dialDeadlines.next) }

    public func handleTimeout(now: Instant) {
        last = now
        while let (slot, deadline) = deadlines.popDue(now: now) {
            guard let session = sessions[Int(slot)], session.scheduled == deadline else { continue }
            session.scheduled = nil
            if let real = session.connection.nextDeadline, real <= now { session.connection.handleTimeout(now: now) }
            if case .awaitingHello(_, let until) = session.phase, until <= now { refuse(session) }
            carryOutEvents(session)
            markDirty(session)
        }
        while let (slot, _) = dialDeadlines.popDue(now: now) {
            guard let flow = flows[Int(slot)], case .dialling(let deadline) = flow.phase, deadline <= now else { continue }
            dialFailed(flow.id, .timedOut, now: now)
        }
    }

    // MARK: - The end

    /// Ends every connection in order and resets every dialled socket.
    public func stop(now: Instant) {
        last = now
        isStopping = true
        for session in sessions {
            guard let session else { continue }
            session.connection.close(
                code: TunnelErrorCode.shuttingDown.rawValue, message: "the server stops", now: now)
            end(session, reason: "the server stops")
            markDirty(session)
        }
    }

    func carryOutEvents(_ session: ServerSession) {
        while let event = session.connection.nextEvent() {
            switch event {
            case .established: established(session)
            case .closed(let reason): end(session, reason: "\(reason)")
            }
        }
    }

    private func established(_ session: ServerSession) {
        guard
            let exporter = session.connection.exportKeyingMaterial(
                label: SessionSecret.exporterLabel, context: [], count: SessionSecret.exporterSize)
        else {
            return session.connection.close(
                code: TunnelErrorCode.internalError.rawValue, message: "no exporter", now: last)
        }
        let deadline = last + settings.helloTimeout
        session.phase = .awaitingHello(SessionSecret(psk: settings.key, exporter: exporter), deadline: deadline)
        deadlines.schedule(UInt32(session.index), at: deadline, scheduled: &session.scheduled)
    }

    /// The client does not have the key, or says nothing.
    func refuse(_ session: ServerSession) {
        counters.authenticationFailures += 1
        append(.log(.authenticationFailed(session.connection.remote)))
        session.connection.close(code: TunnelErrorCode.authenticationFailed.rawValue, message: "", now: last)
        end(session, reason: "authentication failed")
    }

    /// The connection is of no more use: its sockets are reset, its flows forgotten.
    private func end(_ session: ServerSession, reason: String) {
        switch session.phase {
        case .ended: return
        case .open: append(.log(.disconnected(session.connection.remote, reason: reason)))
        case .handshaking, .awaitingHello: break
        }
        session.phase = .ended
        for index in session.flows {
            guard let flow = flows[index] else { continue }
            release(flow, reset: true)
        }
        session.flows.removeAll()
    }

    // MARK: - Actions

    func append(_ action: ServerAction) { actions.append(action) }

    public func nextAction() -> ServerAction? {
        guard actionHead < actions.count else { return nil }
        let action = actions[actionHead]
        actionHead += 1
        if actionHead == actions.count {
            actions.removeAll(keepingCapacity: true)
            actionHead = 0
        }
        return action
    }

    // MARK: - The table of flows

    func insertFlow(session: ServerSession, stream: QuicStream, sealed: FlowStream) -> OutboundFlow {
        let index = freeFlows.popLast() ?? flows.count
        if index == flows.count { flows.append(nil) }
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
        if case .dialling = flow.phase { flow.session.dials -= 1 }
        if flow.hasSocket { append(.close(flow.id, reset: reset)) }
        flow.stream.context = -1
        flow.session.flows.remove(flow.id.index)
        flows[flow.id.index] = nil
        freeFlows.append(flow.id.index)
        counters.flowsOpen -= 1
    }

    func scheduleDial(_ flow: OutboundFlow, deadline: Instant) {
        // Dial deadlines never move, so each has one entry of its own; a slot's next user is told apart by its phase.
        var none: Instant?
        dialDeadlines.schedule(UInt32(flow.id.index), at: deadline, scheduled: &none)
    }
}

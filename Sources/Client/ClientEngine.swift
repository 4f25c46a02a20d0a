import FlowNAT
import Packets
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// The client: IP packets of the TUN on one side, UDP datagrams to the server on the other. No system calls, no clock.
///
/// The way up: `handlePacket` → FlowNAT takes the segment apart → the flow's bytes are sealed straight into the send
/// queue of its stream → `nextBatch` hands out QUIC packets. The way down: `handleDatagram` → the stream's bytes are
/// opened straight into the flow's send queue → `nextPacket` hands out segments.
///
/// After every call: `nextEvent`, `nextBatch` and `nextPacket` until they have nothing more, then sleep until
/// `nextDeadline`.
public final class ClientEngine {
    enum Link {
        /// Waiting to connect.
        case down(until: Instant)
        /// The program was asked for a connection.
        case wanted
        case handshaking(QuicConnection)
        /// The hello is out.
        case greeting(QuicConnection, Session, deadline: Instant)
        case up(QuicConnection, Session)
        case stopped
    }

    /// What is agreed with the server for the life of one connection.
    struct Session {
        let secret: SessionSecret
        let control: ControlStream
        let controlStream: QuicStream
    }

    public let settings: ClientSettings
    public private(set) var counters = ClientCounters()
    /// The memory that all buffers of this engine come from.
    public let pool: BlockPool

    var nat: FlowNAT
    var link: Link
    var flows: [ClientFlow?] = []
    private var random: any RandomNumberGenerator
    private var backoff: Backoff
    private var events: [ClientEvent] = []
    private var last: Instant
    /// A connection that has ended and may still have its last packet to send.
    private var leaving: QuicConnection?

    public init(
        settings: ClientSettings, pool: BlockPool, random: any RandomNumberGenerator, now: Instant
    ) {
        self.settings = settings
        self.pool = pool
        var random = random
        nat = FlowNAT(settings: settings.flows, pool: pool, random: &random)
        self.random = random
        backoff = Backoff(first: settings.firstReconnectDelay, maximum: settings.maximumReconnectDelay)
        link = .down(until: now)
        last = now
    }

    // MARK: - The connection

    /// Begins a connection, in answer to `.connectionWanted`.
    public func connect(to remote: Endpoint, local: Endpoint, now: Instant) {
        last = now
        guard case .wanted = link else { return }
        do {
            let connection = try QuicConnection.client(
                to: remote, local: local, trust: settings.trust, settings: settings.transport, pool: pool,
                random: random, now: now)
            connection.owner = self
            link = .handshaking(connection)
            counters.connects += 1
        } catch {
            lose("\(error)", now: now)
        }
    }

    /// There was no way to begin: the name did not resolve, the socket did not open.
    public func connectFailed(_ reason: String, now: Instant) {
        last = now
        guard case .wanted = link else { return }
        lose(reason, now: now)
    }

    /// Ends everything in order: flows are reset, the server is told.
    public func stop(now: Instant) {
        last = now
        nat.abortAll()
        if let connection {
            connection.close(code: TunnelErrorCode.noError.rawValue, message: "client stops", now: now)
            leaving = connection
        }
        forgetFlows()
        link = .stopped
    }

    public var isConnected: Bool {
        if case .up = link { true } else { false }
    }

    public var connectionStatistics: ConnectionStatistics? { connection?.statistics }
    public var flowCounters: FlowCounters { nat.counters }

    var connection: QuicConnection? {
        switch link {
        case .handshaking(let connection), .greeting(let connection, _, _), .up(let connection, _): connection
        case .down, .wanted, .stopped: nil
        }
    }

    private func lose(_ reason: String, now: Instant) {
        let delay = backoff.next(random: &random)
        if let connection, connection.state != .closed { leaving = connection }
        nat.abortAll()
        counters.flowsReset += counters.flowsOpen
        forgetFlows()
        link = .down(until: now + delay)
        events.append(.disconnected(reason: reason, retryIn: delay))
    }

    private func forgetFlows() {
        flows.removeAll(keepingCapacity: true)
        counters.flowsOpen = 0
    }

    // MARK: - In

    /// A packet from the TUN.
    public func handlePacket(_ packet: UnsafeRawBufferPointer, offload: VirtioHeader, now: Instant) {
        last = now
        nat.handle(packet, offload: offload, now: now) { id, bytes in seal(bytes, of: id) }
        carryOutFlowEvents()
    }

    /// A UDP datagram from the server.
    public func handleDatagram(
        _ datagram: UnsafeMutableRawBufferPointer, from remote: Endpoint, to local: Endpoint, ecn: UInt8, now: Instant
    ) {
        last = now
        guard let connection = connection ?? leaving else { return }
        connection.handle(UnsafeRawBufferPointer(datagram), from: remote, to: local, ecn: ecn, now: now)
        carryOutConnectionEvents(now: now)
        carryOutFlowEvents()
    }

    public func handleTimeout(now: Instant) {
        last = now
        if let deadline = nat.nextDeadline, deadline <= now {
            nat.handleTimeout(now: now)
            carryOutFlowEvents()
        }
        switch link {
        case .down(let until) where until <= now:
            link = .wanted
            events.append(.connectionWanted)
        case .greeting(let connection, _, let deadline) where deadline <= now:
            connection.close(code: TunnelErrorCode.protocolViolation.rawValue, message: "no welcome", now: now)
            lose("the server did not answer the hello in time", now: now)
        case .down, .wanted, .handshaking, .greeting, .up, .stopped:
            break
        }
        for connection in [connection, leaving] {
            if let connection, let deadline = connection.nextDeadline, deadline <= now {
                connection.handleTimeout(now: now)
            }
        }
        if let leaving, leaving.state == .closed { self.leaving = nil }
        carryOutConnectionEvents(now: now)
    }

    // MARK: - Out

    public var nextDeadline: Instant? {
        var deadline = earliest(nat.nextDeadline, earliest(connection?.nextDeadline, leaving?.nextDeadline))
        switch link {
        case .down(let until): deadline = earliest(deadline, until)
        case .greeting(_, _, let until): deadline = earliest(deadline, until)
        case .wanted, .handshaking, .up, .stopped: break
        }
        return deadline
    }

    public func nextEvent() -> ClientEvent? { events.isEmpty ? nil : events.removeFirst() }

    /// The next packet for the TUN.
    public func nextPacket(into buffer: PacketBuffer, now: Instant) -> Bool { nat.nextPacket(into: buffer, now: now) }

    /// The next datagrams for the server.
    public func nextBatch(into buffer: UnsafeMutableRawBufferPointer, now: Instant) -> OutgoingBatch? {
        last = now
        if let leaving {
            if let batch = leaving.nextBatch(into: buffer, now: now) { return batch }
            if leaving.state == .closed { self.leaving = nil }
        }
        guard let connection else { return nil }
        let batch = connection.nextBatch(into: buffer, now: now)
        carryOutConnectionEvents(now: now)
        return batch
    }

    // MARK: - Flows

    private func flow(_ id: FlowID) -> ClientFlow? {
        guard id.index < flows.count, let flow = flows[id.index], flow.id == id else { return nil }
        return flow
    }

    /// Bytes of an application, next in order: into the stream at once.
    private func seal(_ bytes: UnsafeRawBufferPointer, of id: FlowID) -> Int {
        guard let flow = flow(id), !flow.isStreamOver else { return bytes.count }
        let taken = flow.sealed.seal(bytes, to: flow.stream)
        counters.bytesSealed += UInt64(taken)
        return taken
    }

    private func carryOutFlowEvents() {
        while let event = nat.nextEvent() {
            switch event {
            case .connect(let id, let addresses):
                open(id, addresses)
            case .established:
                counters.flowsConnected += 1
            case .finished(let id):
                if let flow = flow(id), let connection, !flow.isStreamOver { connection.finish(flow.stream) }
            case .drained(let id, _):
                if let flow = flow(id) { extendCredit(flow) }
            case .reset(let id):
                counters.flowsReset += 1
                if let flow = flow(id) {
                    resetStream(flow)
                    endFlow(flow)
                }
            case .closed(let id):
                if let flow = flow(id) { endFlow(flow) }
            }
        }
    }

    private func open(_ id: FlowID, _ addresses: FlowAddresses) {
        guard case .up(let connection, let session) = link, let stream = connection.openStream() else {
            counters.droppedWithoutTunnel += 1
            nat.reject(id, .silence)
            return
        }
        let sealed = FlowStream(
            secret: session.secret, stream: stream.id.rawValue, role: .client, cipher: settings.cipher, random: &random)
        let flow = ClientFlow(id: id, stream: stream, sealed: sealed)
        stream.context = id.index
        while flows.count <= id.index { flows.append(nil) }
        flows[id.index] = flow
        counters.flowsOpen += 1
        counters.flowsOpened += 1
        counters.streamsOpened += 1
        let request = FlowRequest(.connect, to: .endpoint(addresses.destination))
        if !sealed.send(message: request.encode(), to: stream) {
            nat.reject(id, .silence)
            resetStream(flow)
            endFlow(flow)
        }
    }

    private func extendCredit(_ flow: ClientFlow) {
        guard let connection, !flow.isStreamOver else { return }
        let credit = flow.sealed.newCredit(held: nat.heldBytes(flow.id))
        if credit > 0 { connection.extendCredit(on: flow.stream, by: credit) }
    }

    private func resetStream(_ flow: ClientFlow) {
        guard let connection, !flow.isStreamOver else { return }
        connection.reset(flow.stream, code: TunnelErrorCode.flowReset.rawValue)
        connection.stopReceiving(flow.stream, code: TunnelErrorCode.flowReset.rawValue)
    }

    /// The TCP side is over. The record stays until the stream is over too.
    private func endFlow(_ flow: ClientFlow) {
        guard !flow.isFlowOver else { return }
        flow.isFlowOver = true
        flows[flow.id.index] = nil
        flow.stream.context = -1
        counters.flowsOpen -= 1
    }

    /// The server cut the flow, or what it sent cannot be used.
    private func cut(_ flow: ClientFlow) {
        guard !flow.isFlowOver else { return }
        counters.flowsReset += 1
        if flow.isConnected {
            nat.abort(flow.id)
        } else {
            nat.reject(flow.id, .silence)
        }
        resetStream(flow)
        endFlow(flow)
    }

    /// The server's answer to the request.
    private func answer(_ flow: ClientFlow, _ message: [UInt8]) {
        guard let reply = try? FlowReply(parsing: message) else {
            counters.sealingFailures += 1
            return cut(flow)
        }
        guard let reason = reply.code.rejection else {
            flow.isConnected = true
            return nat.accept(flow.id)
        }
        counters.flowsRefused += 1
        nat.reject(flow.id, reason)
        resetStream(flow)
        endFlow(flow)
    }
}

extension FlowReplyCode {
    /// What the application is told; nil for success.
    var rejection: RejectReason? {
        switch self {
        case .succeeded: nil
        case .connectionRefused: .refused
        case .networkUnreachable: .networkUnreachable
        case .hostUnreachable: .hostUnreachable
        case .notAllowed, .commandNotSupported, .addressTypeNotSupported: .prohibited
        case .timedOut, .generalFailure, .tooManyFlows, .outOfResources, .shuttingDown: .silence
        }
    }
}

// MARK: - Called by the connection

extension ClientEngine: QuicConnectionOwner {
    /// The flow of a stream that still has one.
    private func flow(of stream: QuicStream) -> ClientFlow? {
        guard stream.context >= 0, stream.context < flows.count, let flow = flows[stream.context],
            flow.stream === stream
        else { return nil }
        return flow
    }

    public func connection(_ connection: QuicConnection, opened stream: QuicStream) {
        // A server opens no streams; the limit is zero, so the transport refuses them already.
        connection.reset(stream, code: TunnelErrorCode.protocolViolation.rawValue)
    }

    public func connection(
        _ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream
    ) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return receiveControl(bytes) }
        guard let flow = flow(of: stream) else {
            return connection.extendCredit(on: stream, by: bytes.count)
        }
        let before = flow.sealed.bytesOpened
        do {
            let message = try nat.withSendQueue(flow.id) { (queue: inout BlockQueue) throws(OpenError) -> [UInt8]? in
                try flow.sealed.open(bytes, into: &queue)
            }
            counters.bytesOpened += flow.sealed.bytesOpened - before
            if case .some(.some(let message)) = message { answer(flow, message) }
            if !flow.isFlowOver { extendCredit(flow) }
        } catch {
            counters.sealingFailures += 1
            cut(flow)
        }
    }

    public func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return }
        guard let flow = flow(of: stream) else { return }
        guard flow.isConnected, flow.sealed.isBetweenChunks else {
            counters.sealingFailures += 1
            return cut(flow)
        }
        nat.finish(flow.id)
    }

    public func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64) {
        if let flow = flow(of: stream) { cut(flow) }
    }

    public func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64) {
        if let flow = flow(of: stream) { cut(flow) }
    }

    public func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream) {
        guard let flow = flow(of: stream) else { return }
        let released = flow.sealed.left(count, remaining: stream.unsent)
        if released > 0 { nat.release(flow.id, released) }
    }

    public func connection(_ connection: QuicConnection, closed stream: QuicStream) {
        flow(of: stream)?.isStreamOver = true
    }

    public func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer) {}

    public func connectionCanOpenStreams(_ connection: QuicConnection) {}

    // MARK: Control

    private func carryOutConnectionEvents(now: Instant) {
        while let connection, let event = connection.nextEvent() {
            switch event {
            case .established: greet(connection, now: now)
            case .closed(let reason): lose(describe(reason), now: now)
            }
        }
    }

    private func describe(_ reason: CloseReason) -> String {
        switch reason {
        case .peerClosed(let code, true, let message):
            let text = TunnelErrorCode.describe(code)
            return "the server closed the connection: \(text)" + (message.isEmpty ? "" : " (\(message))")
        case .idleTimeout, .handshakeTimeout:
            guard case .handshaking(let connection) = link else { return "\(reason)" }
            return "the server \(connection.remote) does not answer: is the address right, does the server run, "
                + "and does no firewall drop UDP?"
        case .localClose, .peerClosed, .statelessReset, .certificateRejected, .alpnMismatch, .versionMismatch,
            .protocolError, .internalError:
            return "\(reason)"
        }
    }

    /// The handshake is complete: the session's secret, the control stream, the hello.
    private func greet(_ connection: QuicConnection, now: Instant) {
        guard
            let exporter = connection.exportKeyingMaterial(
                label: SessionSecret.exporterLabel, context: [], count: SessionSecret.exporterSize),
            let stream = connection.openStream()
        else {
            connection.close(code: TunnelErrorCode.internalError.rawValue, message: "no control stream", now: now)
            return lose("the server allows no streams", now: now)
        }
        let secret = SessionSecret(psk: settings.key, exporter: exporter)
        let control = ControlStream(secret: secret, role: .client, cipher: settings.cipher, random: &random)
        stream.context = -1
        _ = control.send(Hello(software: settings.software).encode(), to: stream)
        link = .greeting(
            connection, Session(secret: secret, control: control, controlStream: stream),
            deadline: now + settings.welcomeTimeout)
    }

    private func receiveControl(_ bytes: UnsafeRawBufferPointer) {
        let (connection, session): (QuicConnection, Session)
        switch link {
        case .greeting(let c, let s, _): (connection, session) = (c, s)
        case .up(let c, let s): (connection, session) = (c, s)
        case .down, .wanted, .handshaking, .stopped: return
        }
        connection.extendCredit(on: session.controlStream, by: bytes.count)
        do {
            try session.control.receive(bytes)
            while let message = session.control.nextMessage() { try receive(message, connection, session) }
        } catch {
            connection.close(
                code: TunnelErrorCode.sealingFailed.rawValue, message: "control stream: \(error)", now: last)
        }
    }

    private func receive(_ message: [UInt8], _ connection: QuicConnection, _ session: Session) throws {
        if case .greeting = link {
            let welcome = try Welcome(parsing: message)
            link = .up(connection, session)
            backoff.reset()
            events.append(.connected(software: welcome.software))
            return
        }
        switch try ControlMessage(parsing: message) {
        case .ping(let number):
            _ = session.control.send(ControlMessage.pong(number).encode(), to: session.controlStream)
        case .pong:
            break
        case .drain(let reason):
            events.append(.notice("the server stops soon: \(reason)"))
        case .kick(let code, let reason):
            events.append(.notice("the server ends this connection: \(TunnelErrorCode.describe(code)), \(reason)"))
        }
    }
}

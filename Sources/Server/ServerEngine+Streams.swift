import Primitives
import QuicTransport
import Sealing
import Tunnel
import Users

/// What the transport tells the engine of a client's streams.
extension ServerEngine: QuicConnectionOwner {
    /// The flow of a stream that still has one.
    private func flow(of stream: QuicStream) -> OutboundFlow? {
        guard stream.context >= 0, stream.context < flows.count, let flow = flows[stream.context],
            flow.stream === stream
        else { return nil }
        return flow
    }

    public func connection(_ connection: QuicConnection, opened stream: QuicStream) {
        stream.context = -1
        guard let session = session(of: connection) else { return }
        // The hello may come in the very datagram that completes the handshake.
        carryOutEvents(session)
        switch session.phase {
        case .exchanging where stream.id.rawValue == TunnelProtocol.controlStream:
            beginControl(session, stream)
        case .open where !hasRoomForFlow(session) || !takeFlow(session):
            counters.flowsRefusedByLimit += 1
            turnAway(stream, of: connection, .resourceLimit)
        case .open:
            guard let keys = session.control?.sealed.keys else {
                giveBackFlow(session)
                return turnAway(stream, of: connection, .internalError)
            }
            let sealed = FlowStream(keys: keys, stream: stream.id.rawValue, role: .server)
            _ = insertFlow(session: session, stream: stream, sealed: sealed)
        case .handshaking, .exchanging, .loggingIn, .ended:
            // Nobody opens a flow before the server knows who it is.
            turnAway(stream, of: connection, .protocolViolation)
        }
    }

    private func turnAway(_ stream: QuicStream, of connection: QuicConnection, _ code: TunnelErrorCode) {
        connection.reset(stream, code: code.rawValue)
        connection.stopReceiving(stream, code: code.rawValue)
    }

    public func connection(
        _ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream
    ) {
        guard let flow = flow(of: stream) else {
            connection.extendCredit(on: stream, by: bytes.count)
            if let session = controlled(by: stream, connection), let control = session.control {
                receiveControl(bytes, session, control.sealed)
            }
            return
        }
        let before = flow.sealed.bytesOpened
        do {
            let message = try flow.sealed.open(bytes, into: &flow.queue)
            counters.bytesOpened += flow.sealed.bytesOpened - before
            if let message { begin(flow, message) }
        } catch {
            counters.sealingFailures += 1
            return cut(flow, error == .outOfMemory ? .resourceLimit : .sealingFailed)
        }
        guard self.flow(of: stream) === flow else { return }
        guard mayKeep(flow) else { return cut(flow, .resourceLimit) }
        if flow.association != nil { return readRecords(flow) }
        extendCredit(flow)
        requestWrite(flow)
    }

    public func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream) {
        guard let flow = flow(of: stream) else { return controlEnded(stream, connection) }
        guard flow.sealed.isBetweenChunks else {
            counters.sealingFailures += 1
            return cut(flow, .sealingFailed)
        }
        if flow.association != nil || flow.named?.transport == .udp { return endAssociation(flow) }
        flow.clientFinished = true
        requestWrite(flow)
    }

    public func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64) {
        end(stream, of: connection)
    }

    public func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64) {
        end(stream, of: connection)
    }

    /// The client's RST.
    private func end(_ stream: QuicStream, of connection: QuicConnection) {
        guard let flow = flow(of: stream) else { return controlEnded(stream, connection) }
        counters.flowsReset += 1
        noteAbandoned(flow)
        cut(flow, .flowReset)
    }

    public func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream) {
        guard let flow = flow(of: stream), flow.isPaused, stream.unsent <= unsentLimit(of: flow.session) / 2 else {
            return
        }
        flow.isPaused = false
        append(.read(flow.id))
    }

    public func connection(_ connection: QuicConnection, closed stream: QuicStream) {
        // Both directions ended in order. What waits for the socket is still written.
    }

    public func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer) {
        guard let session = session(of: connection), case .open = session.phase else { return }
        receive(datagram: bytes, session)
    }

    public func connectionCanOpenStreams(_ connection: QuicConnection) {}

    /// Opening streams and resetting them at once costs a client nothing, and the server a dial each: no honest client does
    /// that for long.
    private func noteAbandoned(_ flow: OutboundFlow) {
        switch flow.phase {
        case .awaitingRequest, .dialling: break
        case .open, .associated, .refused: return
        }
        counters.flowsAbandoned += 1
        guard !flow.session.abandonedFlows.take(now: last) else { return }
        close(flow.session, .resourceLimit, "too many flows are given up before they are answered")
    }

    // MARK: - Requests

    private func begin(_ flow: OutboundFlow, _ message: [UInt8]) {
        let request: FlowRequest
        do {
            request = try FlowRequest(parsing: message)
        } catch {
            guard let code = error.reply else {
                counters.sealingFailures += 1
                return cut(flow, .protocolViolation)
            }
            return refuse(flow, code)
        }
        guard !isDraining else { return refuse(flow, .shuttingDown) }
        guard request.command != .icmp else { return refuse(flow, .commandNotSupported) }
        let transport: DialTransport = request.command == .udp ? .udp : .tcp
        switch request.destination {
        case .name(let name, let port): beginNamed(flow, name, port: port, transport)
        case .endpoint(let destination) where transport == .tcp: dial(flow, destination)
        case .endpoint(let destination):
            guard let keys = flow.session.control?.sealed.keys else { return }
            beginAssociation(flow, destination, keys)
        }
    }

    private func dial(_ flow: OutboundFlow, _ destination: Endpoint) {
        let verdict = verdict(on: destination, .tcp, for: flow.session)
        guard verdict.isAllowed else { return deny(flow, verdict, .endpoint(destination), .tcp) }
        dialCounters.note(verdict)
        guard beginDial(flow) else {
            counters.flowsRefusedByLimit += 1
            return refuse(flow, .tooManyFlows)
        }
        flow.hasSocket = true
        flow.destination = OutboundFlow.Destination(endpoint: destination)
        let deadline = last + settings.dialTimeout
        flow.phase = .dialling(deadline: deadline)
        scheduleDial(flow, deadline: deadline)
        counters.dials += 1
        append(.dial(flow.id, destination))
    }
}

import Primitives
import QuicTransport
import Sealing
import Tunnel

/// The connection's beginning and end, and the control stream.
extension ClientEngine {
    func carryOutConnectionEvents(now: Instant) {
        while let connection, let event = connection.nextEvent() {
            switch event {
            case .established: greet(connection, now: now)
            case .pathValidated(let local): pathValidated(from: local)
            case .pathFailed(let local): pathFailed(from: local, now: now)
            case .closed(let reason): lose(describe(reason), triesNext: hasNextAddress, now: now)
            }
        }
    }

    private var hasNextAddress: Bool {
        if case .handshaking(_, isLastAddress: false) = link { true } else { false }
    }

    private func describe(_ reason: CloseReason) -> String {
        switch reason {
        case .peerClosed(let code, true, let message):
            let text = TunnelErrorCode.describe(code)
            return "the server closed the connection: \(text)" + (message.isEmpty ? "" : " (\(message))")
        case .idleTimeout, .handshakeTimeout:
            let cause = lastSendError.map { " (sending failed: \($0))" } ?? ""
            guard case .handshaking(let connection, _) = link else { return "\(reason)\(cause)" }
            return "the server \(connection.remote) does not answer: is the address right, does the server run, "
                + "and does no firewall drop UDP?\(cause)"
        case .localClose, .peerClosed, .statelessReset, .certificateRejected, .alpnMismatch, .versionMismatch,
            .protocolError, .limitExceeded, .internalError:
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
            close(connection, .internalError, "no control stream")
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

    func receiveControl(_ bytes: UnsafeRawBufferPointer) {
        let (connection, session): (QuicConnection, Session)
        switch link {
        case .greeting(let c, let s, _): (connection, session) = (c, s)
        case .up(let c, let s): (connection, session) = (c, s)
        case .down, .wanted, .handshaking, .stopped: return
        }
        connection.extendCredit(on: session.controlStream, by: bytes.count)
        do throws(OpenError) {
            try session.control.receive(bytes)
        } catch {
            return close(connection, .sealingFailed, "control stream: \(error)")
        }
        while let message = session.control.nextMessage() {
            do throws(MessageError) {
                try receive(message, connection, session)
            } catch {
                return close(connection, .protocolViolation, "control stream: \(error)")
            }
        }
    }

    private func receive(
        _ message: [UInt8], _ connection: QuicConnection, _ session: Session
    ) throws(MessageError) {
        if case .greeting = link {
            let welcome = try Welcome(parsing: message)
            link = .up(connection, session)
            backoff.reset()
            events.append(.connected(software: welcome.software))
            return
        }
        switch try ControlMessage.known(message) {
        case .ping(let number):
            answer(ping: number, connection, session)
        case .drain(let reason):
            isServerDraining = true
            events.append(.notice("the server stops soon: \(reason)"))
        case .kick(let code, let reason):
            events.append(.notice("the server ends this connection: \(TunnelErrorCode.describe(code)), \(reason)"))
        case .pong, nil:
            break
        }
    }

    private func answer(ping number: UInt64, _ connection: QuicConnection, _ session: Session) {
        let stream = session.controlStream
        // A server that asks and never reads the answers would fill our memory.
        guard stream.buffered <= ControlStream.maximumBacklog,
            session.control.send(ControlMessage.pong(number).encode(), to: stream)
        else {
            return close(connection, .resourceLimit, "control stream: too many answers wait to be read")
        }
    }

    /// A connection without its control stream cannot be told anything any more.
    func controlEnded(_ connection: QuicConnection) {
        close(connection, .protocolViolation, "the control stream has ended")
    }

    func close(_ connection: QuicConnection, _ code: TunnelErrorCode, _ message: String) {
        connection.close(code: code.rawValue, message: message, now: last)
    }
}

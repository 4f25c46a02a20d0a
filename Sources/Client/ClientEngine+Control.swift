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
            // With a message it is about something else, such as the client's certificate.
            if code == TunnelErrorCode.authenticationFailed.rawValue, message.isEmpty, case .greeting = link {
                return "the server refused the key exchange: is 'server-key' the key of this server?"
            }
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

    /// The handshake is complete: the control stream, and on it the key exchange.
    private func greet(_ connection: QuicConnection, now: Instant) {
        guard
            let exporter = connection.exportKeyingMaterial(
                label: KeyExchangeBinding.exporterLabel, context: [], count: KeyExchangeBinding.exporterSize),
            let stream = connection.openStream()
        else {
            close(connection, .internalError, "no control stream")
            return lose("the server allows no streams", now: now)
        }
        // A generator that is a value would give its copy the numbers that come here next.
        let copy = random
        _ = random.next()
        let control = ControlStream(
            client: settings.keyPair, server: settings.serverKey, cipher: settings.cipher, exporter: exporter,
            random: copy)
        stream.context = -1
        do throws(ControlError) {
            _ = try control.start(to: stream)
        } catch {
            close(connection, .internalError, "no key exchange")
            return lose("'server-key' cannot be used: \(error)", now: now)
        }
        link = .greeting(
            connection, Greeting(control: control, controlStream: stream), deadline: now + settings.welcomeTimeout)
    }

    func receiveControl(_ bytes: UnsafeRawBufferPointer) {
        let (connection, control, stream): (QuicConnection, ControlStream, QuicStream)
        switch link {
        case .greeting(let c, let greeting, _):
            (connection, control, stream) = (c, greeting.control, greeting.controlStream)
        case .up(let c, let session): (connection, control, stream) = (c, session.control, session.controlStream)
        case .down, .wanted, .handshaking, .stopped: return
        }
        connection.extendCredit(on: stream, by: bytes.count)
        do throws(ControlError) {
            try control.receive(bytes, answeringTo: stream)
        } catch {
            return fail(connection, error)
        }
        sayHelloIfDue()
        while let message = control.nextMessage() {
            do throws(MessageError) {
                try receive(message)
            } catch {
                return close(connection, .protocolViolation, "control stream: \(error)")
            }
        }
    }

    private func fail(_ connection: QuicConnection, _ error: ControlError) {
        guard case .keyExchange = error else {
            return close(connection, .sealingFailed, "control stream: \(error)")
        }
        // Only who has the private key of 'server-key' can answer.
        close(connection, .authenticationFailed, "")
        lose("the server does not have the key that 'server-key' names: \(error)", now: last)
    }

    /// The server has proved its key: now it may know who wants to come in.
    private func sayHelloIfDue() {
        guard case .greeting(let connection, var greeting, let deadline) = link, greeting.control.keys != nil,
            !greeting.hasSaidHello
        else { return }
        greeting.hasSaidHello = true
        link = .greeting(connection, greeting, deadline: deadline)
        var hello = Hello(software: settings.software, user: settings.user).encode()
        defer { SecretBytes.wipe(&hello) }
        guard greeting.control.send(hello, to: greeting.controlStream) else {
            return close(connection, .internalError, "no memory")
        }
    }

    private func receive(_ message: [UInt8]) throws(MessageError) {
        switch link {
        case .greeting(let connection, let greeting, _):
            switch try LoginAnswer(parsing: message) {
            case .welcome(let welcome): enter(connection, greeting, welcome)
            case .denied(let refusal): leave(connection, refusal)
            }
        case .up(let connection, let session):
            switch try ControlMessage.known(message) {
            case .ping(let number):
                say(.pong(number), connection, session)
            case .drain(let reason):
                isServerDraining = true
                events.append(.notice("the server stops soon: \(reason)"))
            case .kick(let code, let reason):
                events.append(
                    .notice("the server ends this connection: \(TunnelErrorCode.describe(code)), \(reason)"))
            case .rekeyAnswer(let message):
                finishRekey(message)
            case .pong, .denied, .rekey, .rekeyDone, nil:
                break
            }
        case .down, .wanted, .handshaking, .stopped:
            break
        }
    }

    private func enter(_ connection: QuicConnection, _ greeting: Greeting, _ welcome: Welcome) {
        guard let keys = greeting.control.keys else { return }
        link = .up(
            connection, Session(keys: keys, control: greeting.control, controlStream: greeting.controlStream))
        rekeys = RekeySchedule(now: last, settings: settings)
        backoff.reset()
        events.append(.connected(software: welcome.software))
    }

    /// The server does not let this client in. It is asked again, but not so often that it would have to defend itself.
    private func leave(_ connection: QuicConnection, _ refusal: LoginRefusal) {
        counters.loginsRefused += 1
        close(connection, .noError, "")
        let pause: Interval =
            switch refusal {
            case .wrongCredentials, .expired, .disabled, .quotaSpent: settings.refusedLoginRetry
            case .tooManySessions, .unknown: settings.busyLoginRetry
            // A server that asks for more than anybody would wait for is asked earlier.
            case .tryLater(let seconds): min(.seconds(Int64(seconds)), settings.refusedLoginRetry)
            }
        lose("\(refusal)", pause: pause, now: last)
    }

    /// Sends a message, if the server reads what it is sent.
    func say(_ message: ControlMessage, _ connection: QuicConnection, _ session: Session) {
        let stream = session.controlStream
        // A server that asks and never reads the answers would fill our memory.
        guard stream.buffered <= ControlStream.maximumBacklog, session.control.send(message.encode(), to: stream)
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

import Primitives
import QuicTransport
import Sealing
import Tunnel

/// The control stream: key exchange, hello and welcome, then sealed messages.
extension ServerEngine {
    /// The session whose control stream this is.
    func controlled(by stream: QuicStream, _ connection: QuicConnection) -> ServerSession? {
        guard let session = session(of: connection), session.control?.stream === stream else { return nil }
        return session
    }

    /// The client has opened its first stream.
    func beginControl(_ session: ServerSession, _ stream: QuicStream) {
        guard
            let exporter = session.connection.exportKeyingMaterial(
                label: KeyExchangeBinding.exporterLabel, context: [], count: KeyExchangeBinding.exporterSize)
        else {
            return close(session, .internalError, "no exporter")
        }
        // A generator that is a value would give its copy the numbers that come here next.
        let copy = random
        _ = random.next()
        session.control = (
            stream,
            ControlStream(server: settings.keyPair, ciphers: settings.ciphers, exporter: exporter, random: copy)
        )
    }

    func receiveControl(_ bytes: UnsafeRawBufferPointer, _ session: ServerSession, _ control: ControlStream) {
        guard let stream = session.control?.stream else { return }
        do throws(ControlError) {
            try control.receive(bytes, answeringTo: stream)
        } catch {
            return fail(session, error)
        }
        markDirty(session)
        do throws(MessageError) {
            // The hello has the password in it, also where it makes no sense.
            while try control.withNextMessage({ message throws(MessageError) in
                try receive(message, session, control)
            }) {}
        } catch {
            close(session, .protocolViolation, "control stream: \(error)")
        }
    }

    private func fail(_ session: ServerSession, _ error: ControlError) {
        switch session.phase {
        case .exchanging:
            guard case .suiteNotAllowed = error else { return failAuthentication(session) }
            close(session, .suiteNotAllowed, "")
        case .handshaking, .loggingIn, .open, .ended:
            counters.sealingFailures += 1
            close(session, .sealingFailed, "control stream: \(error)")
        }
    }

    private func receive(
        _ message: [UInt8], _ session: ServerSession, _ control: ControlStream
    ) throws(MessageError) {
        switch session.phase {
        case .exchanging:
            let hello = try Hello(parsing: message)
            guard let key = control.clientKey else { return }
            logIn(session, hello, key: key)
        case .loggingIn, .open:
            switch try ControlMessage.known(message) {
            case .ping(let number): reply(ControlMessage.pong(number).encode(), session, control)
            case .rekey(let message): answerRekey(message, session, control)
            // The client's stream has moved on with this message; so does ours.
            case .rekeyDone: reply(ControlMessage.rekeyDone.encode(), session, control)
            case .pong, .drain, .kick, .denied, .rekeyAnswer, nil: break
            }
        case .handshaking, .ended:
            break
        }
    }

    /// The client wants fresh keys.
    private func answerRekey(_ message: [UInt8], _ session: ServerSession, _ control: ControlStream) {
        guard session.rekeys.take(now: last) else {
            return close(session, .resourceLimit, "too many key exchanges")
        }
        do throws(ControlError) {
            let answer = try control.answerRekey(message)
            counters.rekeys += 1
            session.wipeOldKeys = last + settings.oldKeyTime
            reply(answer.encode(), session, control)
        } catch {
            close(session, .protocolViolation, "control stream: \(error)")
        }
    }

    /// What was on its way when the keys changed has come by now, or never will.
    func wipeOldKeysIfDue(_ session: ServerSession) {
        guard let due = session.wipeOldKeys, due <= last, let keys = session.control?.sealed.keys else { return }
        keys.wipeOld()
        // Where streams have yet to move on, a former one is still needed.
        session.wipeOldKeys = keys.count > 1 ? last + settings.oldKeyTime : nil
    }

    /// Sends a control message that answers none.
    func tell(_ session: ServerSession, _ message: ControlMessage) {
        guard let control = session.control else { return }
        reply(message.encode(), session, control.sealed)
    }

    func reply(_ message: [UInt8], _ session: ServerSession, _ control: ControlStream) {
        guard let stream = session.control?.stream else { return }
        // A client that asks and never reads the answers would fill our memory.
        guard stream.buffered <= ControlStream.maximumBacklog, control.send(message, to: stream) else {
            return close(session, .resourceLimit, "control stream: too many answers wait to be read")
        }
    }

    /// A connection without its control stream could not be told anything any more.
    func controlEnded(_ stream: QuicStream, _ connection: QuicConnection) {
        guard let session = controlled(by: stream, connection) else { return }
        close(session, .protocolViolation, "the control stream has ended")
    }
}

import Primitives
import QuicTransport
import Sealing
import Tunnel

/// The control stream: hello and welcome, then sealed messages.
extension ServerEngine {
    /// The session whose control stream this is.
    func controlled(by stream: QuicStream, _ connection: QuicConnection) -> ServerSession? {
        guard let session = session(of: connection), session.control?.stream === stream else { return nil }
        return session
    }

    func receiveControl(_ bytes: UnsafeRawBufferPointer, _ session: ServerSession, _ control: ControlStream) {
        do throws(OpenError) {
            try control.receive(bytes)
        } catch {
            if session.helloDeadline != nil { return refuse(session) }
            return close(session, .sealingFailed, "control stream: \(error)")
        }
        while let message = control.nextMessage() {
            do throws(MessageError) {
                try receive(message, session, control)
            } catch {
                return close(session, .protocolViolation, "control stream: \(error)")
            }
        }
    }

    private func receive(
        _ message: [UInt8], _ session: ServerSession, _ control: ControlStream
    ) throws(MessageError) {
        switch session.phase {
        case .awaitingHello(let secret, _):
            let hello = try Hello(parsing: message)
            session.phase = .open(secret)
            let welcome = Welcome(
                maximumFlows: UInt32(clamping: settings.maximumFlowsPerConnection), software: settings.software)
            reply(welcome.encode(), session, control)
            append(.log(.connected(session.connection.remote, software: hello.software)))
        case .open:
            switch try ControlMessage.known(message) {
            case .ping(let number): reply(ControlMessage.pong(number).encode(), session, control)
            case .pong, .drain, .kick, nil: break
            }
        case .handshaking, .ended:
            break
        }
    }

    /// Sends a control message that answers none.
    func tell(_ session: ServerSession, _ message: ControlMessage) {
        guard let control = session.control else { return }
        reply(message.encode(), session, control.sealed)
    }

    private func reply(_ message: [UInt8], _ session: ServerSession, _ control: ControlStream) {
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

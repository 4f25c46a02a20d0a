import LinuxIO
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// A server that has every key, and still sends what the real client must not believe.
///
/// The first two connections get bad answers to their key exchange, so that the client has to come a third time. From then on each
/// flow is served as the port of its destination says (`Trick`), and dials nobody: lines come back as they are.
final class HostileServer: Party, QuicConnectionOwner {
    private final class Client {
        let connection: QuicConnection
        let number: Int
        var control: ControlStream?
        var controlStream: QuicStream?
        var isWelcome = false
        var flows: [Int64: ServedFlow] = [:]

        init(_ connection: QuicConnection, number: Int) {
            self.connection = connection
            self.number = number
        }
    }

    private let options: ServeOptions
    private let listener: Listener
    private var clients: [Client] = []
    /// The honest answer to the first key exchange, which the second one gets again.
    private var recordedAnswer: [UInt8] = []
    private let recording = Recording()

    init(_ options: ServeOptions) throws(Failure) {
        self.options = options
        listener = try Listener(options.listener)
    }

    // MARK: - Party

    var descriptor: Int32 { listener.descriptor }
    var nextDeadline: Instant? { listener.nextDeadline }

    func read() {
        listener.read { connection in
            connection.owner = self
            connection.context = clients.count
            clients.append(Client(connection, number: clients.count))
        }
    }

    func flush() { listener.flush() }

    func close() {}

    // MARK: - The control stream

    private func client(of connection: QuicConnection) -> Client { clients[connection.context] }

    private func beginControl(_ client: Client, _ stream: QuicStream) {
        guard
            let exporter = client.connection.exportKeyingMaterial(
                label: KeyExchangeBinding.exporterLabel, context: [], count: KeyExchangeBinding.exporterSize)
        else { return }
        client.controlStream = stream
        client.control = ControlStream(
            server: options.keyPair, ciphers: Cipher.allCases, exporter: exporter, random: SystemRandom())
    }

    private func receiveControl(_ bytes: UnsafeRawBufferPointer, _ client: Client, _ stream: QuicStream) {
        guard let control = client.control else { return }
        let answer = SealedBytes()
        guard (try? control.receive(bytes, answeringTo: answer)) != nil else { return }
        if !answer.bytes.isEmpty { stream.append(handshakeAnswer(answer.bytes, to: client)) }
        while let message = control.nextMessage() {
            if client.isWelcome {
                guard case .ping(let number)? = try? ControlMessage(parsing: message) else { continue }
                _ = control.send(ControlMessage.pong(number).encode(), to: stream)
            } else {
                client.isWelcome = true
                _ = control.send(Welcome(maximumFlows: 256, software: "hostile-client").encode(), to: stream)
            }
        }
    }

    /// Length (2 bytes), ephemeral key (32), and the tag of an empty payload (16).
    private func handshakeAnswer(_ honest: [UInt8], to client: Client) -> [UInt8] {
        switch client.number {
        case 0:
            recordedAnswer = honest
            return honest.changed(at: honest.count - 1)
        case 1: return recordedAnswer
        default: return honest
        }
    }

    // MARK: - QuicConnectionOwner

    func connection(_ connection: QuicConnection, opened stream: QuicStream) {
        let client = client(of: connection)
        guard let control = client.control else { return beginControl(client, stream) }
        guard let keys = control.keys else { return }
        client.flows[stream.id.rawValue] = ServedFlow(
            connection, stream, keys: keys, pool: listener.pool, recording: recording)
    }

    func connection(_ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream) {
        let client = client(of: connection)
        connection.extendCredit(on: stream, by: bytes.count)
        if client.controlStream === stream { return receiveControl(bytes, client, stream) }
        client.flows[stream.id.rawValue]?.receive(bytes)
    }

    func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer) {
        guard let stream = DatagramFormat.stream(of: bytes) else { return }
        client(of: connection).flows[stream]?.receive(datagram: bytes)
    }

    /// The application has closed: so does the destination.
    func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream) { connection.finish(stream) }

    func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64) {}
    func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64) {}
    func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream) {}
    func connection(_ connection: QuicConnection, closed stream: QuicStream) {}
    func connectionCanOpenStreams(_ connection: QuicConnection) {}
}

import LinuxIO
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// The honest client's side of a connection, step by step, so that an attack can take over between any two of them.
final class Session {
    let link: Connection
    let controlStream: QuicStream
    let control: ControlStream
    let pool: BlockPool
    /// The suite and the first message of Noise, as they are sent.
    let keyExchange: [UInt8]
    private let network: Network
    private var taken = 0

    /// Has the QUIC connection up, and the first message made; nothing of it is sent.
    init(_ options: AttackOptions, network: Network, pool: BlockPool) throws(Failure) {
        let link = try Connection(options.server, pool: pool)
        network.add(link)
        try network.need("the QUIC handshake") { link.isEstablished || link.closed != nil }
        guard link.closed == nil,
            let exporter = link.connection.exportKeyingMaterial(
                label: KeyExchangeBinding.exporterLabel, context: [], count: KeyExchangeBinding.exporterSize)
        else { throw .trouble("no QUIC connection: \(link.closed.map(String.init(describing:)) ?? "no exporter")") }
        self.link = link
        self.network = network
        self.pool = pool
        controlStream = try link.openStream()
        control = ControlStream(
            client: options.keyPair, server: options.serverKey, cipher: options.cipher, exporter: exporter,
            random: SystemRandom())
        let first = SealedBytes()
        do throws(ControlError) {
            _ = try control.start(to: first)
        } catch {
            throw .trouble("\(error)")
        }
        keyExchange = first.bytes
    }

    // MARK: - Logging in

    func logIn() throws(Failure) {
        try exchangeKeys()
        try write(try sealedHello())
        try awaitWelcome()
    }

    func exchangeKeys() throws(Failure) {
        try write(keyExchange)
        try network.need("the server's answer to the key exchange") { () throws(Failure) in
            try take()
            return control.keys != nil
        }
    }

    /// The login, to be sent after the key exchange.
    func sealedHello() throws(Failure) -> [UInt8] { try sealed(Hello(software: "hostile-client").encode()) }

    func awaitWelcome() throws(Failure) {
        let message = try nextMessage("the welcome")
        guard case .welcome? = try? LoginAnswer(parsing: message) else {
            throw .trouble("the server refused the login")
        }
    }

    // MARK: - The control stream

    func write(_ bytes: [UInt8]) throws(Failure) { try link.write(bytes, on: controlStream) }

    /// A control message as the next chunk, not sent.
    func sealed(_ message: [UInt8]) throws(Failure) -> [UInt8] {
        let output = SealedBytes()
        guard control.send(message, to: output) else { throw .trouble("a control message could not be sealed") }
        return output.bytes
    }

    func nextMessage(_ what: String) throws(Failure) -> [UInt8] {
        var message: [UInt8]?
        try network.need(what) { () throws(Failure) in
            try take()
            message = control.nextMessage()
            return message != nil
        }
        return message!
    }

    // MARK: - Rekeying

    /// The message that asks for fresh keys, not sealed.
    func beginRekey() throws(Failure) -> [UInt8] {
        do throws(ControlError) {
            return try control.beginRekey().encode()
        } catch {
            throw .trouble("\(error)")
        }
    }

    /// Has fresh keys made in order. Returns the message that asked for them, not sealed.
    func rekey() throws(Failure) -> [UInt8] {
        let rekey = try beginRekey()
        try write(try sealed(rekey))
        guard case .rekeyAnswer(let answer)? = try? ControlMessage(parsing: try nextMessage("the rekey answer")) else {
            throw .trouble("the server did not answer with fresh keys")
        }
        let done: ControlMessage
        do throws(ControlError) {
            done = try control.finishRekey(answer)
        } catch {
            throw .trouble("\(error)")
        }
        try write(try sealed(done.encode()))
        guard case .rekeyDone? = try? ControlMessage(parsing: try nextMessage("the end of the rekey")) else {
            throw .trouble("the server did not end the rekey")
        }
        return rekey
    }

    private func take() throws(Failure) {
        if let closed = link.closed { throw .trouble("the connection is over: \(closed)") }
        let arrived = link.arrivals(on: controlStream).bytes
        let new = arrived[taken...]
        taken = arrived.count
        guard !new.isEmpty else { return }
        do throws(ControlError) {
            try new.withUnsafeBytesTyped { (bytes) throws(ControlError) in
                try control.receive(bytes, answeringTo: controlStream)
            }
        } catch {
            throw .trouble("the server's control stream: \(error)")
        }
    }

    // MARK: - Flows

    var keys: SessionKeys { control.keys! }
}

extension ArraySlice<UInt8> {
    /// `withUnsafeBytes` for bodies with a typed error.
    func withUnsafeBytesTyped<E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Void) throws(E) {
        let result = withUnsafeBytes { bytes in
            Result { () throws(E) in try body(bytes) }
        }
        try result.get()
    }
}

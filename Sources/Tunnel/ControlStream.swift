import Primitives
import Sealing

/// Why nothing more of a control stream can be read. The connection ends.
public enum ControlError: Error, Equatable, Sendable {
    /// A suite that is unknown, or that the server does not take.
    case suiteNotAllowed(UInt8)
    /// The key exchange has failed: the other end has another key, or is another than it says.
    case keyExchange(NoiseError)
    /// A message of the key exchange of so many bytes.
    case badLength(Int)
    /// The other end did not behave: a second key exchange at the wrong time, or with another key.
    case unexpectedKeyExchange
    case sealed(OpenError)
}

extension ControlError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .suiteNotAllowed(let suite): "cipher suite \(suite) is not allowed"
        case .keyExchange(let error): "\(error)"
        case .badLength(let length): "a key exchange message of \(length) bytes"
        case .unexpectedKeyExchange: "a key exchange that was not due"
        case .sealed(let error): "\(error)"
        }
    }
}

/// The control stream at one end: the key exchange first, then sealed chunks, each of them one message.
public final class ControlStream {
    /// Sealed bytes of this end's messages that may wait for the peer before the connection is given up: a peer that
    /// sends pings and reads no pongs must not fill our memory.
    public static let maximumBacklog = 64 << 10

    private enum Side {
        case client(KeyPair, server: PublicKey, Cipher, ClientKeyExchange?)
        case server(KeyPair, [Cipher])
    }

    private struct Sealed {
        let keys: SessionKeys
        let sealer: ChunkSealer
        let opener: MessageOpener
    }

    private var side: Side
    private let binding: KeyExchangeBinding
    private var random: any RandomNumberGenerator
    private var frame: KeyExchangeFrame
    private var sealed: Sealed?
    /// The client's static key, which it has proved to own. At the server, once the key exchange is over.
    public private(set) var clientKey: PublicKey?

    /// The client's end.
    /// - Parameter exporter: the TLS exporter value of the connection; see `KeyExchangeBinding`.
    public init(
        client own: KeyPair, server: PublicKey, cipher: Cipher, exporter: [UInt8], random: any RandomNumberGenerator
    ) {
        side = .client(own, server: server, cipher, nil)
        binding = KeyExchangeBinding(exporter: exporter)
        self.random = random
        frame = KeyExchangeFrame(hasSuite: false)
    }

    /// The server's end.
    /// - Parameter ciphers: those that it takes.
    public init(server own: KeyPair, ciphers: [Cipher], exporter: [UInt8], random: any RandomNumberGenerator) {
        side = .server(own, ciphers)
        binding = KeyExchangeBinding(exporter: exporter)
        self.random = random
        frame = KeyExchangeFrame(hasSuite: true)
    }

    /// The keys of the connection, once the key exchange is over.
    public var keys: SessionKeys? { sealed?.keys }

    // MARK: - The key exchange

    /// The client's first words. False when there is no memory.
    public func start(to output: some ByteOutput) throws(ControlError) -> Bool {
        guard case .client(let own, let server, let cipher, nil) = side else { throw .unexpectedKeyExchange }
        let exchange = try exchange(own, server, cipher, binding)
        side = .client(own, server: server, cipher, exchange)
        return Self.write(KeyExchangeFrame.encode(exchange.message, suite: cipher.suite), to: output)
    }

    private func exchange(
        _ own: KeyPair, _ server: PublicKey, _ cipher: Cipher, _ binding: KeyExchangeBinding
    ) throws(ControlError) -> ClientKeyExchange {
        do throws(NoiseError) {
            return try ClientKeyExchange(own, server: server, cipher: cipher, binding: binding, random: &random)
        } catch {
            throw .keyExchange(error)
        }
    }

    /// A whole message of the first key exchange has come.
    /// - Returns: what is to be said in answer.
    private func handle(_ message: [UInt8], suite: UInt8) throws(ControlError) -> [UInt8]? {
        switch side {
        case .client(let own, let server, let cipher, let exchange):
            guard let exchange else { throw .unexpectedKeyExchange }
            side = .client(own, server: server, cipher, nil)
            begin(try finish(exchange, message), cipher, .client)
            return nil
        case .server(let own, let ciphers):
            guard let cipher = Cipher(suite: suite), ciphers.contains(cipher) else { throw .suiteNotAllowed(suite) }
            let result = try answer(message, own, cipher, binding)
            clientKey = result.client
            begin(result.secret, cipher, .server)
            return KeyExchangeFrame.encode(result.message, suite: nil)
        }
    }

    private func finish(_ exchange: ClientKeyExchange, _ answer: [UInt8]) throws(ControlError) -> SessionSecret {
        do throws(NoiseError) {
            return try exchange.finish(answer)
        } catch {
            throw .keyExchange(error)
        }
    }

    private func answer(
        _ message: [UInt8], _ own: KeyPair, _ cipher: Cipher, _ binding: KeyExchangeBinding
    ) throws(ControlError) -> ServerKeyExchange.Result {
        do throws(NoiseError) {
            return try ServerKeyExchange.answer(message, own, cipher: cipher, binding: binding, random: &random)
        } catch {
            throw .keyExchange(error)
        }
    }

    private func begin(_ secret: SessionSecret, _ cipher: Cipher, _ role: Role) {
        // A generator that is a value would give its copy the numbers that come here next.
        let copy = random
        _ = random.next()
        let keys = SessionKeys(secret, cipher: cipher, random: copy)
        let stream = TunnelProtocol.controlStream
        sealed = Sealed(
            keys: keys, sealer: ChunkSealer(keys: keys, direction: role.sending, stream: stream),
            opener: MessageOpener(keys: keys, direction: role.receiving, stream: stream))
    }

    // MARK: - Messages

    /// Seals one message. False when there is no memory, or no key yet.
    public func send(_ message: [UInt8], to output: some ByteOutput) -> Bool {
        guard let sealer = sealed?.sealer, let room = output.space(minimum: sealer.sealedSize(message.count)) else {
            return false
        }
        output.commit(message.withUnsafeBytes { sealer.seal($0, into: room) })
        return true
    }

    /// Takes all of `bytes`. After an error the stream is of no more use.
    /// - Parameter output: where the key exchange is answered.
    public func receive(_ bytes: UnsafeRawBufferPointer, answeringTo output: some ByteOutput) throws(ControlError) {
        var rest = bytes
        if sealed == nil {
            guard let message = try frame.take(&rest) else { return }
            let answer = try handle(message, suite: frame.suite)
            // An answer of some fifty bytes on a fresh stream: without memory for that, nothing else can be done either.
            if let answer, !Self.write(answer, to: output) { throw .sealed(.outOfMemory) }
        }
        guard let opener = sealed?.opener, !rest.isEmpty else { return }
        do throws(OpenError) {
            try opener.open(rest)
        } catch {
            throw .sealed(error)
        }
    }

    /// The oldest message not yet taken; the caller's to wipe.
    public func nextMessage() -> [UInt8]? { sealed?.opener.nextMessage() }

    /// See `MessageOpener.withNextMessage`.
    public func withNextMessage<Failure: Error>(_ body: ([UInt8]) throws(Failure) -> Void) throws(Failure) -> Bool {
        try sealed?.opener.withNextMessage(body) ?? false
    }

    /// Messages that were overwritten after use.
    public var messagesWiped: Int { sealed?.opener.wiped ?? 0 }

    private static func write(_ bytes: [UInt8], to output: some ByteOutput) -> Bool {
        guard let room = output.space(minimum: bytes.count) else { return false }
        room.copyBytes(from: bytes)
        output.commit(bytes.count)
        return true
    }

    // MARK: - Rekeying

    /// A key exchange of the client's is under way.
    public var isRekeying: Bool {
        if case .client(_, _, _, .some) = side { true } else { false }
    }

    /// Begins another key exchange, for the next epoch. At the client, when the one before is over.
    public func beginRekey() throws(ControlError) -> ControlMessage {
        guard let keys, case .client(let own, let server, let cipher, nil) = side else { throw .unexpectedKeyExchange }
        let exchange = try exchange(own, server, cipher, binding.next(after: keys))
        side = .client(own, server: server, cipher, exchange)
        return .rekey(exchange.message)
    }

    /// Answers the client's. The keys have the next epoch then; this end seals under it once the client has.
    public func answerRekey(_ message: [UInt8]) throws(ControlError) -> ControlMessage {
        guard let keys, case .server(let own, _) = side, keys.sending == keys.newest else {
            throw .unexpectedKeyExchange
        }
        let result = try answer(message, own, keys.cipher, binding.next(after: keys))
        // Who was let in stays who it is.
        guard result.client == clientKey else { throw .unexpectedKeyExchange }
        keys.add(result.secret, isShared: false)
        return .rekeyAnswer(result.message)
    }

    /// Ends what `beginRekey` began.
    /// - Returns: what is to be told to the server, so that it begins to seal under the next epoch, too.
    public func finishRekey(_ message: [UInt8]) throws(ControlError) -> ControlMessage {
        guard let keys, case .client(let own, let server, let cipher, let exchange?) = side else {
            throw .unexpectedKeyExchange
        }
        side = .client(own, server: server, cipher, nil)
        keys.add(try finish(exchange, message), isShared: true)
        return .rekeyDone
    }
}

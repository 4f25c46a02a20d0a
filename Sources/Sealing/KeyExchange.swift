/// What a key exchange is bound to: bytes that both ends have and nobody can bring about elsewhere. A message that was
/// recorded, or is relayed by a man in the middle, does not open under another binding.
public struct KeyExchangeBinding: Sendable {
    /// The label and length of the TLS exporter value (RFC 8446, section 7.5) that names the connection.
    public static let exporterLabel = "EXPORTER-penstock-session"
    public static let exporterSize = 32

    private let exporter: [UInt8]
    private var rekeyed: (epoch: UInt64, hash: [UInt8])?

    /// - Parameter exporter: 32 bytes of the TLS exporter with `exporterLabel` and an empty context.
    public init(exporter: [UInt8]) {
        precondition(exporter.count == Self.exporterSize, "the TLS exporter value has 32 bytes")
        self.exporter = exporter
    }

    /// The binding of the exchange that makes the epoch after the newest of `keys`.
    public func next(after keys: SessionKeys) -> KeyExchangeBinding {
        var binding = self
        binding.rekeyed = (keys.newest + 1, keys.newestSecret.handshakeHash)
        return binding
    }

    func prologue(_ cipher: Cipher) -> [UInt8] {
        var bytes = Array((rekeyed == nil ? "penstock handshake v2" : "penstock rekey v2").utf8)
        bytes.append(cipher.suite)
        bytes += exporter
        if let rekeyed {
            withUnsafeBytes(of: rekeyed.epoch.bigEndian) { bytes.append(contentsOf: $0) }
            bytes += rekeyed.hash
        }
        return bytes
    }
}

extension Cipher {
    /// The byte that names the cipher, and with it the whole suite, on the wire.
    public var suite: UInt8 {
        switch self {
        case .aes256gcm: 1
        case .chacha20poly1305: 2
        }
    }

    public init?(suite: UInt8) {
        guard let cipher = Self.allCases.first(where: { $0.suite == suite }) else { return nil }
        self = cipher
    }
}

/// The client's end of a key exchange: Noise IK, two messages.
public struct ClientKeyExchange {
    /// The first message.
    public let message: [UInt8]
    private var handshake: HandshakeState

    /// - Parameters:
    ///   - random: makes the ephemeral key; the system's generator anywhere but in tests.
    /// - Throws: `weakKey` where the server's key has small order.
    public init(
        _ own: KeyPair, server: PublicKey, cipher: Cipher, binding: KeyExchangeBinding,
        random: inout some RandomNumberGenerator
    ) throws(NoiseError) {
        handshake = HandshakeState(
            cipher: cipher, role: .initiator, prologue: binding.prologue(cipher), ownStatic: own, remoteStatic: server)
        message = try handshake.write([], random: &random)
    }

    /// What both ends now share. Only who has the server's private key can have made `answer`.
    public consuming func finish(_ answer: [UInt8]) throws(NoiseError) -> SessionSecret {
        _ = try handshake.read(answer)
        return SessionSecret(handshake)
    }
}

/// The server's end of a key exchange.
public enum ServerKeyExchange {
    public struct Result {
        /// The second message.
        public let message: [UInt8]
        public let secret: SessionSecret
        /// The client's static key, which the client has proved to own; whether it may come in is another question.
        public let client: PublicKey
    }

    public static func answer(
        _ message: [UInt8], _ own: KeyPair, cipher: Cipher, binding: KeyExchangeBinding,
        random: inout some RandomNumberGenerator
    ) throws(NoiseError) -> Result {
        var handshake = HandshakeState(
            cipher: cipher, role: .responder, prologue: binding.prologue(cipher), ownStatic: own)
        _ = try handshake.read(message)
        guard let client = handshake.remoteStatic else { preconditionFailure("IK tells the initiator's key") }
        let answer = try handshake.write([], random: &random)
        return Result(message: answer, secret: SessionSecret(handshake), client: client)
    }
}

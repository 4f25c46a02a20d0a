/// One end of a Noise handshake (Noise Protocol Framework, revision 34, section 5.3) with 25519 and SHA-256.
///
/// The ends call `write` and `read` in turns, the initiator beginning with `write`, until `isComplete`.
struct HandshakeState {
    enum Role: Sendable {
        case initiator, responder
    }

    /// The most bytes of one message (section 3).
    static let maximumMessage = 65_535

    private let pattern: NoisePattern
    private let role: Role
    private var symmetric: SymmetricState
    private let ownStatic: KeyPair
    private var ownEphemeral: KeyPair?
    /// The other end's static key: known beforehand, or from the message that told it.
    private(set) var remoteStatic: PublicKey?
    private var remoteEphemeral: PublicKey?
    private var nextMessage = 0

    /// - Parameters:
    ///   - prologue: what both ends must have seen alike before, else no message opens.
    ///   - remoteStatic: the responder's key, for an initiator whose pattern has it known.
    init(
        _ pattern: NoisePattern = .ik, cipher: Cipher, role: Role, prologue: [UInt8], ownStatic: KeyPair,
        remoteStatic: PublicKey? = nil
    ) {
        self.pattern = pattern
        self.role = role
        self.ownStatic = ownStatic
        self.remoteStatic = remoteStatic
        symmetric = SymmetricState(
            protocolName: "Noise_\(pattern.name)_25519_\(cipher.noiseName)_SHA256", algorithm: cipher)
        symmetric.mixHash(prologue)
        guard pattern.responderStaticIsKnown else { return }
        switch role {
        case .initiator:
            guard let remoteStatic else { preconditionFailure("this pattern needs the responder's key") }
            symmetric.mixHash(remoteStatic.bytes)
        case .responder:
            symmetric.mixHash(ownStatic.publicKey.bytes)
        }
    }

    var isComplete: Bool { nextMessage == pattern.messages.count }

    /// What both ends have said, for binding what follows to it (section 11.2). After the last message.
    var handshakeHash: [UInt8] { symmetric.hash }

    /// - Parameter random: makes the ephemeral key; the system's generator anywhere but in tests.
    mutating func write(
        _ payload: [UInt8], random: inout some RandomNumberGenerator
    ) throws(NoiseError) -> [UInt8] {
        var message: [UInt8] = []
        for token in takeTokens(writing: true) {
            switch token {
            case .e:
                let ephemeral = KeyPair.generate(using: &random)
                ownEphemeral = ephemeral
                message += ephemeral.publicKey.bytes
                symmetric.mixHash(ephemeral.publicKey.bytes)
            case .s:
                message += symmetric.encryptAndHash(ownStatic.publicKey.bytes)
            case .ee, .es, .se, .ss:
                try mix(token)
            }
        }
        message += symmetric.encryptAndHash(payload)
        guard message.count <= Self.maximumMessage else { throw .tooLong }
        return message
    }

    /// - Returns: the payload.
    mutating func read(_ message: [UInt8]) throws(NoiseError) -> [UInt8] {
        guard message.count <= Self.maximumMessage else { throw .tooLong }
        var rest = message[...]
        func take(_ count: Int) throws(NoiseError) -> [UInt8] {
            guard rest.count >= count else { throw .truncated }
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        for token in takeTokens(writing: false) {
            switch token {
            case .e:
                let key = try take(PublicKey.size)
                remoteEphemeral = PublicKey(key)
                symmetric.mixHash(key)
            case .s:
                let sealed = try take(PublicKey.size + symmetric.overhead)
                remoteStatic = PublicKey(try symmetric.decryptAndHash(sealed))
            case .ee, .es, .se, .ss:
                try mix(token)
            }
        }
        return try symmetric.decryptAndHash(Array(rest))
    }

    /// The keys of the two directions, the initiator's first. After the last message.
    func split() -> (CipherState, CipherState) {
        precondition(isComplete, "the handshake goes on")
        return symmetric.split()
    }

    private mutating func takeTokens(writing: Bool) -> [NoisePattern.Token] {
        let initiatorsTurn = nextMessage % 2 == 0
        precondition(!isComplete && writing == (initiatorsTurn == (role == .initiator)), "not this end's turn")
        defer { nextMessage += 1 }
        return pattern.messages[nextMessage]
    }

    /// A Diffie-Hellman token names the initiator's key first, then the responder's (section 5.3).
    private mutating func mix(_ token: NoisePattern.Token) throws(NoiseError) {
        let (initiatorIsEphemeral, responderIsEphemeral) =
            switch token {
            case .ee: (true, true)
            case .es: (true, false)
            case .se: (false, true)
            case .ss: (false, false)
            case .e, .s: preconditionFailure("no Diffie-Hellman token")
            }
        let (ownIsEphemeral, remoteIsEphemeral) =
            switch role {
            case .initiator: (initiatorIsEphemeral, responderIsEphemeral)
            case .responder: (responderIsEphemeral, initiatorIsEphemeral)
            }
        guard let own = ownIsEphemeral ? ownEphemeral : ownStatic,
            let remote = remoteIsEphemeral ? remoteEphemeral : remoteStatic
        else { preconditionFailure("the pattern uses a key before it was told") }
        guard let shared = own.shared(with: remote) else { throw .weakKey }
        symmetric.mixKey(shared)
    }
}

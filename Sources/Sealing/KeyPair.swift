import COpenSSL

/// A private key of X25519 (RFC 7748) and its public key. The private one is wiped from memory with its last copy, and
/// never printed by accident.
public struct KeyPair: Sendable {
    let privateKey: SecretBytes
    public let publicKey: PublicKey

    private init(_ privateKey: SecretBytes) {
        self.privateKey = privateKey
        var bytes = [UInt8](repeating: 0, count: PublicKey.size)
        let done = privateKey.withBytes { penstock_x25519_public($0.bytes, &bytes) }
        precondition(done == 1, "libcrypto could not derive a public key")
        publicKey = PublicKey(bytes)!
    }

    /// Nil unless there are exactly 32 bytes. The bytes given are the caller's to wipe.
    public init?(privateKey bytes: some Collection<UInt8>) {
        guard bytes.count == PublicKey.size else { return nil }
        self.init(SecretBytes(copying: bytes))
    }

    /// The pair of a private key in its text form: base64 with padding. White space around it is ignored. The text is the caller's
    /// to wipe.
    public init(privateKeyBase64 text: some BidirectionalCollection<UInt8>) throws(KeyTextError) {
        let text = try trimmedKey(text)
        guard let bytes = Base64.decodeSecret(text) else { throw .notBase64 }
        guard bytes.count == PublicKey.size else { throw .wrongLength(bytes.count) }
        self.init(bytes)
    }

    /// A new pair. `random` must be the system's generator anywhere but in tests.
    public static func generate(using random: inout some RandomNumberGenerator) -> KeyPair {
        KeyPair(SecretBytes(count: PublicKey.size) { $0.fill(using: &random) })
    }

    /// The text form of the private key, for the key file alone.
    public var privateKeyBase64: SecretBytes { privateKey.withBytes { Base64.encodeSecret($0) } }

    /// The private key itself, for what hands it on: 32 bytes, good inside `body` alone.
    public func withPrivateKey<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R { privateKey.withBytes(body) }

    /// What this end and the owner of `other` both know (RFC 7748, section 6.1); nil where that is zero, which a peer
    /// brings about with a key of small order.
    func shared(with other: PublicKey) -> SecretBytes? {
        var done: Int32 = 0
        let secret = SecretBytes(count: PublicKey.size) { output in
            done = privateKey.withBytes {
                penstock_x25519($0.bytes, other.bytes, output.baseAddress!.assumingMemoryBound(to: UInt8.self))
            }
        }
        return done == 1 ? secret : nil
    }
}

extension KeyPair: Equatable {
    public static func == (a: KeyPair, b: KeyPair) -> Bool { a.privateKey.equals(b.privateKey) }
}

extension KeyPair: CustomStringConvertible, CustomReflectable {
    public var description: String { "(key pair of \(publicKey))" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension UnsafeRawBufferPointer {
    /// The start, as libcrypto wants it.
    var bytes: UnsafePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}

extension UnsafeMutableRawBufferPointer {
    /// Fills the buffer, a multiple of eight bytes, with random bytes.
    func fill(using random: inout some RandomNumberGenerator) {
        for offset in stride(from: 0, to: count, by: 8) {
            storeBytes(of: random.next() as UInt64, toByteOffset: offset, as: UInt64.self)
        }
    }
}

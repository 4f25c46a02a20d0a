import COpenSSL

/// What both ends of a handshake have said and know so far (Noise Protocol Framework, revision 34, section 5.2), with
/// SHA-256 as the hash.
struct SymmetricState {
    static let hashSize = 32

    private let algorithm: Cipher
    private var chainingKey: SecretBytes
    private(set) var hash: [UInt8]
    private var cipher: CipherState?

    init(protocolName: String, algorithm: Cipher) {
        self.algorithm = algorithm
        let name = Array(protocolName.utf8)
        hash =
            name.count <= Self.hashSize
            ? name + [UInt8](repeating: 0, count: Self.hashSize - name.count) : Self.digest(name, [])
        chainingKey = SecretBytes(copying: hash)
    }

    mutating func mixHash(_ data: [UInt8]) { hash = Self.digest(hash, data) }

    mutating func mixKey(_ material: SecretBytes) {
        let (next, key) = derive(material)
        chainingKey = next
        cipher = CipherState(algorithm, key: key)
    }

    /// In clear until there is a key.
    mutating func encryptAndHash(_ clear: [UInt8]) -> [UInt8] {
        let sealed = cipher?.encrypt(clear, additional: hash) ?? clear
        mixHash(sealed)
        return sealed
    }

    mutating func decryptAndHash(_ sealed: [UInt8]) throws(NoiseError) -> [UInt8] {
        let clear = try cipher?.decrypt(sealed, additional: hash) ?? sealed
        mixHash(sealed)
        return clear
    }

    /// Bytes that `encryptAndHash` adds now.
    var overhead: Int { cipher == nil ? 0 : Cipher.tagSize }

    /// The keys of the two directions, the initiator's first.
    func split() -> (CipherState, CipherState) {
        let (first, second) = derive(SecretBytes(copying: []))
        return (CipherState(algorithm, key: first), CipherState(algorithm, key: second))
    }

    private func derive(_ material: SecretBytes) -> (SecretBytes, SecretBytes) {
        var done: Int32 = 0
        var second: SecretBytes?
        let first = SecretBytes(count: Self.hashSize) { first in
            second = SecretBytes(count: Self.hashSize) { second in
                done = chainingKey.withBytes { chaining in
                    material.withBytes { material in
                        penstock_noise_hkdf(
                            chaining.bytes, material.bytes, material.count,
                            first.baseAddress!.assumingMemoryBound(to: UInt8.self),
                            second.baseAddress!.assumingMemoryBound(to: UInt8.self))
                    }
                }
            }
        }
        guard done == 1, let second else { preconditionFailure("libcrypto could not derive a key") }
        return (first, second)
    }

    private static func digest(_ first: [UInt8], _ second: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: hashSize)
        let done = penstock_sha256(first, first.count, second, second.count, &digest)
        precondition(done == 1, "libcrypto could not hash")
        return digest
    }
}

/// An AEAD key and its counter (Noise Protocol Framework, revision 34, section 5.1), for handshakes: a few messages, each
/// in an array of its own.
struct CipherState {
    private let algorithm: Cipher
    let key: SecretBytes
    private var counter: UInt64 = 0

    init(_ algorithm: Cipher, key: SecretBytes) {
        self.algorithm = algorithm
        self.key = key
    }

    /// - Returns: ciphertext and tag.
    mutating func encrypt(_ clear: [UInt8], additional: [UInt8]) -> [UInt8] {
        let context = begin(.seal, additional)
        return [UInt8](unsafeUninitializedCapacity: clear.count + Cipher.tagSize) { output, count in
            clear.withUnsafeBytes { context.update($0, into: output.baseAddress!) }
            context.finish(tag: output.baseAddress! + clear.count)
            count = clear.count + Cipher.tagSize
        }
    }

    /// The counter goes up only when the tag is right (section 5.1, DecryptWithAd).
    mutating func decrypt(_ sealed: [UInt8], additional: [UInt8]) throws(NoiseError) -> [UInt8] {
        guard sealed.count >= Cipher.tagSize else { throw .truncated }
        let size = sealed.count - Cipher.tagSize
        let before = counter
        let context = begin(.open, additional)
        var isRight = false
        var clear = [UInt8](unsafeUninitializedCapacity: size) { output, count in
            sealed.withUnsafeBytes { sealed in
                // An array of no bytes may have no memory; then there is nothing to write.
                if size > 0 {
                    context.update(UnsafeRawBufferPointer(rebasing: sealed[..<size]), into: output.baseAddress!)
                }
                isRight = context.verify(tag: sealed.baseAddress! + size)
            }
            count = size
        }
        guard isRight else {
            SecretBytes.wipe(&clear)
            counter = before
            throw .badTag
        }
        return clear
    }

    private mutating func begin(_ operation: AEADContext.Operation, _ additional: [UInt8]) -> AEADContext {
        let context = AEADContext(algorithm, key: key, operation: operation)
        // Section 12: four bytes of zeros, then the counter, whose byte order is the cipher's.
        var nonce = [UInt8](repeating: 0, count: Cipher.nonceSize)
        for index in 0..<8 {
            let shift =
                switch algorithm {
                case .aes256gcm: 56 - 8 * index
                case .chacha20poly1305: 8 * index
                }
            nonce[4 + index] = UInt8(truncatingIfNeeded: counter >> UInt64(shift))
        }
        nonce.withUnsafeBytes { context.begin(nonceAt: $0.baseAddress!) }
        additional.withUnsafeBytes { context.authenticate($0) }
        counter += 1
        return context
    }
}

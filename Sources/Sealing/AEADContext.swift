import COpenSSL

/// One key of an AEAD cipher in one direction, on libcrypto's EVP interface: the only file that calls it per chunk.
///
/// The key schedule is made once; a message then costs `begin`, `update` for each piece, and `finish` or `verify`.
/// Nonces are the 96-bit little-endian counter of Shadowsocks AEAD (SIP004); its upper 32 bits stay zero, since no
/// stream (at most 2^62 bytes, RFC 9000 section 4.5) can wrap the lower 64.
struct AEADContext: ~Copyable {
    enum Operation: Int32 {
        case open = 0
        case seal = 1
    }

    let context: OpaquePointer
    private(set) var counter: UInt64 = 0

    init(_ cipher: Cipher, key: SecretBytes, operation: Operation) {
        precondition(key.count == Cipher.keySize, "AEAD keys have 32 bytes")
        guard let context = EVP_CIPHER_CTX_new() else { fatalError("out of memory for a cipher context") }
        self.context = context
        let done = key.withBytes {
            EVP_CipherInit_ex2(
                context, cipher.implementation, Self.bytes($0.baseAddress!), nil, operation.rawValue, nil)
        }
        precondition(done == 1, "libcrypto refused a key")
    }

    // Frees the key schedule too; libcrypto wipes it.
    deinit { EVP_CIPHER_CTX_free(context) }

    /// Starts the next message, under the next nonce.
    mutating func begin() {
        begin(nonce: (counter.littleEndian, 0))
        counter &+= 1
    }

    /// Starts a message under a given nonce: eight and four bytes in the order of memory.
    func begin(nonce: (UInt64, UInt32)) { withUnsafePointer(to: nonce) { begin(nonceAt: UnsafeRawPointer($0)) } }

    /// Starts a message under the nonce of 12 bytes at `nonce`.
    func begin(nonceAt nonce: UnsafeRawPointer) {
        let done = EVP_CipherInit_ex2(context, nil, nil, Self.bytes(nonce), -1, nil)
        precondition(done == 1, "libcrypto refused a nonce")
    }

    /// Has the tag cover bytes that stay in clear. After `begin` and before `update`.
    func authenticate(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        var count: Int32 = 0
        let done = EVP_CipherUpdate(context, nil, &count, Self.bytes(start), Int32(bytes.count))
        precondition(done == 1, "libcrypto failed to authenticate bytes")
    }

    /// Transforms `input` into as many bytes at `output`.
    func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer) {
        guard let start = input.baseAddress, input.count > 0 else { return }
        var written: Int32 = 0
        let done = EVP_CipherUpdate(
            context, output.assumingMemoryBound(to: UInt8.self), &written, Self.bytes(start), Int32(input.count))
        precondition(done == 1 && Int(written) == input.count, "libcrypto failed to transform bytes")
    }

    /// Ends a sealed message: writes its 16-byte tag.
    func finish(tag: UnsafeMutableRawPointer) {
        var written: Int32 = 0
        var done = EVP_CipherFinal_ex(context, tag.assumingMemoryBound(to: UInt8.self), &written)
        precondition(done == 1, "libcrypto failed to end a message")
        done = penstock_get_tag(context, tag.assumingMemoryBound(to: UInt8.self))
        precondition(done == 1, "libcrypto gave no tag")
    }

    /// Ends an opened message: whether `tag` (16 bytes) is right.
    func verify(tag: UnsafeRawPointer) -> Bool {
        guard penstock_set_tag(context, Self.bytes(tag)) == 1 else { return false }
        var written: Int32 = 0
        var nothing: UInt64 = 0
        return withUnsafeMutableBytes(of: &nothing) {
            EVP_CipherFinal_ex(context, $0.baseAddress!.assumingMemoryBound(to: UInt8.self), &written)
        } == 1
    }

    private static func bytes(_ pointer: UnsafeRawPointer) -> UnsafePointer<UInt8> {
        pointer.assumingMemoryBound(to: UInt8.self)
    }
}

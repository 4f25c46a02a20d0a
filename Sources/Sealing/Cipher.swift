import COpenSSL

/// The cipher of the sealed layer and of its key exchange: the client chooses, the server has a list of those that it takes.
public enum Cipher: String, Sendable, CaseIterable {
    /// AES-256 in Galois/counter mode (NIST SP 800-38D): the faster one where the processor has AES instructions.
    case aes256gcm = "aes-256-gcm"
    /// ChaCha20-Poly1305 (RFC 8439): the faster one where it has none.
    case chacha20poly1305 = "chacha20-poly1305"

    /// The faster one on this processor.
    public static let fastest: Cipher = penstock_has_aes_instructions() != 0 ? .aes256gcm : .chacha20poly1305

    public static let keySize = 32
    public static let nonceSize = 12
    public static let tagSize = 16

    /// The implementation in libcrypto, fetched once: a fetch walks the providers and takes locks.
    var implementation: OpaquePointer {
        switch self {
        case .aes256gcm: Fetched.aes256gcm
        case .chacha20poly1305: Fetched.chacha20poly1305
        }
    }
}

/// Immutable after the fetch and never freed, so any thread may use them.
private enum Fetched {
    nonisolated(unsafe) static let aes256gcm = fetch("AES-256-GCM")
    nonisolated(unsafe) static let chacha20poly1305 = fetch("ChaCha20-Poly1305")

    static func fetch(_ name: String) -> OpaquePointer {
        guard let cipher = EVP_CIPHER_fetch(nil, name, nil) else { fatalError("libcrypto offers no \(name)") }
        return cipher
    }
}

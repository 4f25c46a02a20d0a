import COpenSSL

/// HKDF with SHA-256 (RFC 5869), extract and expand in one call.
enum KeyDerivation {
    /// - Parameters:
    ///   - salt: may be empty, which RFC 5869 section 2.2 reads as 32 zero bytes.
    ///   - count: bytes of output, 1 to 255 × 32.
    static func derive(
        salt: UnsafeRawBufferPointer, inputKey: UnsafeRawBufferPointer, info: [UInt8], count: Int
    ) -> SecretBytes {
        SecretBytes(count: count) { output in
            let done = info.withUnsafeBytes { info in
                penstock_hkdf_sha256(
                    bytes(salt), salt.count, bytes(inputKey), inputKey.count, bytes(info), info.count,
                    output.baseAddress?.assumingMemoryBound(to: UInt8.self), output.count)
            }
            precondition(done == 1, "libcrypto could not derive a key")
        }
    }

    private static func bytes(_ buffer: UnsafeRawBufferPointer) -> UnsafePointer<UInt8>? {
        buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
    }
}

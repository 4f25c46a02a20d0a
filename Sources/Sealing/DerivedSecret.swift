/// Secrets of other use, derived from one that only one machine has.
public enum DerivedSecret {
    /// 32 bytes for stateless resets (RFC 9000, section 10.3.2): the same as long as the secret is, so that a restarted
    /// server can still tell its former clients that their connections are gone.
    public static func resetKey(from secret: [UInt8]) -> [UInt8] { derive(secret, "penstock stateless reset v1") }

    /// 32 bytes for the tokens by which a server knows the addresses of former clients (section 8.1.3).
    public static func tokenSecret(from secret: [UInt8]) -> [UInt8] { derive(secret, "penstock address token v1") }

    /// 32 bytes that stand in for a secret of the machine's own where it keeps none: the same as long as its private key is.
    public static func machineSecret(from privateKey: [UInt8]) -> [UInt8] {
        derive(privateKey, "penstock machine secret v1")
    }

    /// 32 bytes by which a secret is recognized and that do not tell it, unless it can be guessed.
    public static func fingerprint(of secret: [UInt8]) -> [UInt8] {
        // There is no key of no bytes.
        secret.isEmpty ? [] : derive(secret, "penstock fingerprint v1")
    }

    private static func derive(_ secret: [UInt8], _ purpose: String) -> [UInt8] {
        secret.withUnsafeBytes { key in
            KeyDerivation.derive(
                salt: UnsafeRawBufferPointer(start: nil, count: 0), inputKey: key, info: Array(purpose.utf8), count: 32
            ).withBytes { Array($0) }
        }
    }
}

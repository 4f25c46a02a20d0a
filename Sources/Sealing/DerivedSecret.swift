/// Secrets of other use, derived from a file that only one machine has.
public enum DerivedSecret {
    /// 32 bytes for stateless resets (RFC 9000, section 10.3.2): the same as long as the server's private key is, so
    /// that a restarted server can still tell its former clients that their connections are gone.
    public static func resetKey(privateKey: [UInt8]) -> [UInt8] {
        privateKey.withUnsafeBytes { key in
            KeyDerivation.derive(
                salt: UnsafeRawBufferPointer(start: nil, count: 0), inputKey: key,
                info: Array("penstock stateless reset v1".utf8), count: 32
            ).withBytes { Array($0) }
        }
    }
}

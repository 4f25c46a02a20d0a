import CNgtcp2

/// A client's certificate, which the server has found good: whom a login may take the client for.
public struct PeerCertificate: Hashable, Sendable {
    /// The common name of its subject; empty where it has none. Any text that the authority has signed.
    public let commonName: String
    /// Big-endian, up to 20 bytes.
    public let serial: [UInt8]
    /// When the first certificate of the chain expires; seconds since 1970, UTC.
    public let expires: Int64
    /// The chain as it was shown, the client's own certificate first, so that it can be judged anew.
    let chain: [[UInt8]]

    /// Bytes of a name at most; longer ones are left out.
    private static let maximumName = 1_024

    init?(chain: [[UInt8]]) {
        guard let leaf = chain.first, let certificate = importCertificate(leaf) else { return nil }
        defer { gnutls_x509_crt_deinit(certificate) }
        self.chain = chain
        guard let expires = Self.expiry(of: chain) else { return nil }
        self.expires = expires
        var number = [UInt8](repeating: 0, count: 64)
        var size = number.count
        guard gnutls_x509_crt_get_serial(certificate, &number, &size) == 0 else { return nil }
        serial = Array(number[..<size])
        commonName =
            Self.text { gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, $0, $1) >= 0 }
            ?? ""
    }

    private static func expiry(of chain: [[UInt8]]) -> Int64? {
        var earliest = Int64.max
        for der in chain {
            guard let certificate = importCertificate(der) else { return nil }
            defer { gnutls_x509_crt_deinit(certificate) }
            let expires = gnutls_x509_crt_get_expiration_time(certificate)
            guard expires >= 0 else { return nil }
            earliest = min(earliest, Int64(expires))
        }
        return earliest
    }

    private static func text(
        _ body: (UnsafeMutablePointer<UInt8>, UnsafeMutablePointer<Int>) -> Bool
    ) -> String? {
        var buffer = [UInt8](repeating: 0, count: maximumName)
        var size = buffer.count
        let isGood = buffer.withUnsafeMutableBufferPointer { body($0.baseAddress!, &size) }
        return isGood && size <= buffer.count ? String(decoding: buffer[..<size], as: UTF8.self) : nil
    }
}

import CNgtcp2

/// A client's certificate, which the server has found good: whom a login may take the client for.
public struct PeerCertificate: Hashable, Sendable {
    /// The common name of its subject; empty where it has none. Any text that the authority has signed.
    public let commonName: String
    /// URIs among its alternative names (RFC 5280, section 4.2.1.6), 16 of them at most.
    public let uris: [String]
    /// Big-endian, up to 20 bytes.
    public let serial: [UInt8]
    /// SHA-256 of the certificate.
    public let fingerprint: [UInt8]
    /// The chain as it was shown, the client's own certificate first, so that it can be judged anew.
    let chain: [[UInt8]]

    private static let maximumURIs = 16
    /// Bytes of a name at most; longer ones are left out.
    private static let maximumName = 1_024

    init?(chain: [[UInt8]]) {
        guard let leaf = chain.first, let certificate = importCertificate(leaf) else { return nil }
        defer { gnutls_x509_crt_deinit(certificate) }
        self.chain = chain
        var digest = [UInt8](repeating: 0, count: 32)
        var size = digest.count
        guard gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, &digest, &size) == 0, size == 32 else {
            return nil
        }
        fingerprint = digest
        var number = [UInt8](repeating: 0, count: 64)
        size = number.count
        guard gnutls_x509_crt_get_serial(certificate, &number, &size) == 0 else { return nil }
        serial = Array(number[..<size])
        commonName =
            Self.text { gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, $0, $1) >= 0 }
            ?? ""
        uris = Self.uris(certificate)
    }

    private static func uris(_ certificate: gnutls_x509_crt_t) -> [String] {
        var result: [String] = []
        for index in 0..<UInt32(maximumURIs) {
            var isLast = false
            let uri = text { buffer, size in
                let type = gnutls_x509_crt_get_subject_alt_name(certificate, index, buffer, size, nil)
                isLast = type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE
                return type == Int32(GNUTLS_SAN_URI.rawValue)
            }
            if let uri { result.append(uri) }
            if isLast { break }
        }
        return result
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

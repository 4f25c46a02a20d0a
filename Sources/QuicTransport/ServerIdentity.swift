import CNgtcp2

/// Why a certificate and a key cannot serve as an identity.
public enum IdentityError: Error, Equatable, CustomStringConvertible {
    case unreadableCertificate(String)
    case unreadableKey(String)
    case keyDoesNotMatchCertificate
    case library(String)

    public var description: String {
        switch self {
        case .unreadableCertificate(let detail):
            "the certificate is not a readable PEM certificate chain (\(detail))"
        case .unreadableKey(let detail):
            "the private key is not a readable, unencrypted PEM key (\(detail))"
        case .keyDoesNotMatchCertificate:
            "the private key does not belong to the first certificate of the chain"
        case .library(let detail):
            "GnuTLS cannot use the certificate and key (\(detail))"
        }
    }
}

/// A server's certificate chain and private key, checked and ready for use.
public struct ServerIdentity: Sendable {
    let credentials: CertificateCredentials
    /// The pin of this server: SHA-256 of the leaf certificate's SubjectPublicKeyInfo.
    public let pin: [UInt8]

    /// Whose certificates clients may show; nil where none is asked for.
    private(set) var clients: ClientAuthorities?

    /// - Parameters:
    ///   - certificateChainPEM: the leaf first, then the authorities between it and the root.
    ///   - privateKeyPEM: the leaf's key, PKCS #8 or SEC 1, not encrypted.
    ///   - clients: asks clients for certificates, and judges them.
    public init(
        certificateChainPEM: [UInt8], privateKeyPEM: [UInt8], clients: ClientAuthorities? = nil
    ) throws(IdentityError) {
        guard let credentials = CertificateCredentials() else { throw .library("out of memory") }
        pin = try credentials.load(certificateChainPEM: certificateChainPEM, privateKeyPEM: privateKeyPEM)
        self.credentials = credentials
        self.clients = clients
        guard let clients else { return }
        // Their names go to the clients, which choose a certificate by them.
        let count = withDatum(clients.authoritiesPEM) {
            gnutls_certificate_set_x509_trust_mem(credentials.handle, $0, GNUTLS_X509_FMT_PEM)
        }
        guard count > 0 else { throw .library(describe(count)) }
    }

    /// The same where the same authorities have revoked something else; itself where no certificates are asked for.
    /// - Parameter revocationListPEM: X.509 CRLs, each signed by one of the authorities.
    public func replacingRevocations(_ revocationListPEM: [UInt8]) throws(ClientAuthoritiesError) -> ServerIdentity {
        guard let clients else { return self }
        var identity = self
        identity.clients = try ClientAuthorities(
            demand: clients.demand, authoritiesPEM: clients.authoritiesPEM, revocationListPEM: revocationListPEM)
        return identity
    }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
func publicKeyPin(_ certificate: gnutls_x509_crt_t) -> [UInt8]? {
    var pin = [UInt8](repeating: 0, count: 32)
    var size = pin.count
    let flags = UInt32(GNUTLS_KEYID_USE_SHA256.rawValue)
    guard gnutls_x509_crt_get_key_id(certificate, flags, &pin, &size) == 0, size == 32 else { return nil }
    return pin
}

/// GnuTLS's store of certificates, keys and trusted authorities, shared by all sessions of an endpoint.
///
/// Nothing changes it once it is set up, and GnuTLS then allows its use from several threads.
final class CertificateCredentials: @unchecked Sendable {
    let handle: gnutls_certificate_credentials_t

    init?() {
        var handle: gnutls_certificate_credentials_t?
        guard gnutls_certificate_allocate_credentials(&handle) == 0, let handle else { return nil }
        self.handle = handle
    }

    deinit { gnutls_certificate_free_credentials(handle) }

    /// Sets a certificate and its key.
    /// - Returns: the SHA-256 of the certificate's SubjectPublicKeyInfo.
    func load(certificateChainPEM: [UInt8], privateKeyPEM: [UInt8]) throws(IdentityError) -> [UInt8] {
        let pin = try Self.leafPin(certificateChainPEM)
        try Self.checkKey(privateKeyPEM)
        let result = withDatum(certificateChainPEM) { chain in
            withDatum(privateKeyPEM) { key in
                gnutls_certificate_set_x509_key_mem(handle, chain, key, GNUTLS_X509_FMT_PEM)
            }
        }
        if result == GNUTLS_E_CERTIFICATE_KEY_MISMATCH { throw .keyDoesNotMatchCertificate }
        guard result >= 0 else { throw .library(describe(result)) }
        return pin
    }

    private static func leafPin(_ pem: [UInt8]) throws(IdentityError) -> [UInt8] {
        var list: UnsafeMutablePointer<gnutls_x509_crt_t?>?
        var count: UInt32 = 0
        let result = withDatum(pem) { gnutls_x509_crt_list_import2(&list, &count, $0, GNUTLS_X509_FMT_PEM, 0) }
        guard result >= 0, let list else { throw .unreadableCertificate(describe(result)) }
        defer {
            for index in 0..<Int(count) { gnutls_x509_crt_deinit(list[index]) }
            cngtcp2_gnutls_free(list)
        }
        guard count > 0, let leaf = list[0], let pin = publicKeyPin(leaf) else {
            throw .unreadableCertificate("no certificate")
        }
        return pin
    }

    private static func checkKey(_ pem: [UInt8]) throws(IdentityError) {
        var key: gnutls_x509_privkey_t?
        guard gnutls_x509_privkey_init(&key) == 0 else { throw .library("out of memory") }
        defer { gnutls_x509_privkey_deinit(key) }
        let result = withDatum(pem) { gnutls_x509_privkey_import2(key, $0, GNUTLS_X509_FMT_PEM, nil, 0) }
        guard result == 0 else { throw .unreadableKey(describe(result)) }
    }
}

func describe(_ gnutlsError: Int32) -> String { String(cString: gnutls_strerror(gnutlsError)) }

func withDatum<R>(_ bytes: [UInt8], _ body: (UnsafePointer<gnutls_datum_t>) -> R) -> R {
    bytes.withUnsafeBufferPointer { buffer in
        var datum = gnutls_datum_t(data: UnsafeMutablePointer(mutating: buffer.baseAddress), size: UInt32(buffer.count))
        return body(&datum)
    }
}

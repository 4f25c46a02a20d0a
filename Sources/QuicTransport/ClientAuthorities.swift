import CNgtcp2

/// Why a setting for clients' certificates is unusable.
public enum ClientAuthoritiesError: Error, Equatable, CustomStringConvertible {
    case unreadableAuthorities(String)
    case noAuthorities
    case unreadableRevocationList(String)
    case noRevocationList
    /// The list was signed by none of the authorities, or was changed.
    case foreignRevocationList
    case library(String)

    public var description: String {
        switch self {
        case .unreadableAuthorities(let detail): "the authorities are not readable PEM certificates (\(detail))"
        case .noAuthorities: "the file of authorities contains no certificate"
        case .unreadableRevocationList(let detail): "the revocation list is not a readable PEM list (\(detail))"
        case .noRevocationList: "the file of revocation lists contains none"
        case .foreignRevocationList:
            "the revocation list was not signed by one of the authorities, or its date is in the future"
        case .library(let detail): "GnuTLS cannot use the authorities (\(detail))"
        }
    }
}

/// Which clients' certificates a server accepts.
///
/// Nothing changes it once it is set up, so all threads may use one. A new revocation list makes a new one.
public final class ClientAuthorities: @unchecked Sendable {
    public enum Demand: Sendable {
        /// A client may come without a certificate; one that it shows must be good.
        case optional
        case required
    }

    /// Certificates of a client's chain, and bytes of them, at most.
    static let maximumChain = 8
    static let maximumChainBytes = 64 << 10

    public let demand: Demand
    let authoritiesPEM: [UInt8]
    private let list: gnutls_x509_trust_list_t

    /// - Parameters:
    ///   - authoritiesPEM: certificates of those who may issue clients' certificates.
    ///   - revocationListPEM: X.509 CRLs, each signed by one of the authorities; nil for none.
    public init(
        demand: Demand, authoritiesPEM: [UInt8], revocationListPEM: [UInt8]? = nil
    ) throws(ClientAuthoritiesError) {
        self.demand = demand
        self.authoritiesPEM = authoritiesPEM
        var list: gnutls_x509_trust_list_t?
        guard gnutls_x509_trust_list_init(&list, 0) == 0, let list else { throw .library("out of memory") }
        self.list = list
        let count = withDatum(authoritiesPEM) {
            gnutls_x509_trust_list_add_trust_mem(list, $0, nil, GNUTLS_X509_FMT_PEM, 0, 0)
        }
        guard count >= 0 else { throw .unreadableAuthorities(describe(count)) }
        guard count > 0 else { throw .noAuthorities }
        if let revocationListPEM { try add(revocationListPEM) }
    }

    deinit { gnutls_x509_trust_list_deinit(list, 1) }

    private func add(_ pem: [UInt8]) throws(ClientAuthoritiesError) {
        var lists: UnsafeMutablePointer<gnutls_x509_crl_t?>?
        var count: UInt32 = 0
        let result = withDatum(pem) { gnutls_x509_crl_list_import2(&lists, &count, $0, GNUTLS_X509_FMT_PEM, 0) }
        guard result >= 0, let lists else { throw .unreadableRevocationList(describe(result)) }
        defer { cngtcp2_gnutls_free(lists) }
        guard count > 0 else { throw .noRevocationList }
        for index in 0..<Int(count) {
            // The trust list owns what it has taken; it takes nothing of what it refuses.
            let flags = UInt32(GNUTLS_TL_VERIFY_CRL.rawValue)
            guard gnutls_x509_trust_list_add_crls(list, lists + index, 1, flags, 0) == 1 else {
                for rest in index..<Int(count) { gnutls_x509_crl_deinit(lists[rest]) }
                throw .foreignRevocationList
            }
        }
    }

    /// Judges a chain, the client's own certificate first.
    /// - Returns: what is wrong with it, or nil.
    func complaint(about chain: [[UInt8]]) -> CertificateComplaint? {
        guard !chain.isEmpty, chain.count <= Self.maximumChain,
            chain.reduce(0, { $0 + $1.count }) <= Self.maximumChainBytes
        else { return CertificateComplaint("its chain is too long") }
        var certificates: [gnutls_x509_crt_t?] = []
        defer { for certificate in certificates { gnutls_x509_crt_deinit(certificate) } }
        for der in chain {
            guard let certificate = importCertificate(der) else { return CertificateComplaint("it cannot be read") }
            certificates.append(certificate)
        }
        var status: UInt32 = 0
        var purpose = Array(GNUTLS_KP_TLS_WWW_CLIENT.utf8) + [0]
        let result = purpose.withUnsafeMutableBufferPointer { purpose in
            var data = gnutls_typed_vdata_st(type: GNUTLS_DT_KEY_PURPOSE_OID, data: purpose.baseAddress, size: 0)
            return gnutls_x509_trust_list_verify_crt2(
                list, &certificates, UInt32(certificates.count), &data, 1, 0, &status, nil)
        }
        guard result == 0 else { return CertificateComplaint("it cannot be checked (\(describe(result)))") }
        return status == 0 ? nil : CertificateComplaint(status: status, purpose: "clients")
    }
}

/// What is wrong with a peer's certificate, and the TLS alert that says so (RFC 8446, section 6.2).
struct CertificateComplaint: Equatable {
    let text: String
    let alert: UInt8

    init(_ text: String, alert: UInt8 = 42) {
        self.text = text
        self.alert = alert
    }

    /// - Parameter name: what the certificate should have been for.
    init(status: UInt32, name: String = "", purpose: String) {
        let reasons: [(gnutls_certificate_status_t, String, UInt8)] = [
            (GNUTLS_CERT_SIGNER_NOT_FOUND, "it was not issued by the authority in the CA file", 48),
            (GNUTLS_CERT_UNEXPECTED_OWNER, "it is for another name than \(name)", 42),
            (GNUTLS_CERT_EXPIRED, "it has expired", 45),
            (GNUTLS_CERT_NOT_ACTIVATED, "it is not valid yet; compare the clocks of both machines", 42),
            (GNUTLS_CERT_REVOKED, "it was revoked", 44),
            (GNUTLS_CERT_SIGNER_NOT_CA, "its issuer is not a certificate authority", 48),
            (GNUTLS_CERT_INSECURE_ALGORITHM, "it is signed with an insecure algorithm", 43),
            (GNUTLS_CERT_SIGNATURE_FAILURE, "its signature is wrong", 42),
            (GNUTLS_CERT_PURPOSE_MISMATCH, "it is not meant for \(purpose)", 43),
        ]
        let found = reasons.filter { status & UInt32($0.0.rawValue) != 0 }
        text =
            found.isEmpty ? "it failed verification (status \(status))" : found.map(\.1).joined(separator: "; ")
        alert = found.first?.2 ?? 42
    }
}

func importCertificate(_ der: [UInt8]) -> gnutls_x509_crt_t? {
    var certificate: gnutls_x509_crt_t?
    guard gnutls_x509_crt_init(&certificate) == 0, let certificate else { return nil }
    guard withDatum(der, { gnutls_x509_crt_import(certificate, $0, GNUTLS_X509_FMT_DER) }) == 0 else {
        gnutls_x509_crt_deinit(certificate)
        return nil
    }
    return certificate
}

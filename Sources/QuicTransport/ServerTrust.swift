import CNgtcp2

/// How a client knows that it speaks to its server.
public enum ServerTrust: Sendable {
    /// The chain must lead to one of these authorities, and the leaf must bear the name: a DNS name or an IP address.
    case authorities(pem: [UInt8], serverName: String)
    /// The leaf's key must have this SHA-256 (of its SubjectPublicKeyInfo). Names, dates and the rest of the chain do
    /// not count.
    case pinnedKey(sha256: [UInt8])
}

/// Why a trust setting is unusable.
public enum TrustError: Error, Equatable, CustomStringConvertible {
    case unreadableAuthorities(String)
    case noAuthorities
    case emptyServerName
    case badPinLength(Int)
    case library(String)

    public var description: String {
        switch self {
        case .unreadableAuthorities(let detail): "the CA file is not a readable PEM certificate (\(detail))"
        case .noAuthorities: "the CA file contains no certificate"
        case .emptyServerName: "the server name to check the certificate against is empty"
        case .badPinLength(let count): "a pin is the SHA-256 of a key, 32 bytes; this one has \(count)"
        case .library(let detail): "GnuTLS cannot use the CA file (\(detail))"
        }
    }
}

/// A trust setting that was checked, with the authorities loaded.
struct CheckedTrust {
    enum Rule {
        case name(String)
        case pin([UInt8])
    }
    let rule: Rule
    let credentials: CertificateCredentials

    /// - Parameter identity: what the client shows a server that asks for it.
    init(_ trust: ServerTrust, identity: ClientIdentity? = nil) throws(TrustError) {
        guard let credentials = CertificateCredentials() else { throw .library("out of memory") }
        self.credentials = credentials
        do {
            try identity?.load(into: credentials)
        } catch {
            throw .library("\(error)")
        }
        switch trust {
        case .authorities(let pem, let serverName):
            guard !serverName.isEmpty else { throw .emptyServerName }
            let count = withDatum(pem) {
                gnutls_certificate_set_x509_trust_mem(credentials.handle, $0, GNUTLS_X509_FMT_PEM)
            }
            guard count >= 0 else { throw .unreadableAuthorities(describe(count)) }
            guard count > 0 else { throw .noAuthorities }
            rule = .name(serverName)
        case .pinnedKey(let sha256):
            guard sha256.count == 32 else { throw .badPinLength(sha256.count) }
            rule = .pin(sha256)
        }
    }

    /// Judges the certificate that the server has shown in this session.
    /// - Returns: nil when it is the right one, else what is wrong with it, in plain words.
    func complaint(about session: gnutls_session_t) -> CertificateComplaint? {
        switch rule {
        case .name(let name): chainComplaint(session, name: name)
        case .pin(let pin): pinComplaint(session, pin: pin).map { CertificateComplaint($0) }
        }
    }

    private func chainComplaint(_ session: gnutls_session_t, name: String) -> CertificateComplaint? {
        var status: UInt32 = 0
        let result = gnutls_certificate_verify_peers3(session, name, &status)
        guard result == 0 else { return CertificateComplaint("it cannot be checked (\(describe(result)))") }
        return status == 0 ? nil : CertificateComplaint(status: status, name: name, purpose: "servers")
    }

    private func pinComplaint(_ session: gnutls_session_t, pin: [UInt8]) -> String? {
        var count: UInt32 = 0
        guard let list = gnutls_certificate_get_peers(session, &count), count > 0 else { return "it is missing" }
        var certificate: gnutls_x509_crt_t?
        guard gnutls_x509_crt_init(&certificate) == 0, let certificate else { return "it cannot be read" }
        defer { gnutls_x509_crt_deinit(certificate) }
        guard gnutls_x509_crt_import(certificate, list, GNUTLS_X509_FMT_DER) == 0,
            let shown = publicKeyPin(certificate)
        else { return "it cannot be read" }
        if shown == pin { return nil }
        return "its key is not the pinned one (expected \(pinText(pin)), got \(pinText(shown)))"
    }
}

/// `sha256/` and the Base64 of a pin, as `penstock pki server` prints it.
public func pinText(_ sha256: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: sha256.count, by: 3) {
        let group = sha256[start..<min(start + 3, sha256.count)]
        var bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        bits <<= UInt32(8 * (3 - group.count))
        for index in 0..<4 {
            let digit = Int(bits >> UInt32(18 - 6 * index) & 63)
            text.append(index <= group.count ? alphabet[digit] : UInt8(ascii: "="))
        }
    }
    return "sha256/" + String(decoding: text, as: UTF8.self)
}

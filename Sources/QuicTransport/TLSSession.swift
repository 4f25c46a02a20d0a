import CNgtcp2
import Primitives

/// The GnuTLS session of one connection: TLS 1.3 with one application protocol.
final class TLSSession {
    /// AEAD ciphers only, one fast group; the compatibility mode of TLS 1.3 makes no sense in QUIC (RFC 9001, section 8.4).
    private static let priority =
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"
        + ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:%DISABLE_TLS13_COMPAT_MODE"

    let handle: gnutls_session_t
    /// What GnuTLS's and ngtcp2's callbacks use to find the connection; at a fixed place.
    let reference: UnsafeMutablePointer<ngtcp2_crypto_conn_ref>
    /// GnuTLS refers to the credentials until the session ends.
    private let credentials: CertificateCredentials
    private let trust: CheckedTrust?
    /// How a server judges its client; nil where it asks for no certificate.
    private let clients: ClientAuthorities?
    /// What was wrong with the peer's certificate, once it was refused.
    private(set) var complaint: CertificateComplaint?
    /// A client's certificate that was found good.
    private(set) var peerCertificate: PeerCertificate?

    private init?(
        flags: UInt32, credentials: CertificateCredentials, trust: CheckedTrust? = nil,
        clients: ClientAuthorities? = nil, protocolName: String
    ) {
        self.clients = clients
        var session: gnutls_session_t?
        let all = flags | UInt32(GNUTLS_NO_END_OF_EARLY_DATA.rawValue) | cngtcp2_no_tickets
        guard gnutls_init(&session, all) == 0, let session else { return nil }
        handle = session
        self.credentials = credentials
        self.trust = trust
        reference = .allocate(capacity: 1)
        reference.initialize(to: ngtcp2_crypto_conn_ref())
        guard gnutls_priority_set_direct(session, Self.priority, nil) == 0,
            gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, UnsafeMutableRawPointer(credentials.handle)) == 0,
            offer(protocolName)
        else { return nil }
    }

    static func server(_ identity: ServerIdentity, protocolName: String) -> TLSSession? {
        let session = TLSSession(
            flags: cngtcp2_server, credentials: identity.credentials, clients: identity.clients,
            protocolName: protocolName)
        guard let session, ngtcp2_crypto_gnutls_configure_server_session(session.handle) == 0 else { return nil }
        switch identity.clients?.demand {
        case .optional: gnutls_certificate_server_set_request(session.handle, GNUTLS_CERT_REQUEST)
        case .required: gnutls_certificate_server_set_request(session.handle, GNUTLS_CERT_REQUIRE)
        case nil: return session
        }
        session.setVerifyFunction()
        return session
    }

    static func client(_ trust: CheckedTrust, protocolName: String) -> TLSSession? {
        let session = TLSSession(
            flags: cngtcp2_client, credentials: trust.credentials, trust: trust, protocolName: protocolName)
        guard let session, ngtcp2_crypto_gnutls_configure_client_session(session.handle) == 0 else { return nil }
        session.sendServerName()
        session.setVerifyFunction()
        return session
    }

    private func setVerifyFunction() {
        gnutls_session_set_verify_function(handle) { handle in
            guard let handle, let pointer = gnutls_session_get_ptr(handle) else { return -1 }
            let reference = pointer.assumingMemoryBound(to: ngtcp2_crypto_conn_ref.self)
            return Unmanaged<QuicConnection>.fromOpaque(reference.pointee.user_data)._withUnsafeGuaranteedRef {
                $0.tls.verify() ? 0 : -1
            }
        }
    }

    deinit {
        gnutls_deinit(handle)
        reference.deallocate()
    }

    /// Lets the callbacks find the connection, which must outlive the session's last use.
    func attach(to connection: QuicConnection) {
        reference.pointee = ngtcp2_crypto_conn_ref(
            get_conn: { reference in
                Unmanaged<QuicConnection>.fromOpaque(reference!.pointee.user_data)._withUnsafeGuaranteedRef {
                    $0.native
                }
            },
            user_data: Unmanaged.passUnretained(connection).toOpaque())
        gnutls_session_set_ptr(handle, reference)
    }

    /// The application protocol that both sides agreed on.
    var agreedProtocol: String? {
        var selected = gnutls_datum_t()
        guard gnutls_alpn_get_selected_protocol(handle, &selected) == 0, let data = selected.data else { return nil }
        return String(decoding: UnsafeBufferPointer(start: data, count: Int(selected.size)), as: UTF8.self)
    }

    /// Keying material that only the two ends of this session know (RFC 8446, section 7.5).
    func export(label: String, context: [UInt8], count: Int) -> [UInt8]? {
        let label = label.utf8.map { CChar(bitPattern: $0) }
        let context = context.map { CChar(bitPattern: $0) }
        var output = [CChar](repeating: 0, count: count)
        let result = gnutls_prf_rfc5705(handle, label.count, label, context.count, context, count, &output)
        return result == 0 ? output.map { UInt8(bitPattern: $0) } : nil
    }

    private func verify() -> Bool {
        if let trust { complaint = trust.complaint(about: handle) }
        if let clients { complaint = judgeClient(clients) }
        return complaint == nil
    }

    /// Whether a server has what it demands of this client. GnuTLS has ended the handshake where it has not; this holds
    /// whatever GnuTLS does.
    var hasDemandedCertificate: Bool {
        switch clients?.demand {
        case nil: true
        case .required: peerCertificate != nil
        case .optional: peerCertificate != nil || shownChain.isEmpty
        }
    }

    func wasJudged(by other: ClientAuthorities) -> Bool { clients === other }

    private func judgeClient(_ clients: ClientAuthorities) -> CertificateComplaint? {
        let chain = shownChain
        // Without a certificate GnuTLS goes on or not, as it was told.
        if chain.isEmpty { return nil }
        if let complaint = clients.complaint(about: chain) { return complaint }
        peerCertificate = PeerCertificate(chain: chain)
        return peerCertificate == nil ? CertificateComplaint("it cannot be read") : nil
    }

    /// DER, the peer's own first; one more than is accepted at most.
    private var shownChain: [[UInt8]] {
        var count: UInt32 = 0
        guard let list = gnutls_certificate_get_peers(handle, &count) else { return [] }
        return (0..<min(Int(count), ClientAuthorities.maximumChain + 1)).map { index in
            Array(UnsafeBufferPointer(start: list[index].data, count: Int(list[index].size)))
        }
    }

    private func offer(_ name: String) -> Bool {
        withDatum(Array(name.utf8)) {
            gnutls_alpn_set_protocols(handle, $0, 1, UInt32(GNUTLS_ALPN_MANDATORY.rawValue)) == 0
        }
    }

    /// Server Name Indication (RFC 6066, section 3) carries DNS names only.
    private func sendServerName() {
        guard case .name(let name)? = trust?.rule, IPAddress(name) == nil else { return }
        let bytes = Array(name.utf8)
        _ = bytes.withUnsafeBytes { gnutls_server_name_set(handle, GNUTLS_NAME_DNS, $0.baseAddress, $0.count) }
    }
}

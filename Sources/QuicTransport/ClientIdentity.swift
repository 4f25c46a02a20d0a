import CNgtcp2

/// A client's certificate chain and private key, checked and ready for use.
public struct ClientIdentity: Sendable {
    private let chain: [UInt8]
    private let key: [UInt8]

    /// - Parameters:
    ///   - certificateChainPEM: the client's own certificate first, then the authorities between it and the root.
    ///   - privateKeyPEM: the key of the first one, PKCS #8 or SEC 1, not encrypted.
    public init(certificateChainPEM: [UInt8], privateKeyPEM: [UInt8]) throws(IdentityError) {
        chain = certificateChainPEM
        key = privateKeyPEM
        guard let credentials = CertificateCredentials() else { throw .library("out of memory") }
        _ = try credentials.load(certificateChainPEM: chain, privateKeyPEM: key)
    }

    func load(into credentials: CertificateCredentials) throws(IdentityError) {
        _ = try credentials.load(certificateChainPEM: chain, privateKeyPEM: key)
    }
}

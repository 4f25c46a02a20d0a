import Foundation
import PKI
import QuicTransport

/// An authority for clients' certificates, as `penstock pki` would make one.
public final class TestAuthority {
    private var random = SystemRandomNumberGenerator()
    private let authority: CertificateAuthority
    private var revoked: [Revocation] = []

    public init() {
        do {
            authority = try CertificateAuthority(
                name: "Test clients", days: 3_650, now: Date(timeIntervalSinceNow: -864_000), using: &random)
        } catch {
            fatalError("no authority: \(error)")
        }
    }

    public var certificate: [UInt8] { get throws { Array(try authority.certificatePEM.utf8) } }

    /// - Parameter expired: ten days ago for five days.
    public func client(_ name: String, expired: Bool = false) throws -> (identity: ClientIdentity, serial: SerialNumber)
    {
        let issued = try authority.issueClient(
            name: name, days: expired ? 5 : 30, now: Date(timeIntervalSinceNow: expired ? -864_000 : 0), using: &random)
        return (try Self.identity(issued), issued.serial)
    }

    /// A server's certificate in a client's hands.
    public func server() throws -> ClientIdentity {
        try Self.identity(authority.issueServer(names: [.dns("a.test")], days: 30, now: Date(), using: &random))
    }

    public func revoke(_ serial: SerialNumber) { revoked.append(Revocation(serial: serial, date: Date())) }

    public var revocationList: [UInt8] { get throws { try revocationList(ahead: 0) } }

    /// - Parameter ahead: by so many seconds the authority's clock is.
    public func revocationList(ahead: TimeInterval) throws -> [UInt8] {
        Array(try authority.revocationList(revoked, number: 1, now: Date(timeIntervalSinceNow: ahead)).pem.utf8)
    }

    /// With the revocations so far.
    public func rule(_ demand: ClientAuthorities.Demand) throws -> ClientAuthorities {
        try ClientAuthorities(
            demand: demand, authoritiesPEM: certificate, revocationListPEM: revocationList)
    }

    private static func identity(_ issued: IssuedCertificate) throws -> ClientIdentity {
        try ClientIdentity(
            certificateChainPEM: Array(issued.certificatePEM.utf8), privateKeyPEM: Array(issued.privateKeyPEM.utf8))
    }
}

extension Certificates {
    /// The server's certificate with a rule for those of clients.
    public func identity(clients: ClientAuthorities?) throws -> ServerIdentity {
        try ServerIdentity(certificateChainPEM: chain, privateKeyPEM: key, clients: clients)
    }
}

import Crypto
import Foundation
import SwiftASN1
import X509

/// Why an authority cannot be used, or cannot issue what was asked for.
public enum AuthorityError: Error, Hashable, CustomStringConvertible {
    case unreadableCertificate(String)
    case unreadableKey(String)
    case keyDoesNotMatch
    case notAnAuthority
    case noNames
    case badName(String)
    /// What would be issued would outlive its issuer, or has ended already.
    case badValidity
    case library(String)

    public var description: String {
        switch self {
        case .unreadableCertificate(let detail): "the authority's certificate cannot be read (\(detail))"
        case .unreadableKey(let detail): "the authority's key is not an unencrypted PEM key on P-256 (\(detail))"
        case .keyDoesNotMatch: "the authority's key does not belong to its certificate"
        case .notAnAuthority: "the certificate is not that of an authority"
        case .noNames: "a server needs a name or an address"
        case .badName(let name): "'\(name)' is no name that a certificate can have"
        case .badValidity: "the certificate would end before it begins, or after the authority's own"
        case .library(let detail): "the certificate cannot be made (\(detail))"
        }
    }
}

/// A certificate with its private key, as they are written to files.
public struct IssuedCertificate: Sendable {
    public let serial: SerialNumber
    public let certificatePEM: String
    /// PKCS #8, not encrypted.
    public let privateKeyPEM: String
    /// SHA-256 of the SubjectPublicKeyInfo: what a client pins (as in RFC 7469, section 2.4).
    public let pin: [UInt8]
    /// SHA-256 of the certificate.
    public let fingerprint: [UInt8]
}

/// An authority of one level: it issues certificates for servers and clients, none for other authorities, and the list of
/// those that it has revoked. ECDSA on P-256 with SHA-256 throughout.
public struct CertificateAuthority: Sendable {
    /// Clocks differ: what is issued is valid from a little before.
    static let clockTolerance: TimeInterval = 300

    let certificate: Certificate
    let key: P256.Signing.PrivateKey

    public var certificatePEM: String { get throws { try certificate.serializeAsPEM().pemString + "\n" } }
    public var privateKeyPEM: String { key.pemRepresentation + "\n" }
    public var notAfter: Date { certificate.notValidAfter }
    /// The common name.
    public var name: String { commonName(of: certificate.subject) ?? "" }

    /// Makes a new authority with a key of its own.
    /// - Parameters:
    ///   - name: its common name, 1 to 64 characters.
    ///   - days: of its validity.
    public init(
        name: String, days: Int, now: Date, using random: inout some RandomNumberGenerator
    ) throws(AuthorityError) {
        let name = try checkedCommonName(name)
        let key = P256.Signing.PrivateKey()
        let publicKey = Certificate.PublicKey(key.publicKey)
        let period = try Self.period(days: days, now: now, limit: nil)
        do {
            let subject = try DistinguishedName { CommonName(name) }
            let identifier = SubjectKeyIdentifier(hash: publicKey)
            certificate = try Certificate(
                version: .v3, serialNumber: SerialNumber(using: &random).native, publicKey: publicKey,
                notValidBefore: period.start, notValidAfter: period.end, issuer: subject, subject: subject,
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: Certificate.Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                    identifier
                },
                issuerPrivateKey: Certificate.PrivateKey(key))
        } catch {
            throw .library("\(error)")
        }
        self.key = key
    }

    /// Reads an authority from its files.
    public init(certificatePEM: String, privateKeyPEM: String) throws(AuthorityError) {
        do {
            certificate = try Certificate(pemEncoded: certificatePEM)
        } catch {
            throw .unreadableCertificate("\(error)")
        }
        do {
            key = try P256.Signing.PrivateKey(pemRepresentation: privateKeyPEM)
        } catch {
            throw .unreadableKey("\(error)")
        }
        guard certificate.publicKey == Certificate.PublicKey(key.publicKey) else { throw .keyDoesNotMatch }
        guard case .isCertificateAuthority? = try? certificate.extensions.basicConstraints else {
            throw .notAnAuthority
        }
    }

    /// A certificate for a server, with a new key.
    /// - Parameter names: what clients call it by: DNS names (a wildcard as the first label is allowed) and IP
    ///   addresses. The first one is also the common name.
    public func issueServer(
        names: [ServerName], days: Int, now: Date, using random: inout some RandomNumberGenerator
    ) throws(AuthorityError) -> IssuedCertificate {
        guard let first = names.first else { throw .noNames }
        let common = first.description.utf8.count <= 64 ? first.description : ""
        return try issue(
            common, .serverAuth, names: names.map(\.generalName), days: days, now: now, using: &random)
    }

    /// A certificate for a client, with a new key.
    /// - Parameter name: the common name, by which a server knows the user.
    public func issueClient(
        name: String, days: Int, now: Date, using random: inout some RandomNumberGenerator
    ) throws(AuthorityError) -> IssuedCertificate {
        let name = try checkedClientName(name)
        return try issue(
            name, .clientAuth, names: [], days: days, now: now, using: &random)
    }

    private func issue(
        _ name: String, _ usage: ExtendedKeyUsage.Usage, names: [GeneralName], days: Int, now: Date,
        using random: inout some RandomNumberGenerator
    ) throws(AuthorityError) -> IssuedCertificate {
        let key = P256.Signing.PrivateKey()
        let serial = SerialNumber(using: &random)
        let period = try Self.period(days: days, now: now, limit: certificate.notValidAfter)
        do {
            let publicKey = Certificate.PublicKey(key.publicKey)
            let usages = try ExtendedKeyUsage([usage])
            let issued = try Certificate(
                version: .v3, serialNumber: serial.native, publicKey: publicKey, notValidBefore: period.start,
                notValidAfter: period.end, issuer: certificate.subject,
                subject: try DistinguishedName { if !name.isEmpty { CommonName(name) } },
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    Critical(KeyUsage(digitalSignature: true))
                    usages
                    if !names.isEmpty { SubjectAlternativeNames(names) }
                    SubjectKeyIdentifier(hash: publicKey)
                    AuthorityKeyIdentifier(
                        keyIdentifier: SubjectKeyIdentifier(hash: certificate.publicKey).keyIdentifier)
                },
                issuerPrivateKey: Certificate.PrivateKey(self.key))
            let document = try issued.serializeAsPEM()
            return IssuedCertificate(
                serial: serial, certificatePEM: document.pemString + "\n", privateKeyPEM: key.pemRepresentation + "\n",
                pin: Array(SHA256.hash(data: key.publicKey.derRepresentation)),
                fingerprint: Array(SHA256.hash(data: document.derBytes)))
        } catch {
            throw .library("\(error)")
        }
    }

    /// Whole seconds, as certificates have them.
    private static func period(
        days: Int, now: Date, limit: Date?
    ) throws(AuthorityError) -> (start: Date, end: Date) {
        let now = now.timeIntervalSince1970.rounded(.down)
        let end = Date(timeIntervalSince1970: now + Double(days) * 86_400)
        let start = Date(timeIntervalSince1970: now - clockTolerance)
        guard days > 0, end <= limit ?? end else { throw .badValidity }
        return (start, end)
    }
}

func commonName(of name: DistinguishedName) -> String? {
    for part in name {
        for attribute in part where attribute.type == .RDNAttributeType.commonName {
            return attribute.value.description
        }
    }
    return nil
}

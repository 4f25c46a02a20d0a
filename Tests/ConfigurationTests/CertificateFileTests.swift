import Foundation
import PKI
import TestSupport
import Testing

@testable import Configuration

/// Certificates, keys and lists that do not fit together, found when the file is read.
@Suite struct CertificateFileTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func authority(_ name: String) throws -> CertificateAuthority {
        var random = SystemRandomNumberGenerator()
        return try CertificateAuthority(name: name, days: 30, now: Date(), using: &random)
    }

    private let clients = "client-certificates: { demand: optional, ca-file: ca.crt, crl-file: ca.crl }\n"
    private let noPEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

    @Test func aServersCertificateThatIsNone() throws {
        try folder.write("server.crt", noPEM)
        let problem = serverProblems(minimalServer, in: folder)
        #expect(
            problem.hasPrefix("s.yaml:2:19: 'certificate-file' names server.crt: the certificate is not a readable"))
        #expect(problem.hasSuffix("; make one with 'penstock pki server NAME --output FILE', or copy it again"))
    }

    @Test func aServersKeyThatIsNone() throws {
        try folder.write("server.key", noPEM.replacing("CERTIFICATE", with: "EC PRIVATE KEY"), mode: 0o600)
        let problem = serverProblems(minimalServer, in: folder)
        #expect(
            problem.hasPrefix("s.yaml:3:19: 'private-key-file' names server.key: the private key is not a readable"))
        #expect(problem.hasSuffix("; one with a password is opened by: openssl pkey -in server.key"))
    }

    @Test func aKeyOfAnotherCertificate() throws {
        var random = SystemRandomNumberGenerator()
        let other = try authority("Others").issueServer(names: [.dns("a.test")], days: 1, now: Date(), using: &random)
        try folder.write("server.key", other.privateKeyPEM, mode: 0o600)
        #expect(
            serverProblems(minimalServer, in: folder)
                == "s.yaml:3:19: 'private-key-file' names server.key, which does not belong to the first certificate of "
                + "server.crt; name the two files that one 'penstock pki server NAME --output FILE' has made")
        let client = minimalClient + "certificate-file: server.crt\nprivate-key-file: server.key\n"
        let problem = clientProblems(client, in: folder)
        #expect(
            problem.hasPrefix("c.yaml:5:19: 'private-key-file' names server.key, which does not belong to"))
        #expect(problem.contains("that one 'penstock pki client NAME' has made"))
    }

    @Test func authoritiesThatAreNone() throws {
        try folder.write("ca.crt", noPEM)
        let problem = clientProblems(minimalClient, in: folder)
        #expect(problem.hasPrefix("c.yaml:2:19: 'trust.ca-file' names ca.crt: the authorities are not readable"))
        #expect(problem.hasSuffix("; copy ca.crt of 'penstock pki init' again, or name another"))
        try folder.write("ca.crl", noPEM.replacing("CERTIFICATE", with: "X509 CRL"))
        let server = serverProblems(minimalServer + clients, in: folder)
        #expect(server.hasPrefix("s.yaml:5:51: 'client-certificates.ca-file' names ca.crt: the authorities are not"))
        // Also where nobody is asked for one yet.
        #expect(
            serverProblems(minimalServer + clients.replacing("optional", with: "none"), in: folder)
                .contains("'client-certificates.ca-file' names ca.crt"))
    }

    @Test func listsThatAreNoneOrOfOthers() throws {
        let (own, other) = (try authority("Clients"), try authority("Others"))
        try folder.write("ca.crt", own.certificatePEM)
        try folder.write("ca.crl", noPEM.replacing("CERTIFICATE", with: "X509 CRL"))
        let problem = serverProblems(minimalServer + clients, in: folder)
        #expect(
            problem.hasPrefix("s.yaml:5:69: 'client-certificates.crl-file' names ca.crl: the revocation list is not"))
        #expect(problem.hasSuffix("; name ca.crl of 'penstock pki', or leave 'crl-file' out"))
        try folder.write("ca.crl", other.revocationList([], number: 1, now: Date()).pem)
        #expect(
            serverProblems(minimalServer + clients, in: folder)
                == "s.yaml:5:69: 'client-certificates.crl-file' names ca.crl: the revocation list was not signed by one of the "
                + "authorities, or its date is in the future; name ca.crl beside ca.crt, of the same authority")
        try folder.write("ca.crl", own.revocationList([], number: 1, now: Date()).pem)
        #expect(serverProblems(minimalServer + clients, in: folder) == "")
    }

    @Test func aVariableIsNamedInPlaceOfTheLine() throws {
        try folder.write("other.crt", noPEM)
        let environment = EnvironmentSettings(["PENSTOCK_CERTIFICATE_FILE": "other.crt"])
        let problem = problems(in: folder) { () throws(ConfigurationError) in
            _ = try ServerConfiguration.parse(minimalServer, file: folder("s.yaml"), environment: environment)
        }
        #expect(problem.hasPrefix("PENSTOCK_CERTIFICATE_FILE: 'certificate-file' names other.crt: "))
    }
}

import Foundation
import PKI
import SimNet
import Testing

/// What the authority issues, as openssl reads and judges it.
@Suite final class AuthorityTests {
    private var random = SeededRandom(seed: 1)
    private let openssl: OpenSSL
    private let now = Date()

    init() throws { openssl = try OpenSSL() }

    private func authority(days: Int = 3_650) throws -> CertificateAuthority {
        let authority = try CertificateAuthority(name: "Test authority", days: days, now: now, using: &random)
        try openssl.write("ca.crt", authority.certificatePEM)
        return authority
    }

    private func server(_ authority: CertificateAuthority, days: Int = 825) throws -> IssuedCertificate {
        let names = [
            try #require(ServerName.dns(checking: "VPN.example.org.")),
            try #require(ServerName.dns(checking: "*.example.net")),
            .address([192, 0, 2, 1], text: "192.0.2.1"),
            .address([0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [7], text: "2001:db8::7"),
        ]
        let issued = try authority.issueServer(names: names, days: days, now: now, using: &random)
        try openssl.write("server.crt", issued.certificatePEM)
        try openssl.write("server.key", issued.privateKeyPEM)
        return issued
    }

    @Test func theAuthorityMaySignCertificatesAndListsAloneAndNoAuthority() throws {
        _ = try authority()
        let text = try openssl.run("x509", "-in", "ca.crt", "-noout", "-text").output
        #expect(text.contains("CA:TRUE, pathlen:0"))
        #expect(text.contains("Certificate Sign, CRL Sign\n"))
        #expect(text.contains("ASN1 OID: prime256v1"))
        #expect(text.contains("Subject: CN = Test authority"))
        #expect(text.contains("X509v3 Basic Constraints: critical"))
        #expect(text.contains("X509v3 Key Usage: critical"))
        #expect(try openssl.run("verify", "-CAfile", "ca.crt", "ca.crt").output == "ca.crt: OK\n")
    }

    @Test func aServersCertificate() throws {
        let issued = try server(authority())
        let text = try openssl.run("x509", "-in", "server.crt", "-noout", "-text").output
        #expect(
            text.contains(
                "DNS:vpn.example.org, DNS:*.example.net, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:7"))
        #expect(text.contains("Subject: CN = vpn.example.org"))
        #expect(text.contains("TLS Web Server Authentication\n"))
        #expect(text.contains("CA:FALSE"))
        let verify = { (purpose: String) in
            try self.openssl.run("verify", "-x509_strict", "-CAfile", "ca.crt", "-purpose", purpose, "server.crt")
        }
        #expect(try verify("sslserver").status == 0)
        #expect(try verify("sslclient").status != 0)
        // The pin is what openssl makes of the key.
        _ = try openssl.run("pkey", "-in", "server.key", "-pubout", "-outform", "der", "-out", "public.der")
        let digest = try openssl.run("dgst", "-sha256", "-hex", "public.der").output
        #expect(digest.contains(hex(issued.pin)))
        let fingerprint = try openssl.run("x509", "-in", "server.crt", "-noout", "-fingerprint", "-sha256").output
        #expect(fingerprint.replacing(":", with: "").lowercased().contains(hex(issued.fingerprint)))
        let serial = try openssl.run("x509", "-in", "server.crt", "-noout", "-serial").output
        #expect(serial.lowercased() == "serial=\(issued.serial)\n")
    }

    @Test func aClientsCertificate() throws {
        let issued = try authority().issueClient(name: "alice@laptop", days: 30, now: now, using: &random)
        try openssl.write("client.crt", issued.certificatePEM)
        let text = try openssl.run("x509", "-in", "client.crt", "-noout", "-text").output
        #expect(text.contains("Subject: CN = alice@laptop"))
        #expect(!text.contains("Subject Alternative Name"))
        #expect(text.contains("TLS Web Client Authentication\n"))
        let verify = { (purpose: String) in
            try self.openssl.run("verify", "-x509_strict", "-CAfile", "ca.crt", "-purpose", purpose, "client.crt")
        }
        #expect(try verify("sslclient").status == 0)
        #expect(try verify("sslserver").status != 0)
    }

    @Test func theRevocationListIsBelievedByOpenSSL() throws {
        let authority = try authority()
        let good = try server(authority)
        let bad = try authority.issueClient(name: "bob", days: 30, now: now, using: &random)
        try openssl.write("bad.crt", bad.certificatePEM)
        let verify = { (file: String) in
            try self.openssl.run(
                "verify", "-x509_strict", "-CAfile", "ca.crt", "-crl_check", "-CRLfile", "ca.crl", file)
        }
        try openssl.write("ca.crl", authority.revocationList([], number: 1, now: now).pem)
        #expect(try verify("bad.crt").status == 0)
        let list = try authority.revocationList([Revocation(serial: bad.serial, date: now)], number: 2, now: now)
        try openssl.write("ca.crl", list.pem)
        let refused = try verify("bad.crt")
        #expect(refused.status != 0 && refused.output.contains("certificate revoked"))
        #expect(try verify("server.crt").status == 0)
        let text = try openssl.run("crl", "-in", "ca.crl", "-noout", "-text", "-CAfile", "ca.crt").output
        #expect(text.contains("verify OK"))
        #expect(text.contains("Version 2 (0x1)"))
        #expect(text.contains("Issuer: CN = Test authority"))
        #expect(text.lowercased().contains("serial number: \(bad.serial)"))
        #expect(!text.lowercased().contains("\(good.serial)"))
        #expect(text.contains("X509v3 CRL Number: \n                2\n"))
        #expect(text.contains("X509v3 Authority Key Identifier"))
    }

    /// From 2050 on, times have another form.
    @Test func anAuthorityForACenturyHasAList() throws {
        let authority = try authority(days: 36_500)
        try openssl.write("ca.crl", authority.revocationList([], number: 1, now: now).pem)
        let text = try openssl.run("crl", "-in", "ca.crl", "-noout", "-nextupdate", "-CAfile", "ca.crt").output
        #expect(text.contains("verify OK"))
        #expect(text.contains("nextUpdate=\(try endDate("ca.crt"))"))
    }

    private func endDate(_ file: String) throws -> String {
        try openssl.run("x509", "-in", file, "-noout", "-enddate").output
            .replacing("notAfter=", with: "").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    @Test func anAuthorityIsReadBack() throws {
        let authority = try authority()
        let again = try CertificateAuthority(
            certificatePEM: authority.certificatePEM, privateKeyPEM: authority.privateKeyPEM)
        _ = try server(again)
        #expect(try openssl.run("verify", "-CAfile", "ca.crt", "server.crt").status == 0)
        let other = try CertificateAuthority(name: "Other", days: 1, now: now, using: &random)
        #expect(throws: AuthorityError.keyDoesNotMatch) {
            try CertificateAuthority(certificatePEM: authority.certificatePEM, privateKeyPEM: other.privateKeyPEM)
        }
        let leaf = try server(authority)
        #expect(throws: AuthorityError.notAnAuthority) {
            try CertificateAuthority(certificatePEM: leaf.certificatePEM, privateKeyPEM: leaf.privateKeyPEM)
        }
        for junk in ["", "junk", authority.privateKeyPEM] {
            #expect {
                try CertificateAuthority(certificatePEM: junk, privateKeyPEM: authority.privateKeyPEM)
            } throws: {
                if case AuthorityError.unreadableCertificate = $0 { true } else { false }
            }
        }
        for junk in ["", "junk", try authority.certificatePEM] {
            #expect {
                try CertificateAuthority(certificatePEM: authority.certificatePEM, privateKeyPEM: junk)
            } throws: {
                if case AuthorityError.unreadableKey = $0 { true } else { false }
            }
        }
    }

    @Test func nothingOutlivesItsAuthority() throws {
        let authority = try authority(days: 10)
        #expect(throws: AuthorityError.badValidity) { try server(authority, days: 11) }
        #expect(throws: AuthorityError.badValidity) { try server(authority, days: 0) }
        #expect(throws: AuthorityError.badValidity) { try server(authority, days: -3) }
        _ = try server(authority, days: 10)
    }

    @Test func serialNumbersDiffer() throws {
        let authority = try authority()
        let serials = try (0..<20).map { _ in
            try authority.issueClient(name: "a", days: 1, now: now, using: &random).serial
        }
        #expect(Set(serials).count == 20)
        #expect(serials.allSatisfy { $0.bytes.count == 16 && (1...127).contains($0.bytes[0]) })
    }

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

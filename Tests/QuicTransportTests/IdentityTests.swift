import Foundation
import Primitives
import QuicTransport
import SimNet
import TestSupport
import Testing

/// Whom a client believes, and what it says when it does not.
@Suite struct IdentityTests {
    private func outcome(
        _ trust: ServerTrust?, certificates: Certificates = .valid
    ) throws -> (client: CloseReason?, server: CloseReason?) {
        var options = Pair.Options()
        options.certificates = certificates
        options.trust = trust
        let pair = try Pair(options)
        pair.run(for: .seconds(5)) {
            ($0.clientSide.isEstablished && $0.serverSide.isEstablished)
                || ($0.clientSide.closeReason != nil && $0.serverSide.closeReason != nil)
        }
        return (pair.clientSide.closeReason, pair.serverSide.closeReason)
    }

    private func complaint(_ trust: ServerTrust?, certificates: Certificates = .valid) throws -> String {
        let result = try outcome(trust, certificates: certificates)
        // The server learns that it was refused by a TLS alert.
        if case .peerClosed(let code, false, _)? = result.server {
            #expect((0x100...0x1FF).contains(code))
        } else {
            Issue.record("the server saw \(String(describing: result.server))")
        }
        guard case .certificateRejected(let text)? = result.client else {
            Issue.record("the client saw \(String(describing: result.client))")
            return ""
        }
        return text
    }

    @Test(arguments: ["server.test", "127.0.0.1", "::1"])
    func rightAuthorityAndName(name: String) throws {
        #expect(try outcome(.authorities(pem: Certificates.valid.authority, serverName: name)).client == nil)
    }

    @Test func wrongAuthority() throws {
        let text = try complaint(.authorities(pem: Certificates.other.authority, serverName: "server.test"))
        #expect(text.contains("not issued by the authority"))
    }

    @Test(arguments: ["other.test", "127.0.0.2", "test"])
    func wrongName(name: String) throws {
        let text = try complaint(.authorities(pem: Certificates.valid.authority, serverName: name))
        #expect(text.contains("for another name than \(name)"))
    }

    @Test func expiredCertificate() throws {
        let trust = ServerTrust.authorities(pem: Certificates.expired.authority, serverName: "server.test")
        #expect(try complaint(trust, certificates: .expired).contains("expired"))
    }

    @Test func rightPinNeedsNoAuthorityNoNameAndNoDate() throws {
        for certificates in [Certificates.valid, .expired] {
            let pin = try certificates.identity.pin
            #expect(try outcome(.pinnedKey(sha256: pin), certificates: certificates).client == nil)
        }
    }

    @Test func wrongPin() throws {
        let wrong = try Certificates.other.identity.pin
        let text = try complaint(.pinnedKey(sha256: wrong))
        #expect(text.contains("expected \(pinText(wrong))"))
        #expect(text.contains("got \(Certificates.valid.pinText)"))
    }

    @Test func pinIsWhatTheScriptPrints() throws {
        #expect(pinText(try Certificates.valid.identity.pin) == Certificates.valid.pinText)
    }

    @Test func identityErrorsSayWhatIsWrong() throws {
        let good = Certificates.valid
        #expect(throws: IdentityError.keyDoesNotMatchCertificate) {
            try ServerIdentity(certificateChainPEM: good.chain, privateKeyPEM: Certificates.other.key)
        }
        for junk in [[], Array("junk".utf8), good.key] {
            #expect {
                try ServerIdentity(certificateChainPEM: junk, privateKeyPEM: good.key)
            } throws: {
                if case IdentityError.unreadableCertificate = $0 { true } else { false }
            }
        }
        for junk in [[], Array("junk".utf8), good.chain] {
            #expect {
                try ServerIdentity(certificateChainPEM: good.chain, privateKeyPEM: junk)
            } throws: {
                if case IdentityError.unreadableKey = $0 { true } else { false }
            }
        }
    }

    @Test func trustErrorsSayWhatIsWrong() throws {
        func error(_ trust: ServerTrust) -> TrustError? {
            do {
                _ = try QuicConnection.client(
                    to: Pair.serverAddress, local: Pair.serverAddress, trust: trust,
                    pool: BlockPool(byteLimit: 1 << 20),
                    random: SeededRandom(seed: 1), now: Instant(nanoseconds: 1))
                return nil
            } catch {
                if case .trust(let error) = error { return error }
                return nil
            }
        }
        #expect(error(.pinnedKey(sha256: [1, 2, 3])) == .badPinLength(3))
        #expect(error(.authorities(pem: Certificates.valid.authority, serverName: "")) == .emptyServerName)
        for junk in [[], Array("junk".utf8), Certificates.valid.key] {
            switch error(.authorities(pem: junk, serverName: "a")) {
            case .unreadableAuthorities, .noAuthorities: break
            case let other: Issue.record("\(String(describing: other))")
            }
        }
    }

    @Test func otherProtocolIsRefused() throws {
        var options = Pair.Options()
        options.client.applicationProtocol = "other/1"
        let pair = try Pair(options)
        #expect(pair.run(for: .seconds(5)) { $0.clientSide.closeReason != nil })
        #expect(pair.clientSide.closeReason == .alpnMismatch)
        #expect(pair.serverSide.closeReason == .alpnMismatch)
    }

    @Test func bothEndsExportTheSameKeyingMaterial() throws {
        let pair = try Pair()
        try pair.connect()
        let server = try #require(pair.server)
        let a = pair.client.exportKeyingMaterial(label: "EXPORTER-penstock", context: [1, 2], count: 32)
        #expect(a?.count == 32)
        #expect(a == server.exportKeyingMaterial(label: "EXPORTER-penstock", context: [1, 2], count: 32))
        #expect(a != server.exportKeyingMaterial(label: "EXPORTER-penstock", context: [1, 3], count: 32))
        #expect(a != server.exportKeyingMaterial(label: "EXPORTER-other", context: [1, 2], count: 32))
        let other = try Pair()
        try other.connect()
        #expect(a != other.client.exportKeyingMaterial(label: "EXPORTER-penstock", context: [1, 2], count: 32))
    }

    @Test func scriptRefusesToOverwriteAndKeepsTheKeyPrivate() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "penstock-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        #expect(try Certificates.run([directory.path, "a.test"]).status == 0)
        let key = directory.appending(path: "server.key")
        let mode = try FileManager.default.attributesOfItem(atPath: key.path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let before = try Data(contentsOf: key)
        let again = try Certificates.run([directory.path, "a.test"])
        #expect(again.status != 0 && again.output.contains("exists"))
        #expect(try Data(contentsOf: key) == before)
        #expect(try Certificates.run([directory.path]).output.contains("usage"))
        #expect(try Certificates.run([directory.path + "/other", "a b"]).output.contains("not a DNS name"))
    }
}

import PKI
import Primitives
import SimNet
import TestSupport
import Testing

@testable import QuicTransport

/// Clients that show a certificate, and servers that ask for one.
@Suite struct ClientCertificateTests {
    private let authority = TestAuthority()

    private func pair(_ rule: ClientAuthorities?, _ identity: ClientIdentity?) throws -> Pair {
        var options = Pair.Options()
        options.clients = rule
        options.clientIdentity = identity
        let pair = try Pair(options)
        pair.run(for: .seconds(5)) {
            ($0.clientSide.isEstablished && $0.serverSide.isEstablished)
                || ($0.clientSide.closeReason != nil && $0.serverSide.closeReason != nil)
        }
        return pair
    }

    /// What the server says, after the client was told by this TLS alert.
    private func refusal(
        _ rule: ClientAuthorities, _ identity: ClientIdentity?, alert: UInt64
    ) throws -> CloseReason? {
        let pair = try pair(rule, identity)
        guard case .peerClosed(let code, false, _)? = pair.clientSide.closeReason else {
            Issue.record("the client saw \(String(describing: pair.clientSide.closeReason))")
            return nil
        }
        #expect(code == 0x100 + alert)
        #expect(!pair.serverSide.isEstablished)
        return pair.serverSide.closeReason
    }

    @Test(arguments: [ClientAuthorities.Demand.optional, .required])
    func aGoodCertificateIsKnownToTheServer(demand: ClientAuthorities.Demand) throws {
        let alice = try authority.client("alice")
        let pair = try pair(authority.rule(demand), alice.identity)
        try #require(pair.serverSide.isEstablished && pair.clientSide.isEstablished)
        let certificate = try #require(pair.server?.peerCertificate)
        #expect(certificate.commonName == "alice")
        #expect(certificate.serial == alice.serial.bytes)
        #expect(pair.client.peerCertificate == nil)
    }

    /// A list comes from another machine, whose clock may be ahead; at the same one the seconds of a file's time may be behind.
    @Test func aRevocationListOfAClockThatIsAhead() throws {
        for ahead in [0.0, 1, 240] {
            _ = try ClientAuthorities(
                demand: .required, authoritiesPEM: authority.certificate,
                revocationListPEM: authority.revocationList(ahead: ahead))
        }
        #expect(throws: ClientAuthoritiesError.foreignRevocationList) {
            _ = try ClientAuthorities(
                demand: .required, authoritiesPEM: authority.certificate,
                revocationListPEM: authority.revocationList(ahead: 3_600))
        }
    }

    @Test func whereNobodyAsksNothingIsShown() throws {
        let pair = try pair(nil, authority.client("alice").identity)
        #expect(pair.serverSide.isEstablished)
        #expect(pair.server?.peerCertificate == nil)
    }

    @Test func withoutACertificate() throws {
        let optional = try pair(authority.rule(.optional), nil)
        #expect(optional.serverSide.isEstablished)
        #expect(optional.server?.peerCertificate == nil)
        let reason = try refusal(authority.rule(.required), nil, alert: 116)
        #expect(reason != nil)
    }

    @Test func anExpiredCertificate() throws {
        let identity = try authority.client("alice", expired: true).identity
        #expect(
            try refusal(authority.rule(.optional), identity, alert: 45) == .certificateRejected("it has expired"))
    }

    @Test func aServersCertificateIsNoClients() throws {
        let reason = try refusal(authority.rule(.required), authority.server(), alert: 43)
        #expect(reason == .certificateRejected("it is not meant for clients"))
    }

    @Test func aRevokedCertificate() throws {
        let (alice, bob) = (try authority.client("alice"), try authority.client("bob"))
        authority.revoke(bob.serial)
        let reason = try refusal(authority.rule(.required), bob.identity, alert: 44)
        #expect(reason == .certificateRejected("it was revoked"))
        #expect(try pair(authority.rule(.required), alice.identity).serverSide.isEstablished)
    }

    /// The authority has the same name, but not the same key.
    @Test(arguments: [ClientAuthorities.Demand.optional, .required])
    func aCertificateOfAnotherAuthority(demand: ClientAuthorities.Demand) throws {
        let mallory = try TestAuthority().client("alice").identity
        guard case .certificateRejected(let text)? = try refusal(authority.rule(demand), mallory, alert: 48) else {
            Issue.record("the server has another reason")
            return
        }
        #expect(text.contains("not issued by the authority"))
    }

    @Test func aConnectionIsJudgedAnew() throws {
        let alice = try authority.client("alice")
        let pair = try pair(authority.rule(.optional), alice.identity)
        let server = try #require(pair.server)
        let certificates = Certificates.valid
        #expect(server.certificateComplaint(under: try certificates.identity(clients: nil)) == nil)
        #expect(
            server.certificateComplaint(under: try certificates.identity(clients: authority.rule(.required))) == nil)
        authority.revoke(alice.serial)
        #expect(
            server.certificateComplaint(under: try certificates.identity(clients: authority.rule(.optional)))
                == "it was revoked")
        let others = try certificates.identity(clients: TestAuthority().rule(.optional))
        #expect(server.certificateComplaint(under: others)?.contains("not issued by the authority") == true)
        let anonymous = try self.pair(nil, nil)
        #expect(
            anonymous.server?.certificateComplaint(under: try certificates.identity(clients: authority.rule(.required)))
                == "none was shown")
        #expect(
            anonymous.server?.certificateComplaint(under: try certificates.identity(clients: authority.rule(.optional)))
                == nil)
    }

    /// What comes of a chain that no honest client shows.
    @Test func hostileChains() throws {
        let rule = try authority.rule(.required)
        #expect(rule.complaint(about: []) != nil)
        #expect(rule.complaint(about: [[]])?.text == "it cannot be read")
        #expect(rule.complaint(about: [[0x30, 0x80, 1, 2, 3]])?.text == "it cannot be read")
        let many = [[UInt8]](repeating: [0x30, 0], count: ClientAuthorities.maximumChain + 1)
        #expect(rule.complaint(about: many)?.text == "its chain is too long")
        let large = [[UInt8](repeating: 0x30, count: ClientAuthorities.maximumChainBytes + 1)]
        #expect(rule.complaint(about: large)?.text == "its chain is too long")
    }

    @Test func settingsThatCannotBeUsed() throws {
        let good = try authority.certificate
        for junk in [[], Array("junk".utf8)] {
            #expect {
                try ClientAuthorities(demand: .optional, authoritiesPEM: junk)
            } throws: {
                switch $0 as? ClientAuthoritiesError {
                case .unreadableAuthorities, .noAuthorities: true
                default: false
                }
            }
            #expect {
                try ClientAuthorities(demand: .optional, authoritiesPEM: good, revocationListPEM: junk)
            } throws: {
                switch $0 as? ClientAuthoritiesError {
                case .unreadableRevocationList, .noRevocationList: true
                default: false
                }
            }
        }
        let foreign = try TestAuthority().revocationList
        #expect(throws: ClientAuthoritiesError.foreignRevocationList) {
            try ClientAuthorities(demand: .optional, authoritiesPEM: good, revocationListPEM: foreign)
        }
        // A list that was changed by one bit.
        var text = String(decoding: try authority.revocationList, as: UTF8.self)
        let lines = text.split(separator: "\n")
        text.replace(lines[lines.count - 2], with: String(lines[lines.count - 2].reversed()))
        #expect(throws: (any Error).self) {
            try ClientAuthorities(demand: .optional, authoritiesPEM: good, revocationListPEM: Array(text.utf8))
        }
    }
}

import Client
import Primitives
import QuicTransport
import Sealing
import Server
import SimNet
import TestSupport
import Testing

/// Settings that change under a running server.
struct ReconfigureTests {
    private static let echo = "203.0.113.2:7"

    private static func connected(
        configureClient: (inout ClientSettings) -> Void = { _ in },
        configureServer: @escaping (inout ServerSettings) -> Void = { _ in }
    ) throws -> Simulation {
        let net = try Simulation(seed: 1, configureClient: configureClient, configureServer: configureServer)
        net.services[Endpoint(echo)!] = .echo
        #expect(net.run { net.client.isConnected })
        return net
    }

    /// The bytes that an echo service returns.
    private static func echoes(_ net: Simulation, _ application: SimTCPPeer) -> Bool {
        let bytes = SimSocket.bytes(1_000)
        _ = application.write(bytes)
        var got: [UInt8] = []
        return net.run(for: .seconds(10)) {
            got += application.read()
            return got == bytes
        }
    }

    @Test func aStricterPolicyHoldsForNewFlowsAlone() throws {
        let net = try Self.connected()
        let old = net.application(to: Self.echo)
        #expect(net.run { old.state == .established })
        var settings = net.server.settings
        settings.policy = DialPolicy(deny: [try #require(IPPrefix("203.0.113.0/24"))])
        net.server.reconfigure(settings, now: net.now)
        let new = net.application(to: Self.echo)
        #expect(net.run(for: .seconds(10)) { new.receivedRST || new.state == .closed })
        #expect(new.state != .established)
        #expect(Self.echoes(net, old))
        #expect(net.client.isConnected)
    }

    @Test func aLowerLimitEndsNoFlow() throws {
        let net = try Self.connected()
        let flows = (0..<3).map { _ in net.application(to: Self.echo) }
        #expect(net.run { flows.allSatisfy { $0.state == .established } })
        var settings = net.server.settings
        settings.maximumFlowsPerConnection = 1
        net.server.reconfigure(settings, now: net.now)
        let late = net.application(to: Self.echo)
        net.run(for: .seconds(10))
        #expect(late.state != .established)
        for flow in flows { #expect(Self.echoes(net, flow)) }
    }

    /// A client that is connected keeps its connection; one that comes later sees the other certificate.
    @Test func anotherCertificateIsForNewConnections() throws {
        let net = try Self.connected()
        net.server.replaceIdentity(try Certificates.other.identity, now: net.now)
        #expect(Self.echoes(net, net.application(to: Self.echo)))
        #expect(net.client.isConnected)
        net.client.abandonPath("for the test", now: net.now)
        #expect(
            net.run(for: .seconds(10)) {
                net.clientEvents.contains {
                    if case .disconnected(let reason, _) = $0 {
                        reason.contains("not issued by the authority")
                    } else {
                        false
                    }
                }
            })
    }

    @Test func otherCiphersAreForNewConnections() throws {
        let net = try Self.connected()
        var settings = net.server.settings
        settings.ciphers = [.chacha20poly1305]
        net.server.reconfigure(settings, now: net.now)
        #expect(Self.echoes(net, net.application(to: Self.echo)))
        net.client.abandonPath("for the test", now: net.now)
        #expect(net.run(for: .seconds(10)) { Self.reasons(net).contains { $0.contains("cipher") } })
    }

    @Test func keysThatShallLiveShorterEndSooner() throws {
        let net = try Self.connected()
        var settings = net.client.settings
        settings.rekeyInterval = .seconds(10)
        net.client.reconfigure(settings)
        #expect(net.run(for: .seconds(12)) { net.client.counters.rekeys == 1 })
        #expect(Self.echoes(net, net.application(to: Self.echo)))
        #expect(net.client.counters.connects == 1)
    }

    @Test func aRevokedClientIsSentAwayAtOnceAndNotTakenAgain() throws {
        let authority = TestAuthority()
        let alice = try authority.client("alice")
        let identity = try Certificates.valid.identity(clients: authority.rule(.required))
        let net = try Self.connected(
            configureClient: { $0.identity = alice.identity }, configureServer: { $0.identity = identity })
        let flow = net.application(to: Self.echo)
        #expect(net.run { flow.state == .established })

        // Somebody else's revocation changes nothing.
        authority.revoke(try authority.client("bob").serial)
        net.server.replaceIdentity(
            try Certificates.valid.identity(clients: authority.rule(.required)), now: net.now)
        #expect(Self.echoes(net, flow))

        authority.revoke(alice.serial)
        net.server.replaceIdentity(
            try Certificates.valid.identity(clients: authority.rule(.required)), now: net.now)
        #expect(net.server.counters.flowsOpen == 0)
        #expect(net.run(for: .seconds(1)) { !net.client.isConnected })
        #expect(net.server.counters.certificatesRefused == 1)
        #expect(
            net.notices.contains(
                .certificateRefused(Simulation.clientAddress, name: "alice", reason: "it was revoked")))
        #expect(net.run(for: .seconds(30)) { Self.reasons(net).contains { $0.contains("revoked") } })
        net.run(for: .seconds(60))
        #expect(!net.client.isConnected)
    }

    /// The list changes between the first packet and the last of the handshake, which is judged by the former one.
    @Test func aClientThatIsRevokedDuringItsHandshakeIsRefused() throws {
        let authority = TestAuthority()
        let alice = try authority.client("alice")
        let identity = try Certificates.valid.identity(clients: authority.rule(.required))
        let net = try Simulation(
            link: LinkConditions(delay: .milliseconds(50)), seed: 1, configureClient: { $0.identity = alice.identity },
            configureServer: { $0.identity = identity })
        try #require(net.run(for: .seconds(5)) { net.server.counters.connectionsAccepted == 1 })
        authority.revoke(alice.serial)
        net.server.replaceIdentity(
            try Certificates.valid.identity(clients: authority.rule(.required)), now: net.now)
        #expect(net.run(for: .seconds(5)) { net.server.counters.certificatesRefused == 1 })
        #expect(!net.client.isConnected && net.server.counters.flowsOpened == 0)
    }

    private static func reasons(_ net: Simulation) -> [String] {
        net.clientEvents.compactMap { if case .disconnected(let reason, _) = $0 { reason } else { nil } }
    }
}

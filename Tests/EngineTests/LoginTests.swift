import Primitives
import QuicTransport
import Sealing
import SimNet
import TestSupport
import Testing
import Tunnel
import Users

@testable import Client
@testable import Server

/// Who may come in, and how those are told who may not.
struct LoginTests {
    private static let user = UserLogin(name: "alice", password: SecretBytes(copying: Array("passw0rd".utf8)))!

    private static func isClosed(_ net: HostileClient, _ code: TunnelErrorCode) -> Bool {
        net.peer.closeReason == .peerClosed(code: code.rawValue, application: true, message: "")
    }

    // MARK: - What the program is asked

    @Test func theProgramIsToldWhoItIs() throws {
        let net = try HostileClient()
        net.greet(user: Self.user)
        let request = try #require(net.logins.first?.request)
        #expect(net.logins.count == 1)
        #expect(request.key == RawPeer.clientPair.publicKey)
        #expect(request.user == Self.user)
        #expect(request.remote == HostileClient.address)
        #expect(request.software == "hostile" && request.certificate == nil)
        #expect(net.nextMessage().map { LoginTests.welcome($0)?.maximumFlows } == 4_096)
        #expect(net.notices == [.connected(HostileClient.address, user: "hostile", software: "hostile")])
        #expect(net.server.counters.loginsAdmitted == 1 && net.server.pendingLogins == 0)
    }

    private static func welcome(_ bytes: [UInt8]) -> Welcome? {
        if case .welcome(let welcome)? = try? LoginAnswer(parsing: bytes) { welcome } else { nil }
    }

    private static func refusal(_ bytes: [UInt8]?) -> LoginRefusal? {
        if let bytes, case .denied(let refusal)? = try? LoginAnswer(parsing: bytes) { refusal } else { nil }
    }

    @Test func theProgramIsToldOfTheCertificate() throws {
        let authority = TestAuthority()
        let alice = try authority.client("alice")
        let identity = try Certificates.valid.identity(clients: authority.rule(.optional))
        let net = try Simulation(
            seed: 1, configureClient: { $0.identity = alice.identity }, configureServer: { $0.identity = identity })
        #expect(net.run { net.client.isConnected })
        let certificate = try #require(net.logins.first?.certificate)
        #expect(certificate.user == "alice" && certificate.serialNumber.count == 16)
        let without = try Simulation(seed: 1, configureServer: { $0.identity = identity })
        #expect(without.run { without.client.isConnected })
        #expect(without.logins.count == 1 && without.logins.first?.certificate == nil)
    }

    /// A certificate lets nobody stay longer than it lets anybody in; whoever sets the clock moves its end.
    @Test(arguments: [0, 30, -20] as [Int64])
    func aSessionEndsWithItsCertificate(step: Int64) throws {
        let authority = TestAuthority()
        let alice = try authority.client("alice")
        let identity = try Certificates.valid.identity(clients: authority.rule(.optional))
        let net = try Simulation(
            seed: 1, configureClient: { $0.identity = alice.identity }, configureServer: { $0.identity = identity })
        net.server.setWallTime(0, now: net.now)
        #expect(net.run { net.client.isConnected })
        let session = try #require(net.server.sessions.compactMap(\.self).first)
        let expires = try #require(session.connection.peerCertificate?.expires)
        let start = net.now
        // A clock that was wrong at the handshake has been set; later it is set once more.
        net.server.setWallTime(expires - 100, now: start)
        for second in 1...60 as ClosedRange<Int64> {
            net.run(for: .seconds(1))
            net.server.setWallTime(expires - 100 + second + (second < 30 ? 0 : step), now: net.now)
        }
        let left = 40 - step
        net.run(for: .seconds(left - 1))
        #expect(net.server.counters.certificatesRefused == 0 && net.client.counters.connects == 1)
        #expect(net.run(for: .seconds(2)) { net.server.counters.certificatesRefused > 0 })
        #expect(
            net.notices.contains(
                .certificateRefused(Simulation.clientAddress, name: "alice", reason: "it has expired")))
        #expect(net.logouts == 1)
    }

    @Test func whoHasShownNoCertificateIsNotEndedByOne() throws {
        let net = try Simulation(seed: 1)
        net.server.setWallTime(0, now: net.now)
        #expect(net.run { net.client.isConnected })
        net.server.setWallTime(1 << 40, now: net.now)
        net.run(for: .seconds(100))
        #expect(net.server.counters.certificatesRefused == 0 && net.client.counters.connects == 1)
    }

    @Test(arguments: ["alice", "bob"])
    func theRulesOfThePolicyAskForTheUserThatWasLetIn(user: String) throws {
        var rule = DialRule(.deny, name: "bob-stays-home")
        rule.users = ["bob"]
        let policy = DialPolicy(rules: [rule])
        let net = try HostileClient { $0.policy = policy }
        net.decision = .success(Admission(user: user))
        // What the client calls itself does not count.
        net.greet(user: Self.user)
        let flow = net.flow()
        net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
        net.run()
        #expect(net.dials.isEmpty == (user == "bob"))
        if user == "bob" { #expect(net.reply(on: flow)?.code == .notAllowed) }
        let named = net.flow()
        let request = FlowRequest(.connect, to: .name(try DomainName("host.example"), port: 80)).encode()
        net.peer.send(named.sealed.sealedBytes(message: request), on: named.stream)
        net.run(for: .milliseconds(10))
        #expect(net.queries.isEmpty == (user == "bob"))
    }

    @Test(arguments: [
        LoginRefusal.wrongCredentials, .expired, .disabled, .tooManySessions, .quotaSpent, .tryLater(seconds: 9),
    ])
    func aRefusalIsToldSealedAndTheConnectionEnds(_ refusal: LoginRefusal) throws {
        let net = try HostileClient()
        net.decision = .failure(refusal)
        net.greet()
        #expect(Self.refusal(net.nextMessage()) == refusal)
        #expect(Self.isClosed(net, .authenticationFailed), "and no reason outside of the seal")
        #expect(net.notices == [.loginRefused(HostileClient.address, refusal)])
        #expect(net.server.counters.loginsRefused == 1 && net.server.counters.authenticationFailures == 0)
        #expect(net.loggedOut.isEmpty)
        net.run(for: .seconds(30))
        #expect(net.server.counters.connectionsOpen == 0 && net.server.pendingLogins == 0)
    }

    @Test func nobodyWaitsForThoseWhoDoNotHearTheRefusal() throws {
        let net = try HostileClient()
        net.decision = .failure(.wrongCredentials)
        net.peer.passesOn = false
        net.greet()
        net.run(for: .seconds(40))
        #expect(net.peer.closeReason != nil)
        #expect(net.server.counters.connectionsOpen == 0)
    }

    // MARK: - Where it came from

    private static let victim = Endpoint("198.51.100.7:1234")!

    /// Books a refused login as the login desk does, and says whose address is held up by it.
    private static func booked(_ net: HostileClient) throws -> [Endpoint] {
        let request = try #require(net.logins.first?.request)
        var limiter = LoginLimiter()
        let now = net.now
        for _ in 0..<10 { limiter.failed(LoginLimiter.Source(request.remote.address), name: nil, now: now) }
        return [HostileClient.address, victim].filter {
            limiter.wait(for: LoginLimiter.Source($0.address), name: nil, now: now) != nil
        }
    }

    /// Anybody can write another's address into a packet. What goes wrong is booked to the one that has answered from its own (RFC
    /// 9000, section 8), and not to that of the packet with the hello.
    @Test func aFailureIsNotBookedToAnAddressThatWasWrittenIntoThePacket() throws {
        let net = try HostileClient()
        net.decision = nil
        let (stream, control) = net.exchangeKeys()
        net.run(for: .seconds(1))
        net.spoof = { _ in Self.victim }
        let hello = control.sealedBytes(Hello(software: "hostile", user: Self.user).encode())
        net.peer.send(Array(hello.prefix(20)), on: stream)
        net.run(for: .milliseconds(1))
        let connection = try #require(net.server.sessions.first??.connection)
        #expect(connection.remote == Self.victim, "the server answers there, to see whether anybody does")
        net.peer.send(Array(hello.dropFirst(20)), on: stream)
        net.run(for: .milliseconds(1))
        #expect(try Self.booked(net) == [HostileClient.address])
        net.server.refuse(try #require(net.logins.first?.id), .wrongCredentials, now: net.now)
        net.run(for: .seconds(5))
        #expect(net.notices.first == .loginRefused(HostileClient.address, .wrongCredentials))
    }

    /// The same with any packet of the handshake behind the first: the server takes none of them from elsewhere.
    @Test(arguments: 1...3) func noPacketOfTheHandshakeMovesTheBlame(packet: Int) throws {
        let net = try HostileClient(spoof: { $0 == packet ? Self.victim : nil })
        net.run(for: .seconds(3))
        net.greet(user: Self.user)
        net.run(for: .seconds(10))
        #expect(net.packets > 3)
        #expect(try Self.booked(net) == [HostileClient.address])
    }

    // MARK: - Secrets

    /// The hello is overwritten, be it a good one, cut short in its password, or of another version.
    @Test(arguments: [0, 3, -1]) func theHelloIsWipedHoweverItEnds(fault: Int) throws {
        let net = try HostileClient()
        let (stream, control) = net.exchangeKeys()
        var hello = Hello(software: "hostile", user: Self.user).encode()
        if fault > 0 { hello.removeLast(fault) }
        if fault < 0 { hello[0] = 99 }
        net.peer.send(control.sealedBytes(hello), on: stream)
        net.run(for: .milliseconds(1))
        let session = try #require(net.server.sessions.first ?? nil)
        #expect(session.control?.sealed.messagesWiped == 1)
        #expect(net.logins.isEmpty == (fault != 0))
    }

    // MARK: - Before the decision

    @Test func noFlowBeforeTheDecision() throws {
        let net = try HostileClient()
        net.decision = nil
        net.greet()
        let flow = net.flow()
        net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
        net.run()
        #expect(net.dials.isEmpty)
        #expect(net.peer.resets[flow.stream.id.rawValue] == TunnelErrorCode.protocolViolation.rawValue)
        #expect(net.nextMessage() == nil)
    }

    @Test func anUndecidedLoginHasAnEnd() throws {
        var transport = TransportSettings()
        transport.keepAlive = .seconds(1)
        let net = try HostileClient(transport: transport) { $0.loginTimeout = .seconds(7) }
        net.decision = nil
        net.greet()
        net.run(for: .seconds(6))
        #expect(net.peer.closeReason == nil && net.server.pendingLogins == 1)
        net.run(for: .seconds(2))
        #expect(Self.refusal(net.nextMessage()) == .tryLater(seconds: 5))
        #expect(Self.isClosed(net, .authenticationFailed))
        #expect(net.server.counters.loginsTimedOut == 1 && net.server.pendingLogins == 0)
        // The decision comes at last, and finds nobody.
        let id = try #require(net.logins.first?.id)
        #expect(!net.server.admit(id, Admission(user: "late"), now: net.now))
        net.server.refuse(id, .expired, now: net.now)
        net.run()
        #expect(net.server.counters.loginsAdmitted == 0 && net.server.counters.loginsRefused == 0)
    }

    @Test func loginsUnderWayAreLimited() throws {
        let net = try HostileClient { $0.maximumPendingLogins = 0 }
        net.greet()
        #expect(net.logins.isEmpty)
        #expect(Self.refusal(net.nextMessage()) == .tryLater(seconds: 5))
        #expect(net.server.counters.loginsRefusedByLimit == 1)
        #expect(Self.isClosed(net, .authenticationFailed))
    }

    @Test func aClientThatGoesWhileItWaitsIsForgotten() throws {
        let net = try HostileClient()
        net.decision = nil
        net.greet()
        #expect(net.server.pendingLogins == 1)
        net.connection.close(code: 0x100, message: "", now: net.now)
        net.run(for: .seconds(5))
        #expect(net.server.pendingLogins == 0)
        #expect(!net.server.admit(try #require(net.logins.first?.id), Admission(user: "x"), now: net.now))
        #expect(net.loggedOut.isEmpty, "who was not let in does not leave")
    }

    @Test func aSecondDecisionChangesNothing() throws {
        let net = try HostileClient()
        net.greet()
        let id = try #require(net.logins.first?.id)
        #expect(!net.server.admit(id, Admission(user: "again"), now: net.now))
        net.server.refuse(id, .disabled, now: net.now)
        net.run()
        #expect(net.peer.closeReason == nil && net.server.pendingLogins == 0)
    }

    // MARK: - The end of a session

    @Test func theProgramIsToldOfTheEnd() throws {
        let net = try HostileClient()
        net.greet()
        net.connection.close(code: 0x100, message: "", now: net.now)
        net.run(for: .seconds(5))
        #expect(net.loggedOut == net.logins.map(\.id))
    }

    @Test func whoIsKickedIsToldWhy() throws {
        let net = try HostileClient()
        net.greet()
        _ = net.nextMessage()
        _ = net.connectedFlow()
        net.server.kick(try #require(net.logins.first?.id), reason: "bye", now: net.now)
        net.run()
        #expect(try ControlMessage(parsing: #require(net.nextMessage())) == .kick(code: 0x109, reason: "bye"))
        #expect(Self.isClosed(net, .kicked))
        #expect(net.closes == net.dials, "its sockets are closed")
        #expect(net.loggedOut.count == 1)
        net.run(for: .seconds(30))
        #expect(net.server.counters.connectionsOpen == 0 && net.serverPool.outstanding == 0)
    }

    // MARK: - The client

    @Test func whatTheClientMakesOfARefusal() throws {
        for (refusal, least) in [
            (LoginRefusal.wrongCredentials, 300), (.expired, 300), (.quotaSpent, 300), (.tooManySessions, 30),
            (.tryLater(seconds: 77), 77), (.tryLater(seconds: .max), 300), (.unknown(99), 30),
        ] as [(LoginRefusal, Int64)] {
            let net = try HostileServer(welcomes: false) {
                $0.firstReconnectDelay = .milliseconds(500)
                $0.maximumReconnectDelay = .seconds(1)
            }
            let control = net.exchangeKeys()
            #expect(try Hello(parsing: #require(control.nextMessage())).software == "penstock")
            net.peer.send(control.sealedBytes(ControlMessage.denied(refusal).encode()), on: net.controlStream)
            net.run()
            guard case .disconnected(let reason, let delay)? = net.events.last else {
                Issue.record("\(refusal): not told")
                continue
            }
            #expect(reason == refusal.description)
            #expect(delay == .seconds(least), "\(refusal)")
            #expect(net.client.counters.loginsRefused == 1)
            net.run(for: .seconds(least - 1))
            #expect(net.client.counters.connects == 1, "\(refusal): no hammering")
        }
    }

    @Test func theClientSaysWhoItIsOnlyToItsServer() throws {
        let net = try HostileServer(welcomes: false) { $0.user = Self.user }
        let control = net.exchangeKeys()
        #expect(try Hello(parsing: #require(control.nextMessage())).user == Self.user)

        // Without the server's private key nobody hears a hello.
        let other = try HostileServer(welcomes: false) {
            $0.user = Self.user
            $0.serverKey = RawPeer.clientPair.publicKey
        }
        let sent = other.peer.received[0]?.count
        #expect(sent == 99)
        other.peer.send([0, 48] + [UInt8](repeating: 9, count: 48), on: other.controlStream)
        other.run()
        #expect(other.peer.received[0]?.count == 99)
        let reason = try #require(other.disconnection)
        #expect(reason.hasPrefix("the server does not have the key that 'server-key' names"), "\(reason)")
    }

    @Test func anAdmittedClientOfTheRealServer() throws {
        let net = try Simulation(seed: 1) { $0.user = Self.user }
        #expect(net.run(for: .seconds(5)) { net.client.isConnected })
        #expect(net.logins.map(\.user) == [Self.user])
        #expect(net.logins.map(\.key) == [RawPeer.clientPair.publicKey])
        net.client.stop(now: net.now)
        #expect(net.run(for: .seconds(10)) { net.logouts == 1 })
    }

    @Test func aRefusedClientOfTheRealServerComesBackWhenItMay() throws {
        let net = try Simulation(
            link: LinkConditions(delay: .milliseconds(30), loss: 0.05), seed: 2,
            configureClient: { $0.refusedLoginRetry = .seconds(60) })
        net.decide = { _ in .failure(.wrongCredentials) }
        net.run(for: .seconds(170))
        #expect(!net.client.isConnected)
        #expect((2...3).contains(net.client.counters.loginsRefused), "\(net.client.counters.loginsRefused)")
        let reasons = net.clientEvents.compactMap { event -> String? in
            if case .disconnected(let reason, _) = event { reason } else { nil }
        }
        #expect(reasons.allSatisfy { $0 == LoginRefusal.wrongCredentials.description }, "\(reasons)")
        net.decide = { _ in .success(Admission(user: "client")) }
        #expect(net.run(for: .seconds(100)) { net.client.isConnected })
    }

    @Test func aCipherThatTheServerDoesNotTakeIsNamed() throws {
        let net = try Simulation(
            seed: 3, cipher: .chacha20poly1305, configureServer: { $0.ciphers = [.aes256gcm] })
        net.run(for: .seconds(5)) { net.clientEvents.count >= 2 }
        guard case .disconnected(let reason, _) = net.clientEvents.dropFirst().first else {
            Issue.record("no disconnection: \(net.clientEvents)")
            return
        }
        #expect(reason == "the server closed the connection: the server does not take this cipher")
    }
}

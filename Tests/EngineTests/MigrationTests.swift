import Client
import Primitives
import QuicTransport
import Server
import SimNet
import Testing

/// Whole engines whose network changes below them: flows go on without a byte lost.
struct MigrationTests {
    private static let away = Endpoint("198.51.100.20:41000")!
    private static let sixth = Endpoint("[2001:db8::20]:41000")!
    private static let echo = "203.0.113.1:7"
    private static let bad = LinkConditions(
        delay: .milliseconds(15), jitter: .milliseconds(3), loss: 0.02, reordering: 0.01)

    private static func reasons(_ net: Simulation) -> [String] {
        net.clientEvents.compactMap { if case .disconnected(let reason, _) = $0 { reason } else { nil } }
    }

    private static func connected(
        link: LinkConditions = LinkConditions(delay: .milliseconds(10)), seed: UInt64 = 1,
        configureClient: (inout ClientSettings) -> Void = { _ in }
    ) throws -> Simulation {
        let net = try Simulation(link: link, seed: seed, configureClient: configureClient)
        #expect(net.run { net.client.isConnected })
        net.run(for: .seconds(1))
        return net
    }

    /// An echo of 400 KB, in the midst of which something happens. The connection and the flow stay the same.
    private static func expectTransfer(
        _ net: Simulation, seed: UInt64 = 1, after time: Interval = .milliseconds(120), _ command: () -> Void
    ) {
        net.services[Endpoint(echo)!] = .echo
        let bytes = SimSocket.bytes(400_000)
        let app = net.application(to: echo)
        var sent = 0
        var got: [UInt8] = []
        func step() -> Bool {
            got += app.read()
            if sent < bytes.count, app.writable > 0 {
                sent += app.write(Array(bytes[sent..<min(bytes.count, sent + app.writable)]))
                if sent == bytes.count { app.shutdownWrite() }
            }
            return app.receivedFIN
        }
        net.run(for: time) { step() }
        #expect(!app.receivedFIN, "seed \(seed): over too early to mean anything")
        command()
        #expect(net.run(for: .seconds(120), until: step), "seed \(seed): \(got.count) bytes, \(reasons(net))")
        #expect(got == bytes, "seed \(seed)")
        #expect(net.client.counters.connects == 1, "seed \(seed): \(reasons(net))")
        #expect(app.violations.isEmpty, "seed \(seed): \(app.violations)")
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func flowsGoOnWhenTheClientMoves(seed: UInt64) throws {
        let net = try Self.connected(link: Self.bad, seed: seed)
        Self.expectTransfer(net, seed: seed) { net.moveClient(to: Self.away) }
        #expect(net.clientEvents.contains(.moved(to: Self.away)))
        #expect(net.client.connectionStatistics?.migrations == 1)
    }

    /// From an IPv4 network to IPv6, where the server has the same socket: not in QUIC, whose servers keep their address.
    /// The simulated server does not mind, and neither do the engines.
    @Test func anotherFamilyIsAnotherPath() throws {
        let net = try Self.connected()
        Self.expectTransfer(net) { net.moveClient(to: Self.sixth) }
    }

    @Test(arguments: [11, 12, 13] as [UInt64])
    func flowsGoOnBehindARebindingNAT(seed: UInt64) throws {
        let net = try Self.connected(link: Self.bad, seed: seed)
        Self.expectTransfer(net, seed: seed) { net.outsideAddress = Endpoint("203.0.113.77:1025")! }
        #expect(net.client.connectionStatistics?.migrations == 0, "the client knows nothing of it")
    }

    /// Flows rest; the keepalive tells the server where the client is now.
    @Test func aQuietFlowOutlivesARebinding() throws {
        let net = try Self.connected { $0.transport.keepAlive = .seconds(5) }
        net.services[Endpoint(Self.echo)!] = .echo
        let app = net.application(to: Self.echo)
        #expect(net.run { app.state == .established })
        net.outsideAddress = Endpoint("203.0.113.77:1025")!
        net.run(for: .seconds(20))
        // The server speaks first after the change.
        _ = app.write([1, 2, 3])
        var got: [UInt8] = []
        #expect(
            net.run(for: .seconds(2)) {
                got += app.read()
                return got == [1, 2, 3]
            })
    }

    @Test func manyMovesInARow() throws {
        let net = try Self.connected()
        for number in 0..<10 {
            net.moveClient(to: Endpoint(Self.away.address, UInt16(42_000 + number)))
            #expect(net.run(for: .seconds(5)) { net.clientEvents.last == .moved(to: net.localAddress) })
            net.run(for: .seconds(10))
        }
        #expect(net.client.counters.connects == 1 && net.client.isConnected)
    }

    /// Two changes within the time of one validation: the second waits for the server's gate, and nothing is lost.
    @Test func twoMovesAtOnce() throws {
        let net = try Self.connected()
        Self.expectTransfer(net) {
            net.moveClient(to: Self.away)
            net.run(for: .milliseconds(45))
            net.moveClient(to: Endpoint(Self.away.address, 42_000))
        }
    }

    /// The handshake is not confirmed yet: HANDSHAKE_DONE is still on its way.
    @Test func aMoveThatComesTooEarlyIsMadeLater() throws {
        let net = try Simulation(link: LinkConditions(delay: .milliseconds(50)), seed: 5)
        net.run { net.client.connectionStatistics != nil && net.client.connectionStatistics!.streamsOpen > 0 }
        #expect(!net.client.isConnected)
        net.client.migrate(to: Self.away, now: net.now)
        #expect(net.client.connectionStatistics?.migrations == 0)
        // The datagrams of the new address take over when the engine sends from there.
        net.run(for: .milliseconds(400)) { net.client.connectionStatistics?.migrations == 1 }
        net.localAddress = Self.away
        #expect(net.run(for: .seconds(5)) { net.clientEvents.contains(.moved(to: Self.away)) })
        #expect(net.client.counters.connects == 1)
    }

    @Test func aHandshakeIsBegunAgain() throws {
        let net = try Simulation(link: LinkConditions(delay: .milliseconds(50)), seed: 6)
        net.run(for: .milliseconds(60))
        net.moveClient(to: Self.away)
        #expect(net.run(for: .seconds(4)) { net.client.isConnected })
        #expect(net.client.counters.connects == 2)
        #expect(Self.reasons(net) == ["the network changed while the connection was being made"])
    }

    /// The new network leads nowhere: no reason to wait for the idle timeout.
    @Test func aPathThatLeadsNowhereEndsTheConnection() throws {
        let net = try Self.connected()
        let started = net.now
        net.deadAddress = Self.away.address
        net.moveClient(to: Self.away)
        #expect(net.run(for: .seconds(20)) { !net.client.isConnected })
        #expect(net.now - started < .seconds(12))
        #expect(Self.reasons(net) == ["nothing comes back over the network that the connection moved to"])
        net.deadAddress = nil
        #expect(net.run(for: .seconds(15)) { net.client.isConnected }, "and another one is made")
    }

    /// Without a spare connection ID there is no way to move: soon another connection is made.
    @Test func aMoveThatNeverComesEndsTheConnection() throws {
        let net = try Self.connected()
        net.up.isCut = true
        let started = net.now
        for number in 0..<6 {
            net.moveClient(to: Endpoint(Self.away.address, UInt16(42_000 + number)))
        }
        #expect(net.run(for: .seconds(10)) { !net.client.isConnected })
        #expect(net.now - started <= net.client.settings.migrationPatience + .seconds(2))
        net.up.isCut = false
        #expect(net.run(for: .seconds(15)) { net.client.isConnected })
    }

    /// A client that waits between two attempts does not wait on when the network has changed.
    @Test func aNewNetworkIsTriedAtOnce() throws {
        let net = try Simulation(seed: 7) { $0.firstReconnectDelay = .seconds(30) }
        net.up.isCut = true
        net.run(for: .seconds(12))
        #expect(net.client.counters.connects == 1 && !net.client.isConnected)
        net.up.isCut = false
        net.moveClient(to: Self.away)
        #expect(net.run(for: .seconds(1)) { net.client.isConnected })
    }

    /// The server is known under another address, which can be reached.
    @Test func aPathGivenUpIsLeftAtOnce() throws {
        let net = try Self.connected()
        net.client.abandonPath("no route", now: net.now)
        #expect(net.run(for: .seconds(1)) { net.client.counters.connects == 2 && net.client.isConnected })
        #expect(Self.reasons(net) == ["no route"])
        // The server need not wait for its own idle timeout.
        #expect(net.run(for: .seconds(2)) { net.server.counters.connectionsOpen == 1 })
    }
}

import Primitives
import SimNet
import Testing

@testable import Client
@testable import Server

/// The tunnel's own life: logging in, losing the server, coming back, stopping.
struct ConnectionTests {
    static let web = "203.0.113.2:80"

    @Test func aWrongKeyIsNamed() throws {
        let net = try Simulation(seed: 1, wrongKey: true)
        net.run(for: .seconds(5)) { net.clientEvents.count >= 2 }
        guard case .disconnected(let reason, _) = net.clientEvents.dropFirst().first else {
            Issue.record("no disconnection: \(net.clientEvents)")
            return
        }
        #expect(reason == "the server refused the key exchange: is 'server-key' the key of this server?")
        #expect(net.server.counters.authenticationFailures == 1)
        #expect(net.notices == [.authenticationFailed(Simulation.clientAddress)])
    }

    @Test func aSilentServerIsTriedAgainWithGrowingDelays() throws {
        let net = try Simulation(seed: 2)
        net.up.isCut = true
        net.run(for: .seconds(300))
        let delays = net.clientEvents.compactMap { event -> Double? in
            if case .disconnected(_, let delay) = event { delay.seconds } else { nil }
        }
        #expect(delays.count >= 8)
        for (index, delay) in delays.enumerated() {
            let full = min(0.5 * Double(1 << min(index, 10)), 30)
            #expect(delay >= full / 2 && delay <= full, "attempt \(index) waits \(delay)")
        }
        guard case .disconnected(let reason, _) = net.clientEvents.dropFirst().first else {
            return #expect(Bool(false))
        }
        #expect(reason.hasPrefix("the server 192.0.2.2:4433 does not answer"), "\(reason)")
        net.up.isCut = false
        #expect(net.run(for: .seconds(60)) { net.client.isConnected })
    }

    /// A server that is killed and comes back empty frees its clients at once: they need not wait for the idle timeout.
    @Test func aRestartedServerIsFoundAgain() throws {
        let net = try Simulation(seed: 3)
        net.services[Endpoint(Self.web)!] = .stalledSink
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        net.killServer()
        net.run(for: .seconds(2))
        try net.restartServer()
        _ = app.write([1, 2, 3])
        #expect(net.run(for: .seconds(10)) { app.receivedRST && net.client.isConnected })
        let again = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { again.outcome == .connected })
        #expect(net.client.counters.connects == 2)
    }

    @Test func aLostPathEndsByTheIdleTimeoutAndComesBack() throws {
        let net = try Simulation(seed: 4)
        #expect(net.run(for: .seconds(5)) { net.client.isConnected })
        net.up.isCut = true
        net.down.isCut = true
        net.run(for: .seconds(45)) { !net.client.isConnected }
        #expect(!net.client.isConnected)
        net.up.isCut = false
        net.down.isCut = false
        #expect(net.run(for: .seconds(60)) { net.client.isConnected })
    }

    @Test func aQuietTunnelStaysUp() throws {
        let net = try Simulation(seed: 5)
        net.run(for: .seconds(3_600))
        #expect(net.client.isConnected)
        #expect(net.client.counters.connects == 1)
    }

    @Test func theServerStopsInOrder() throws {
        let net = try Simulation(seed: 6)
        net.services[Endpoint(Self.web)!] = .stalledSink
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        net.server.stop(now: net.now)
        #expect(net.run(for: .seconds(5)) { app.receivedRST })
        let reasons = net.clientEvents.compactMap { event -> String? in
            if case .disconnected(let reason, _) = event { reason } else { nil }
        }
        #expect(reasons.first == "the server closed the connection: shutting down (the server stops)")
        #expect(net.resetSockets.count == 1)
        #expect(
            net.run(for: .seconds(30)) { net.serverPool.outstanding == 0 && net.server.counters.connectionsOpen == 0 })
    }

    @Test func theClientStopsInOrder() throws {
        let net = try Simulation(seed: 7)
        net.services[Endpoint(Self.web)!] = .stalledSink
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        net.client.stop(now: net.now)
        #expect(net.run(for: .seconds(10)) { app.receivedRST && net.server.counters.connectionsOpen == 0 })
        #expect(net.server.counters.flowsOpen == 0)
        #expect(net.clientPool.outstanding == 0 && net.serverPool.outstanding == 0)
        #expect(net.run(for: .seconds(10)) { net.client.nextDeadline == nil }, "nothing is left to wait for")
    }

    /// Applications that connect while there is no tunnel hear nothing, and come through when it is up.
    @Test func flowsBeforeTheTunnelIsUpWait() throws {
        let net = try Simulation(seed: 8)
        net.services[Endpoint(Self.web)!] = .echo
        net.up.isCut = true
        let app = net.application(to: Self.web)
        net.run(for: .seconds(5))
        #expect(app.outcome == nil)
        net.up.isCut = false
        #expect(net.run(for: .seconds(60)) { app.outcome == .connected })
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func garbageFromTheNetworkChangesNothing(seed: UInt64) throws {
        let net = try Simulation(seed: seed)
        net.services[Endpoint(Self.web)!] = .source(200_000)
        let app = net.application(to: Self.web)
        var random = SeededRandom(seed: seed)
        for _ in 0..<2_000 {
            var bytes = (0..<Int.random(in: 0...1500, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            bytes.withUnsafeMutableBytes {
                net.client.handleDatagram(
                    $0, from: Simulation.serverAddress, to: Simulation.clientAddress, ecn: 0, now: net.now)
                net.server.handleDatagram(
                    $0, from: Simulation.clientAddress, to: Simulation.serverAddress, ecn: 0, now: net.now)
            }
        }
        var got = 0
        #expect(
            net.run(for: .seconds(30)) {
                got += app.read().count
                return app.receivedFIN
            })
        #expect(got == 200_000)
    }
}

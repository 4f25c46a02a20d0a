import Client
import Primitives
import QuicTransport
import Sealing
import Server
import SimNet
import Testing
import Tunnel

/// A server on its way out.
struct DrainTests {
    private static let echo = "203.0.113.2:7"

    private static func reasons(_ net: Simulation) -> [String] {
        net.clientEvents.compactMap { if case .disconnected(let reason, _) = $0 { reason } else { nil } }
    }

    private static func connected() throws -> Simulation {
        let net = try Simulation(seed: 1)
        net.services[Endpoint(echo)!] = .echo
        #expect(net.run { net.client.isConnected })
        return net
    }

    @Test func withoutFlowsItIsOverAtOnce() throws {
        let net = try Self.connected()
        net.server.drain(grace: .seconds(60), reason: "upgrade", now: net.now)
        #expect(net.run(for: .seconds(1)) { !net.client.isConnected && net.server.isDrained })
        #expect(net.clientEvents.contains(.notice("the server stops soon: upgrade")))
        #expect(Self.reasons(net).first?.contains("the server stops") == true)
    }

    /// The flow that there is goes on to its end; a new one is dropped, so that its application tries again, and has its
    /// connection from the server that comes after.
    @Test func oldFlowsEndAndNewOnesWait() throws {
        let net = try Self.connected()
        let old = net.application(to: Self.echo)
        #expect(net.run { old.state == .established })
        net.server.drain(grace: .seconds(60), reason: "upgrade", now: net.now)
        net.run(for: .seconds(1))
        let new = net.application(to: Self.echo)
        net.run(for: .seconds(2))
        #expect(new.state != .established && !new.receivedRST)
        #expect(net.client.isConnected && !net.server.isDrained)
        let bytes = SimSocket.bytes(100_000)
        _ = old.write(bytes)
        old.shutdownWrite()
        var got: [UInt8] = []
        net.run {
            got += old.read()
            return old.receivedFIN
        }
        #expect(got == bytes)
        #expect(net.run(for: .seconds(5)) { net.server.isDrained })
        #expect(!old.receivedRST)
        try net.restartServer()
        #expect(net.run { new.state == .established })
    }

    @Test func theGracePeriodEnds() throws {
        let net = try Self.connected()
        let old = net.application(to: Self.echo)
        #expect(net.run { old.state == .established })
        let started = net.now
        net.server.drain(grace: .seconds(7), reason: "upgrade", now: started)
        #expect(net.run(for: .seconds(20)) { old.receivedRST })
        #expect((.seconds(7)...(.seconds(8))).contains(net.now - started))
        #expect(net.server.isDrained)
    }

    /// A client that does not know the message, or does not care, gets an answer.
    @Test func newFlowsAreRefusedWithAReason() throws {
        let net = try HostileClient()
        net.greet()
        let old = net.connectedFlow()
        net.server.drain(grace: .seconds(60), reason: "upgrade", now: net.now)
        net.run()
        let flow = net.flow()
        net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
        net.run()
        #expect(net.reply(on: flow)?.code == .shuttingDown)
        #expect(net.peer.closeReason == nil)
        net.connection.reset(old.stream, code: 0x101)
        net.connection.stopReceiving(old.stream, code: 0x101)
        net.run(for: .seconds(1))
        #expect(net.peer.closeReason == .peerClosed(code: 0x107, application: true, message: "the server stops"))
    }

    @Test func newClientsAreSentAway() throws {
        let net = try Self.connected()
        let old = net.application(to: Self.echo)
        #expect(net.run { old.state == .established })
        net.server.drain(grace: .seconds(60), reason: "upgrade", now: net.now)
        net.client.abandonPath("test", now: net.now)
        net.run(for: .seconds(2))
        #expect(net.client.counters.connects >= 2)
        #expect(!net.client.isConnected)
        #expect(net.server.isDrained, "the only client's flows went with its connection")
    }

    /// Opened and given up before an answer, again and again: each costs the server a dial.
    @Test func flowsGivenUpAtOnceHaveALimit() throws {
        let net = try HostileClient {
            $0.abandonedFlowBurst = 50
            $0.abandonedFlowsPerSecond = 1
        }
        net.greet()
        var opened = 0
        while net.peer.closeReason == nil, opened < 200 {
            let flow = net.flow()
            net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
            net.run(for: .milliseconds(1))
            net.connection.reset(flow.stream, code: 0x101)
            net.connection.stopReceiving(flow.stream, code: 0x101)
            net.run(for: .milliseconds(1))
            opened += 1
        }
        #expect((50...53).contains(opened))
        #expect(
            net.peer.closeReason
                == .peerClosed(
                    code: 0x106, application: true, message: "too many flows are given up before they are answered"))
        #expect(net.server.counters.flowsOpen == 0)
        #expect(net.closes.count == net.dials.count)
    }

    /// An honest client may do that for a while.
    @Test func aBrowserThatClosesManyTabsIsNoAttack() throws {
        let net = try HostileClient()
        net.greet()
        for _ in 0..<1_000 {
            let flow = net.flow()
            net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
            net.connection.reset(flow.stream, code: 0x101)
            net.connection.stopReceiving(flow.stream, code: 0x101)
        }
        net.run(for: .seconds(1))
        #expect(net.peer.closeReason == nil)
    }
}

import Primitives
import QuicTransport
import Sealing
import SimNet
import TestSupport
import Testing

@testable import Client

/// What the client asks of the program between two connections.
struct ReconnectTests {
    private static let remote = Endpoint("192.0.2.2:4433")!
    private static let local = Endpoint("192.0.2.1:40000")!

    private static func engine(at now: Instant) throws -> ClientEngine {
        let settings = ClientSettings(
            trust: .authorities(pem: Certificates.valid.authority, serverName: "server.test"),
            serverKey: RawPeer.serverPair.publicKey, keyPair: RawPeer.clientPair)
        let client = ClientEngine(
            settings: settings, pool: BlockPool(byteLimit: 1 << 20), random: SeededRandom(seed: 1), now: now)
        client.handleTimeout(now: now)
        #expect(client.nextEvent() == .connectionWanted)
        return client
    }

    private static let start = Instant(nanoseconds: 1_000_000_000)

    @Test func aLookupThatNeverEndsIsGivenUp() throws {
        let client = try Self.engine(at: Self.start)
        let deadline = try #require(client.nextDeadline)
        #expect(deadline - Self.start == client.settings.lookupTimeout)
        client.handleTimeout(now: deadline)
        guard case .disconnected(let reason, let delay) = client.nextEvent() else {
            Issue.record("the attempt goes on")
            return
        }
        #expect(reason == "the server's name was not resolved in time")
        // The answer that comes at last finds nobody who waits for it.
        client.connect(to: Self.remote, local: Self.local, now: deadline)
        #expect(client.connection == nil)
        client.handleTimeout(now: deadline + delay)
        #expect(client.nextEvent() == .connectionWanted)
    }

    /// The network says at once that there is no way: no need to wait for the handshake's time to run out.
    @Test func anAddressWithoutARouteIsLeftAtOnce() throws {
        let client = try Self.engine(at: Self.start)
        client.connect(to: Self.remote, local: Self.local, isLastAddress: false, now: Self.start)
        client.sendFailed("Network is unreachable", now: Self.start)
        let reason = "the server 192.0.2.2:4433 cannot be reached: Network is unreachable"
        #expect(client.nextEvent() == .disconnected(reason: reason, retryIn: .zero))
        client.handleTimeout(now: Self.start)
        #expect(client.nextEvent() == .connectionWanted, "the next address is tried at once")
        client.connect(to: Self.remote, local: Self.local, now: Self.start)
        client.sendFailed("Network is unreachable", now: Self.start)
        guard case .disconnected(reason, let delay) = client.nextEvent() else {
            Issue.record("the attempt goes on")
            return
        }
        #expect(delay > .zero, "after the last address there is a pause")
    }

    @Test func aSocketThatDoesNotOpenLeadsToTheNextAddress() throws {
        let client = try Self.engine(at: Self.start)
        client.connectFailed("no sockets", isLastAddress: false, now: Self.start)
        #expect(client.nextEvent() == .disconnected(reason: "no sockets", retryIn: .zero))
    }

    @Test func anAddressThatIsSilentLeadsToTheNext() throws {
        let client = try Self.engine(at: Self.start)
        client.connect(to: Self.remote, local: Self.local, isLastAddress: false, now: Self.start)
        client.handleTimeout(now: Self.start + .seconds(11))
        guard case .disconnected(_, .zero) = client.nextEvent() else {
            Issue.record("no next address")
            return
        }
    }

    /// An error in the midst of a connection does not end it.
    @Test func sendErrorsOfALiveConnectionAreOnlyRemembered() throws {
        let net = try HostileServer()
        net.client.sendFailed("Operation not permitted", now: net.now)
        #expect(net.client.isConnected)
        #expect(net.client.lastSendError == "Operation not permitted")
        net.run(for: .seconds(30))
        #expect(net.client.isConnected)
        #expect(net.client.lastSendError == nil, "the server was heard again")
    }
}

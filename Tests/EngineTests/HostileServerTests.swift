import FlowNAT
import Primitives
import QuicTransport
import Sealing
import SimNet
import Testing
import Tunnel

@testable import Client

/// What a server can do that keeps no rule, and what the client and its applications make of it.
struct HostileServerTests {
    private static let succeeded = FlowReply(.succeeded).encode()

    private static func expectNothingLeft(_ net: HostileServer) {
        net.client.stop(now: net.now)
        net.run(for: .seconds(30))
        #expect(net.client.counters.flowsOpen == 0)
        #expect(net.clientPool.outstanding == 0)
        #expect(net.client.nextDeadline == nil)
    }

    // MARK: - The control stream

    @Test func aServerThatDoesNotWelcomeIsLeft() throws {
        let net = try HostileServer(welcomes: false)
        net.run(for: .seconds(21))
        #expect(net.disconnection == "the server did not answer the key exchange or the login in time")
        Self.expectNothingLeft(net)
    }

    @Test(arguments: [1, 64, 100, 3_000])
    func aGarbageWelcomeEndsTheAttempt(size: Int) throws {
        let net = try HostileServer(welcomes: false)
        net.peer.send([UInt8](repeating: 0x5A, count: size), on: net.controlStream)
        net.run(for: .seconds(21))
        #expect(net.disconnection != nil)
        #expect(!net.client.isConnected)
        Self.expectNothingLeft(net)
    }

    @Test(arguments: [0, 1, 2], [true, false])
    func theConnectionEndsWithItsControlStream(way: Int, welcomes: Bool) throws {
        let net = try HostileServer(welcomes: welcomes)
        switch way {
        case 0: net.peer.connection?.finish(net.controlStream)
        case 1: net.peer.connection?.reset(net.controlStream, code: 1)
        default: net.peer.connection?.stopReceiving(net.controlStream, code: 1)
        }
        net.run()
        #expect(net.disconnection == "closed by this side: the control stream has ended")
        Self.expectNothingLeft(net)
    }

    @Test func aMessageOfALaterVersionIsIgnored() throws {
        let net = try HostileServer(welcomes: false)
        let control = net.welcome()
        net.peer.send(control.sealedBytes([77, 1, 2]), on: net.controlStream)
        net.peer.send(control.sealedBytes(ControlMessage.drain(reason: "upgrade").encode()), on: net.controlStream)
        net.run()
        #expect(net.client.isConnected)
        #expect(net.events.last == .notice("the server stops soon: upgrade"))
        Self.expectNothingLeft(net)
    }

    @Test func unreadAnswersAreLimited() throws {
        var transport = TransportSettings()
        transport.streamWindow = 1_000
        let net = try HostileServer(transport: transport, welcomes: false)
        net.peer.passesOn = false
        let control = net.welcome()
        for _ in 0..<400 where net.disconnection == nil {
            for number in 0..<20 {
                net.peer.send(control.sealedBytes(ControlMessage.ping(UInt64(number)).encode()), on: net.controlStream)
            }
            net.run(for: .milliseconds(5))
        }
        #expect(net.disconnection == "closed by this side: control stream: too many answers wait to be read")
        Self.expectNothingLeft(net)
    }

    @Test func theServerOpensNoStreams() throws {
        let net = try HostileServer()
        #expect(net.peer.connection?.openStream() == nil)
        Self.expectNothingLeft(net)
    }

    // MARK: - Flows

    @Test(arguments: [[], [2], [1, 0, 0], [2, 0, 0, 9, 1, 2]] as [[UInt8]])
    func aReplyThatMakesNoSenseCutsTheFlow(reply: [UInt8]) throws {
        let net = try HostileServer()
        let app = net.application()
        let sealed = net.sealedFlow()
        let bytes = reply.isEmpty ? [UInt8](repeating: 7, count: 80) : sealed.sealedBytes(message: reply)
        net.peer.send(bytes, on: net.flowStream)
        net.run()
        #expect(app.outcome == nil, "no answer is better than a false one")
        #expect(net.peer.resets[net.flowStream.id.rawValue] == TunnelErrorCode.flowReset.rawValue)
        #expect(net.client.counters.sealingFailures == 1)
        #expect(net.client.counters.flowsOpen == 0)
        Self.expectNothingLeft(net)
    }

    @Test func aFINBeforeTheReplyIsNoConnection() throws {
        let net = try HostileServer()
        let app = net.application()
        net.peer.connection?.finish(net.flowStream)
        net.run()
        #expect(app.outcome == nil)
        #expect(net.client.counters.flowsOpen == 0)
        Self.expectNothingLeft(net)
    }

    @Test func aSecondReplyIsData() throws {
        let net = try HostileServer()
        let app = net.application()
        let sealed = net.sealedFlow()
        net.peer.send(
            sealed.sealedBytes(message: Self.succeeded) + sealed.sealedBytes(Self.succeeded), on: net.flowStream)
        net.run()
        #expect(app.outcome == .connected)
        #expect(app.read() == Self.succeeded)
        Self.expectNothingLeft(net)
    }

    @Test func dataBehindARefusalIsDropped() throws {
        let net = try HostileServer()
        let app = net.application()
        let sealed = net.sealedFlow()
        net.peer.send(
            sealed.sealedBytes(message: FlowReply(.connectionRefused).encode())
                + sealed.sealedBytes([UInt8](repeating: 1, count: 10_000)), on: net.flowStream)
        net.peer.connection?.finish(net.flowStream)
        net.run()
        #expect(app.outcome == .refused)
        #expect(net.client.counters.flowsOpen == 0)
        #expect(net.clientPool.outstanding == 0)
        Self.expectNothingLeft(net)
    }

    @Test func aFINInTheMiddleOfAChunkIsReset() throws {
        let net = try HostileServer()
        let app = net.application()
        let sealed = net.sealedFlow()
        net.peer.send(sealed.sealedBytes(message: Self.succeeded), on: net.flowStream)
        net.run()
        #expect(app.outcome == .connected)
        net.peer.send(sealed.sealedBytes([1, 2, 3]).dropLast(), on: net.flowStream)
        net.peer.connection?.finish(net.flowStream)
        net.run()
        #expect(app.receivedRST)
        #expect(app.read().isEmpty, "no byte of a chunk that is not whole")
        Self.expectNothingLeft(net)
    }

    /// The application gives up while the server dials, and connects again from the same port: the first attempt's stream
    /// must not stay. Attempts that follow one another at once are repetitions to FlowNAT, so some time passes.
    @Test func anAttemptThatIsReplacedEndsItsStream() throws {
        let net = try HostileServer()
        let first = net.application()
        let stream = net.flowStream
        net.forget(first)
        net.run(for: FlowSettings().halfOpenPatience)
        let second = net.application()
        #expect(net.flowStream !== stream)
        net.run()
        #expect(net.peer.resets[stream.id.rawValue] == TunnelErrorCode.flowReset.rawValue)
        #expect(net.client.counters.flowsOpen == 1)
        let late = net.peer.sealed(stream, .server)
        net.peer.send(late.sealedBytes(message: FlowReply(.connectionRefused).encode()), on: stream)
        net.run()
        #expect(second.outcome == nil, "the answer to the first attempt does not reach the second")
        net.peer.send(net.sealedFlow().sealedBytes(message: Self.succeeded), on: net.flowStream)
        net.run()
        #expect(second.outcome == .connected)
        Self.expectNothingLeft(net)
    }
}

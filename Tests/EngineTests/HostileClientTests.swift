import Primitives
import QuicTransport
import Sealing
import Testing
import Tunnel

@testable import Server

/// What a client can do that keeps no rule, and what it gets for it.
struct HostileClientTests {
    private static func isClosed(_ net: HostileClient, _ code: TunnelErrorCode) -> Bool {
        if case .peerClosed(code.rawValue, true, _) = net.peer.closeReason { true } else { false }
    }

    /// Whatever happened, nothing stays when the client goes.
    private static func expectNothingLeft(_ net: HostileClient) {
        net.connection.close(code: 0x100, message: "", now: net.now)
        net.run(for: .seconds(40))
        #expect(net.server.counters.connectionsOpen == 0)
        #expect(net.server.counters.flowsOpen == 0)
        #expect(net.serverPool.outstanding == 0)
        #expect(Set(net.closes) == Set(net.dials), "every dialled socket is closed")
        #expect(net.closes.count == net.dials.count, "and once")
    }

    // MARK: - Before the hello

    @Test func flowsBeforeTheHelloAreReset() throws {
        let net = try HostileClient()
        _ = net.connection.openStream()
        let flow = net.flow()
        net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
        net.run()
        #expect(net.peer.resets[flow.stream.id.rawValue] == TunnelErrorCode.protocolViolation.rawValue)
        #expect(net.dials.isEmpty)
        Self.expectNothingLeft(net)
    }

    @Test(arguments: [1, 40, 64, 66, 2_000])
    func aGarbageHelloIsRefused(size: Int) throws {
        let net = try HostileClient()
        let stream = try #require(net.connection.openStream())
        net.peer.send([UInt8](repeating: 0x5A, count: size), on: stream)
        net.run(for: .seconds(15))
        #expect(Self.isClosed(net, .authenticationFailed))
        #expect(net.server.counters.authenticationFailures == 1)
        Self.expectNothingLeft(net)
    }

    @Test func aHelloOfAnotherVersionIsNoWrongKey() throws {
        let net = try HostileClient()
        let (stream, control) = net.exchangeKeys()
        net.peer.send(control.sealedBytes([9, 0]), on: stream)
        net.run()
        #expect(Self.isClosed(net, .protocolViolation), "\(String(describing: net.peer.closeReason))")
        #expect(net.server.counters.authenticationFailures == 0)
        Self.expectNothingLeft(net)
    }

    /// PINGs keep the connection alive, but not beyond the time for a hello.
    @Test func whoSaysNothingIsSentAway() throws {
        var transport = TransportSettings()
        transport.keepAlive = .seconds(1)
        let net = try HostileClient(transport: transport) { $0.helloTimeout = .seconds(5) }
        net.run(for: .milliseconds(4_500))
        #expect(net.peer.closeReason == nil)
        net.run(for: .milliseconds(600))
        #expect(Self.isClosed(net, .authenticationFailed))
        Self.expectNothingLeft(net)
    }

    // MARK: - The control stream

    @Test func aSecondHelloIsIgnored() throws {
        let net = try HostileClient()
        let control = net.greet()
        net.peer.send(control.sealed.sealedBytes(Hello(software: "again").encode()), on: control.stream)
        net.run()
        // Its first byte, the version, reads as a pong.
        #expect(net.peer.closeReason == nil && net.logins.count == 1)
        #expect(net.notices.filter { if case .connected = $0 { true } else { false } }.count == 1)
        Self.expectNothingLeft(net)
    }

    @Test func aMessageOfALaterVersionIsIgnored() throws {
        let net = try HostileClient()
        let control = net.greet()
        let before = net.peer.received[0]?.count ?? 0
        net.peer.send(control.sealed.sealedBytes([200, 1, 2, 3]), on: control.stream)
        net.peer.send(control.sealed.sealedBytes(ControlMessage.ping(7).encode()), on: control.stream)
        net.run()
        #expect(net.peer.closeReason == nil)
        #expect((net.peer.received[0]?.count ?? 0) == before + 9 + 34, "the ping behind it is answered")
        Self.expectNothingLeft(net)
    }

    @Test func anOversizedMessageEndsTheConnection() throws {
        let net = try HostileClient()
        let control = net.greet()
        net.peer.send(control.sealed.sealedBytes([UInt8](repeating: 2, count: 1_025)), on: control.stream)
        net.run()
        #expect(Self.isClosed(net, .sealingFailed))
        Self.expectNothingLeft(net)
    }

    /// Pings whose answers nobody reads do not fill the server's memory.
    @Test func aReplayedControlMessageEndsTheConnection() throws {
        let net = try HostileClient()
        let control = net.greet()
        let ping = control.sealed.sealedBytes(ControlMessage.ping(7).encode())
        net.peer.send(ping + ping, on: control.stream)
        net.run()
        #expect(Self.isClosed(net, .sealingFailed))
        #expect(net.server.counters.sealingFailures == 1)
    }

    @Test func unreadAnswersAreLimited() throws {
        var transport = TransportSettings()
        transport.streamWindow = 1_000
        let net = try HostileClient(transport: transport)
        net.peer.passesOn = false
        let control = net.greet()
        for _ in 0..<400 where net.peer.closeReason == nil {
            for number in 0..<20 {
                let ping = ControlMessage.ping(UInt64(number)).encode()
                net.peer.send(control.sealed.sealedBytes(ping), on: control.stream)
            }
            net.run(for: .milliseconds(5))
        }
        #expect(Self.isClosed(net, .resourceLimit))
        #expect(
            net.serverPool.highWater * BlockPool.blockSize <= ControlStream.maximumBacklog + 4 * BlockPool.blockSize)
        Self.expectNothingLeft(net)
    }

    @Test(arguments: [0, 1, 2])
    func theConnectionEndsWithItsControlStream(way: Int) throws {
        let net = try HostileClient()
        let control = net.greet()
        let flow = net.connectedFlow()
        switch way {
        case 0: net.connection.finish(control.stream)
        case 1: net.connection.reset(control.stream, code: 1)
        default: net.connection.stopReceiving(control.stream, code: 1)
        }
        net.run()
        #expect(Self.isClosed(net, .protocolViolation))
        _ = flow
        Self.expectNothingLeft(net)
    }

    // MARK: - Flows

    @Test func theTransportAllowsNoMoreStreamsThanFlows() throws {
        let net = try HostileClient { $0.maximumFlowsPerConnection = 50 }
        net.greet()
        var count = 0
        while count < 5_000, net.connection.openStream() != nil { count += 1 }
        #expect(count == 50)
        Self.expectNothingLeft(net)
    }

    /// A flow may outlive its stream while the socket does not take its last bytes. It still counts.
    @Test func flowsWhoseStreamIsOverStillCount() throws {
        let net = try HostileClient { $0.maximumFlowsPerConnection = 8 }
        net.greet()
        net.socketsTake = false
        for _ in 0..<8 {
            let flow = net.connectedFlow()
            net.peer.send(flow.sealed.sealedBytes([1, 2, 3]), on: flow.stream)
            net.connection.finish(flow.stream)
            net.run(for: .milliseconds(20))
            net.server.socketEnded(net.dials.last!, now: net.now)
            net.run(for: .milliseconds(100))
        }
        #expect(net.server.counters.flowsOpen == 8)
        let flow = net.flow()
        net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
        net.run()
        #expect(net.server.counters.flowsOpen == 8)
        #expect(net.server.counters.flowsRefusedByLimit == 1)
        #expect(net.peer.resets[flow.stream.id.rawValue] == TunnelErrorCode.resourceLimit.rawValue)
        Self.expectNothingLeft(net)
    }

    @Test func dialsUnderWayAreLimited() throws {
        let net = try HostileClient { $0.maximumDialsPerConnection = 3 }
        net.greet()
        var flows: [(stream: QuicStream, sealed: FlowStream)] = []
        for _ in 0..<5 {
            let flow = net.flow()
            net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
            flows.append(flow)
        }
        net.run()
        #expect(net.dials.count == 3)
        #expect(flows.compactMap { net.reply(on: $0)?.code } == [.tooManyFlows, .tooManyFlows])
        Self.expectNothingLeft(net)
    }

    /// The times of dials that are over do not pile up.
    @Test func deadlinesOfFinishedDialsAreBounded() throws {
        var transport = TransportSettings()
        transport.keepAlive = .seconds(10)
        let net = try HostileClient(transport: transport) { $0.dialTimeout = .seconds(60) }
        net.greet()
        for _ in 0..<200 {
            let flow = net.flow()
            net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
            net.run(for: .milliseconds(5))
            net.connection.reset(flow.stream, code: 1)
            net.connection.stopReceiving(flow.stream, code: 1)
            net.run(for: .milliseconds(5))
        }
        #expect(net.dials.count == 200)
        #expect(net.server.counters.flowsOpen == 0)
        #expect(net.server.dialDeadlines.count <= net.server.flows.count)
        // A dial in a place used before still times out at its own time.
        let start = net.now
        let flow = net.flow()
        net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80")), on: flow.stream)
        for _ in 0..<70 where net.peer.received[flow.stream.id.rawValue] == nil { net.run(for: .seconds(1)) }
        #expect(net.reply(on: flow)?.code == .timedOut)
        #expect(net.now - start >= .seconds(60) && net.now - start <= .seconds(62))
        Self.expectNothingLeft(net)
    }

    @Test(
        arguments: [
            ([2, 3, 0, 9, 4, 97, 46, 98, 99, 0, 53], FlowReplyCode.addressTypeNotSupported),
            ([2, 3, 0, 3, 2, 46, 46, 0, 53], .hostUnreachable),
            ([2, 0x11, 0, 1, 203, 0, 113, 2, 0, 80], .commandNotSupported),
            ([2, 99, 0, 1, 203, 0, 113, 2, 0, 80], .commandNotSupported),
            ([2, 1, 0, 3, 4, 97, 46, 98, 99, 0, 0], .notAllowed),
            ([2, 1, 0, 9, 1, 2, 3, 4, 0, 80], .addressTypeNotSupported),
            ([2, 1, 0, 3, 2, 46, 46, 0, 80], .hostUnreachable),
            ([2, 1, 0, 1, 127, 0, 0, 1, 0, 80], .notAllowed),
        ] as [([UInt8], FlowReplyCode)])
    func aRequestThatCannotBeMetIsAnswered(request: [UInt8], code: FlowReplyCode) throws {
        let net = try HostileClient()
        net.greet()
        let flow = net.flow()
        net.peer.send(flow.sealed.sealedBytes(message: request), on: flow.stream)
        net.peer.send(flow.sealed.sealedBytes([1, 2, 3]), on: flow.stream)
        net.run()
        #expect(net.reply(on: flow)?.code == code)
        #expect(net.peer.finished.contains(flow.stream.id.rawValue))
        #expect(net.dials.isEmpty)
        #expect(net.server.counters.flowsOpen == 0)
        Self.expectNothingLeft(net)
    }

    @Test(arguments: [[1, 1, 0], [2], [2, 1, 0, 1, 203, 0]] as [[UInt8]])
    func aRequestThatMakesNoSenseIsReset(request: [UInt8]) throws {
        let net = try HostileClient()
        net.greet()
        let flow = net.flow()
        net.peer.send(flow.sealed.sealedBytes(message: request), on: flow.stream)
        net.run()
        #expect(net.peer.resets[flow.stream.id.rawValue] == TunnelErrorCode.protocolViolation.rawValue)
        Self.expectNothingLeft(net)
    }

    @Test func dataBeforeTheReplyIsKeptForTheSocket() throws {
        let net = try HostileClient()
        net.greet()
        let flow = net.flow()
        net.peer.send(
            flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80"))
                + flow.sealed.sealedBytes([1, 2, 3]), on: flow.stream)
        net.connection.finish(flow.stream)
        net.run()
        let id = try #require(net.dials.first)
        #expect(net.written[id] == nil && net.finishedWriting.isEmpty)
        net.server.dialSucceeded(id, bound: nil, now: net.now)
        net.run()
        #expect(net.written[id] == [1, 2, 3])
        #expect(net.finishedWriting == [id])
        Self.expectNothingLeft(net)
    }

    @Test func aFINInTheMiddleOfAChunkResetsTheSocket() throws {
        let net = try HostileClient()
        net.greet()
        let flow = net.connectedFlow()
        net.peer.send(flow.sealed.sealedBytes([1, 2, 3]).dropLast(), on: flow.stream)
        net.connection.finish(flow.stream)
        net.run()
        #expect(net.written.isEmpty, "no byte of a chunk that is not whole")
        #expect(net.peer.resets[flow.stream.id.rawValue] == TunnelErrorCode.sealingFailed.rawValue)
        #expect(net.closes.count == 1)
        Self.expectNothingLeft(net)
    }

    @Test func aReplayedChunkResetsItsFlowAndNoOther() throws {
        let net = try HostileClient()
        net.greet()
        let other = net.connectedFlow()
        let otherID = net.dials[0]
        let flow = net.connectedFlow()
        let chunk = flow.sealed.sealedBytes([1, 2, 3])
        net.peer.send(chunk + chunk, on: flow.stream)
        net.run()
        #expect(net.peer.resets[flow.stream.id.rawValue] == TunnelErrorCode.sealingFailed.rawValue)
        net.peer.send(other.sealed.sealedBytes([4, 5]), on: other.stream)
        net.run()
        #expect(net.written[otherID] == [4, 5])
        #expect(net.peer.closeReason == nil)
        Self.expectNothingLeft(net)
    }

    @Test func anOversizedRequestIsReset() throws {
        let net = try HostileClient()
        net.greet()
        let flow = net.flow()
        net.peer.send(flow.sealed.sealedBytes(message: [UInt8](repeating: 1, count: 1_025)), on: flow.stream)
        net.run()
        #expect(net.peer.resets[flow.stream.id.rawValue] == TunnelErrorCode.sealingFailed.rawValue)
        Self.expectNothingLeft(net)
    }

    /// The client gets back all its credit, however its bytes were cut, and no more.
    @Test func creditComesBackWhole() throws {
        let net = try HostileClient { $0.transport.connectionWindow = 200_000 }
        net.greet()
        for round in 0..<20 {
            let flow = net.connectedFlow()
            net.peer.send(flow.sealed.sealedBytes([UInt8](repeating: 1, count: 50_000)), on: flow.stream)
            net.run(for: .milliseconds(50))
            // Every other flow is cut by the socket, with bytes still to come.
            if round % 2 == 0 { net.server.socketFailed(net.dials.last!, now: net.now) }
            net.connection.finish(flow.stream)
            net.run(for: .milliseconds(50))
            #expect(net.peer.resets[flow.stream.id.rawValue] != nil || net.written[net.dials.last!]?.count == 50_000)
        }
        Self.expectNothingLeft(net)
    }

    // MARK: - Stopping

    @Test func whoComesWhileTheServerStopsIsTold() throws {
        let net = try HostileClient()
        net.greet()
        _ = net.connectedFlow()
        net.server.stop(now: net.now)
        net.run()
        #expect(Self.isClosed(net, .shuttingDown))
        #expect(net.closes.count == 1)
        Self.expectNothingLeft(net)
    }
}

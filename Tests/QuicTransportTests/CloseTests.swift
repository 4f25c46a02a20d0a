import Primitives
import QuicTransport
import SimNet
import Testing

/// How connections end, and that nothing of them stays.
@Suite struct CloseTests {
    @Test func closeReachesThePeerWithCodeAndMessage() throws {
        let pair = try Pair()
        try pair.connect()
        pair.client.close(code: 9, message: "going home", now: pair.now)
        pair.flush()
        #expect(pair.client.state == .closing)
        #expect(pair.clientSide.closeReason == .localClose(code: 9, message: "going home"))
        #expect(pair.run { $0.serverSide.closeReason != nil })
        #expect(pair.serverSide.closeReason == .peerClosed(code: 9, application: true, message: "going home"))
        #expect(pair.run { $0.client.state == .closed && $0.endpoint.connectionCount == 0 })
        #expect(pair.endpoint.routes == 0)
        #expect(pair.client.nextDeadline == nil)
    }

    @Test func lostCloseIsRepeated() throws {
        let pair = try Pair()
        try pair.connect()
        let server = try #require(pair.server)
        let stream = try #require(pair.client.openStream())
        pair.down.isCut = true
        server.close(code: 1, message: "", now: pair.now)
        pair.flush()
        pair.down.isCut = false
        // The client knows nothing yet and goes on; the server's answer is the same packet.
        pair.clientSide.send([1], on: stream, pair.client)
        pair.flush()
        #expect(pair.run { $0.clientSide.closeReason != nil })
        #expect(pair.clientSide.closeReason == .peerClosed(code: 1, application: true, message: ""))
    }

    @Test func closeInsideACallback() throws {
        let pair = try Pair()
        try pair.connect()
        pair.serverSide.onReceived = { connection, _ in connection.close(code: 3, message: "enough", now: pair.now) }
        for _ in 0..<5 {
            let stream = try #require(pair.client.openStream())
            pair.clientSide.send(Pair.pattern(100_000, seed: 1), on: stream, pair.client)
        }
        pair.flush()
        #expect(pair.run { $0.clientSide.closeReason == .peerClosed(code: 3, application: true, message: "enough") })
        #expect(pair.serverSide.closeReason == .localClose(code: 3, message: "enough"))
        #expect(pair.pool.outstanding == 0)
        pair.serverSide.onReceived = nil
    }

    @Test func idleConnectionEndsOnBothSides() throws {
        var options = Pair.Options()
        options.client.idleTimeout = .seconds(5)
        let pair = try Pair(options)
        try pair.connect()
        let started = pair.now
        #expect(pair.run { $0.clientSide.closeReason != nil && $0.serverSide.closeReason != nil })
        #expect(pair.clientSide.closeReason == .idleTimeout)
        #expect(pair.serverSide.closeReason == .idleTimeout)
        #expect(pair.now - started < .seconds(8))
        #expect(pair.endpoint.connectionCount == 0)
    }

    @Test func keepAliveKeepsItOpen() throws {
        var options = Pair.Options()
        options.client.idleTimeout = .seconds(5)
        options.client.keepAlive = .seconds(2)
        let pair = try Pair(options)
        try pair.connect()
        pair.run(for: .seconds(60))
        #expect(pair.client.state == .established && pair.server?.state == .established)
        // Until the line is cut.
        pair.up.isCut = true
        #expect(pair.run(for: .seconds(20)) { $0.clientSide.closeReason == .idleTimeout })
    }

    @Test func serverThatDoesNotAnswer() throws {
        var options = Pair.Options()
        options.client.handshakeTimeout = .seconds(4)
        let pair = try Pair(options)
        pair.up.isCut = true
        let started = pair.now
        #expect(pair.run { $0.clientSide.closeReason != nil })
        #expect(pair.clientSide.closeReason == .handshakeTimeout)
        #expect(pair.now - started < .seconds(5))
    }

    @Test func clientThatVanishesInTheHandshake() throws {
        var options = Pair.Options()
        options.server.handshakeTimeout = .seconds(4)
        let pair = try Pair(options)
        pair.down.isCut = true
        pair.run(for: .milliseconds(500))
        #expect(pair.endpoint.handshakesInProgress == 1)
        pair.up.isCut = true
        pair.run(for: .seconds(10))
        #expect(pair.endpoint.handshakesInProgress == 0)
        #expect(pair.endpoint.connectionCount == 0 && pair.endpoint.routes == 0)
    }

    @Test func restartedServerResetsStatelessly() throws {
        let pair = try Pair()
        try pair.connect()
        pair.run(for: .seconds(1))
        pair.endpoint = try Pair.makeEndpoint(pair.options, pool: pair.pool, seed: 77)
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(1000, seed: 1), on: stream, pair.client)
        pair.flush()
        // A round trip of twenty milliseconds after the client has said something.
        #expect(pair.run(for: .milliseconds(21)) { $0.clientSide.closeReason == .statelessReset })
        #expect(pair.endpoint.counters.statelessResetsSent > 0)
        #expect(pair.client.state == .closed)
    }

    @Test func resetWithAnotherKeyIsNotBelieved() throws {
        let pair = try Pair()
        try pair.connect()
        pair.run(for: .seconds(1))
        var options = pair.options
        options.resetKey = [UInt8](repeating: 8, count: 32)
        pair.endpoint = try Pair.makeEndpoint(options, pool: pair.pool, seed: 77)
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(1000, seed: 1), on: stream, pair.client)
        pair.flush()
        pair.run(for: .seconds(3))
        #expect(pair.endpoint.counters.statelessResetsSent > 0)
        #expect(pair.client.state == .established)
    }

    /// Connections, streams, sessions and blocks are all gone when both sides are.
    @Test(arguments: [21, 22] as [UInt64])
    func nothingLeaks(seed: UInt64) throws {
        weak var client: QuicConnection?
        weak var server: QuicConnection?
        weak var endpoint: QuicEndpoint?
        weak var clientStream: QuicStream?
        weak var serverStream: QuicStream?
        weak var pool: BlockPool?
        do {
            var options = Pair.Options()
            options.link = TransferTests.bad
            options.seed = seed
            let pair = try Pair(options)
            pair.serverSide.passesOn = false
            pair.serverSide.answer = Pair.pattern(5 << 20, seed: seed)
            try pair.connect()
            for _ in 0..<20 {
                let stream = try #require(pair.client.openStream())
                clientStream = stream
                pair.clientSide.send(Pair.pattern(5 << 20, seed: seed), on: stream, pair.client)
            }
            pair.run(for: .milliseconds(300))
            serverStream = pair.serverSide.streams.values.first
            #expect(pair.pool.outstanding > 0)
            client = pair.client
            server = pair.server
            endpoint = pair.endpoint
            pool = pair.pool
            pair.client.close(code: 0, message: "", now: pair.now)
            pair.flush()
            pair.run(for: .seconds(30))
            #expect(pair.pool.outstanding == 0)
            #expect(pair.endpoint.connectionCount == 0)
            #expect(pair.serverSide.closeReason != nil)
        }
        #expect(client == nil && server == nil && endpoint == nil && pool == nil)
        #expect(clientStream == nil && serverStream == nil)
    }

    @Test func endpointDroppedInFullFlight() throws {
        weak var server: QuicConnection?
        let pair = try Pair()
        try pair.connect()
        pair.serverSide.answer = Pair.pattern(1 << 20, seed: 1)
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1], on: stream, pair.client)
        pair.run(for: .milliseconds(30))
        server = pair.server
        pair.server = nil
        pair.endpoint = try Pair.makeEndpoint(pair.options, pool: pair.pool, seed: 5)
        pair.serverSide.streams = [:]
        #expect(server == nil)
        pair.client.close(code: 0, message: "", now: pair.now)
        #expect(pair.pool.outstanding == 0)
    }

    @Test func commandsAfterTheEndDoNothing() throws {
        let pair = try Pair()
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1, 2, 3], on: stream, pair.client, finishes: false)
        pair.client.close(code: 0, message: String(repeating: "long ", count: 1000), now: pair.now)
        #expect(pair.client.sendSpace(on: stream, minimum: 1) == nil)
        pair.client.send(10, on: stream)
        pair.client.finish(stream)
        pair.client.reset(stream, code: 1)
        pair.client.stopReceiving(stream, code: 1)
        pair.client.extendCredit(on: stream, by: 100)
        #expect(pair.client.openStream() == nil)
        #expect(!DatagramTests.send([1], pair))
        pair.client.close(code: 5, message: "again", now: pair.now)
        pair.flush()
        #expect(pair.run { $0.serverSide.closeReason != nil })
        #expect(pair.pool.outstanding == 0)
    }
}

import Primitives
import SimNet
import Testing

@testable import QuicTransport

/// What the server's socket may be sent, and its limits.
@Suite struct EndpointTests {
    @Test func retryProvesTheAddress() throws {
        var options = Pair.Options()
        options.limits.alwaysRetry = true
        let pair = try Pair(options)
        try pair.connect()
        #expect(pair.endpoint.counters.retriesSent == 1)
        #expect(pair.endpoint.counters.accepted == 1)
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1, 2], on: stream, pair.client)
        pair.flush()
        #expect(pair.run { $0.serverSide.received[stream.id] == [1, 2] })
    }

    @Test func retryTokenOfAnotherAddressIsRefused() throws {
        var options = Pair.Options()
        options.limits.alwaysRetry = true
        let pair = try Pair(options)
        #expect(pair.run { $0.endpoint.counters.retriesSent == 1 })
        // What the client says next comes from another address.
        pair.clientAddress = Endpoint("203.0.113.9:1")!
        pair.run(for: .seconds(2)) { $0.clientSide.closeReason != nil }
        #expect(pair.endpoint.counters.badTokens > 0)
        #expect(pair.endpoint.counters.accepted == 0)
    }

    @Test func otherVersionsAreNegotiated() throws {
        var options = Pair.Options()
        options.client.version = 0x1A2A_3A4A
        let pair = try Pair(options)
        #expect(pair.run(for: .seconds(5)) { $0.clientSide.closeReason != nil })
        #expect(pair.clientSide.closeReason == .versionMismatch)
        #expect(pair.endpoint.counters.versionNegotiationsSent == 1)
        #expect(pair.endpoint.connectionCount == 0)
    }

    @Test func garbageIsIgnored() throws {
        let pair = try Pair()
        try pair.connect()
        var random = SeededRandom(seed: 5)
        for index in 0..<20_000 {
            let count = Int.random(in: 0...(index % 10 == 0 ? 1500 : 60), using: &random)
            var bytes = Pair.pattern(count, seed: random.next())
            if count > 5, index % 3 == 0 {
                // A long header of version 1.
                bytes.replaceSubrange(0..<6, with: [0xC0 | UInt8(index & 0x3F), 0, 0, 0, 1, UInt8(index % 21)])
            }
            pair.deliverToServer(bytes)
            pair.deliverToClient(bytes)
            _ = bytes.withUnsafeBytes {
                pair.server?.handle($0, from: pair.clientAddress, to: Pair.serverAddress, ecn: 3, now: pair.now)
            }
        }
        pair.flush()
        #expect(pair.client.state == .established && pair.server?.state == .established)
        #expect(pair.endpoint.counters.ignored > 1000)
        #expect(pair.endpoint.counters.answersDropped > 0, "the queue of answers has a limit")
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1], on: stream, pair.client)
        pair.flush()
        #expect(pair.run { $0.serverSide.received[stream.id] == [1] })
    }

    /// Every truncation and many corruptions of real packets, at every stage of the handshake.
    @Test(arguments: [31, 32] as [UInt64])
    func mangledPacketsAreHarmless(seed: UInt64) throws {
        var options = Pair.Options()
        options.seed = seed
        options.link = LinkConditions(loss: 0.1, duplication: 0.3, reordering: 0.2, corruption: 0.4)
        options.client.handshakeTimeout = .seconds(60)
        options.server.handshakeTimeout = .seconds(60)
        let pair = try Pair(options)
        try pair.connect()
        var first: [UInt8] = []
        let other = try Pair.makeClient(pair.options, pool: pair.pool, local: Pair.localAddress, now: pair.now)
        pair.drain(other) { first = $0 }
        for count in 0..<first.count { pair.deliverToServer(Array(first[..<count])) }
        #expect(pair.client.state == .established, "seed \(seed)")
        #expect(pair.endpoint.connectionCount <= 2)
    }

    @Test func connectionLimit() throws {
        var options = Pair.Options()
        options.limits.connections = 3
        let pair = try Pair(options)
        try pair.connect()
        var clients: [QuicConnection] = []
        for index in 0..<5 {
            var options = pair.options
            options.seed = UInt64(100 + index)
            let client = try Pair.makeClient(options, pool: pair.pool, local: Pair.localAddress, now: pair.now)
            clients.append(client)
            pair.drain(client) { pair.deliverToServer($0) }
        }
        #expect(pair.endpoint.connectionCount == 3)
        #expect(pair.endpoint.counters.refused == 3)
    }

    @Test func handshakeLimitAndRetryFromHalfOfIt() throws {
        var options = Pair.Options()
        options.limits.handshakes = 4
        let pair = try Pair(options)
        try pair.connect()
        #expect(pair.endpoint.handshakesInProgress == 0)
        for index in 0..<6 {
            var options = pair.options
            options.seed = UInt64(100 + index)
            let client = try Pair.makeClient(options, pool: pair.pool, local: Pair.localAddress, now: pair.now)
            pair.drain(client) { pair.deliverToServer($0) }
        }
        #expect(pair.endpoint.handshakesInProgress == 2)
        #expect(pair.endpoint.counters.retriesSent == 4)
    }

    @Test func refusedClientLearnsIt() throws {
        var options = Pair.Options()
        options.limits.connections = 0
        let pair = try Pair(options)
        #expect(pair.run(for: .seconds(5)) { $0.clientSide.closeReason != nil })
        #expect(pair.clientSide.closeReason == .peerClosed(code: 2, application: false, message: ""))
    }

    @Test func routesAreBounded() throws {
        let pair = try Pair()
        try pair.connect()
        pair.run(for: .seconds(5))
        // Eight identifiers of its own and the client's first choice.
        #expect((2...9).contains(pair.endpoint.routes))
        pair.endpoint.remove(try #require(pair.server))
        #expect(pair.endpoint.routes == 0)
        #expect(pair.endpoint.connectionCount == 0)
    }

    @Test func removingAHandshakeCountsItOnce() throws {
        let pair = try Pair()
        pair.drain(pair.client) { pair.deliverToServer($0) }
        #expect(pair.endpoint.handshakesInProgress == 1)
        pair.endpoint.remove(try #require(pair.server))
        pair.endpoint.remove(try #require(pair.server))
        #expect(pair.endpoint.handshakesInProgress == 0)
        #expect(pair.endpoint.connectionCount == 0 && pair.endpoint.routes == 0)
    }

    @Test func removalInsideACallback() throws {
        let pair = try Pair()
        try pair.connect()
        pair.serverSide.onReceived = { connection, _ in pair.endpoint.remove(connection) }
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(100_000, seed: 1), on: stream, pair.client)
        pair.flush()
        pair.run(for: .seconds(1))
        #expect(pair.endpoint.connectionCount == 0)
        #expect(pair.server?.statistics.streamsOpen == 0)
        pair.serverSide.onReceived = nil
    }
}

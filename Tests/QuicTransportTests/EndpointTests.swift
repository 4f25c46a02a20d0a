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

    /// Starts as many clients that are never heard of again.
    private static func addSilentClients(_ count: Int, to pair: Pair) throws {
        for index in 0..<count {
            var options = pair.options
            options.seed = UInt64(100 + index)
            let client = try Pair.makeClient(options, pool: pair.pool, local: Pair.localAddress, now: pair.now)
            pair.drain(client) { pair.deliverToServer($0) }
        }
    }

    @Test func retryUnderLoad() throws {
        var options = Pair.Options()
        options.limits.handshakes = 4
        options.limits.retryFrom = 2
        let pair = try Pair(options)
        try Self.addSilentClients(6, to: pair)
        #expect(pair.endpoint.handshakesInProgress == 2)
        #expect(pair.endpoint.counters.retriesSent == 4)
        // Who answers its Retry gets in, and carries bytes.
        #expect(pair.run { $0.clientSide.isEstablished })
        #expect(pair.endpoint.counters.retriesSent == 5 && pair.endpoint.counters.refused == 0)
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1, 2], on: stream, pair.client)
        pair.flush()
        #expect(pair.run { $0.serverSide.received[stream.id] == [1, 2] })
    }

    @Test func handshakeLimit() throws {
        var options = Pair.Options()
        options.limits.handshakes = 4
        let pair = try Pair(options)
        try Self.addSilentClients(6, to: pair)
        #expect(pair.endpoint.handshakesInProgress == 4)
        #expect(pair.endpoint.counters.refused == 2 && pair.endpoint.counters.retriesSent == 0)
    }

    /// A token that came with a Retry is good for `AddressTokens.retryLifetime`, which is for the round trip alone.
    @Test func lateAnswersToARetryAreRefused() throws {
        var options = Pair.Options()
        options.limits.alwaysRetry = true
        options.client.handshakeTimeout = .seconds(60)
        let pair = try Pair(options)
        #expect(pair.run { $0.endpoint.counters.retriesSent == 1 })
        pair.up.isCut = true
        pair.run(for: AddressTokens.retryLifetime + .seconds(1))
        pair.up.isCut = false
        pair.run(for: .seconds(40)) { $0.endpoint.counters.badTokens > 0 }
        #expect(pair.endpoint.counters.badTokens > 0 && pair.endpoint.counters.accepted == 0)
    }

    /// RFC 9000, sections 10.3 and 14.1: what answers a stranger is shorter than what he sent, so that two servers that
    /// hear each other fall silent, and nobody uses one against a third.
    @Test func answersToStrangersAreShort() throws {
        let pair = try Pair()
        var answers: [Int] = []
        for count in 0...1_500 {
            var bytes = Pair.pattern(count, seed: UInt64(count))
            if count > 0 { bytes[0] = 0x40 | bytes[0] & 0x3F }
            pair.deliverToServer(bytes)
            for answer in pair.takeAnswers() {
                #expect(answer.count < count)
                answers.append(answer.count)
                let before = pair.endpoint.counters.statelessResetsSent
                // Another server's answer to it, and so on.
                var ping = answer
                var rounds = 0
                while rounds < 100 {
                    pair.deliverToServer(ping)
                    guard let next = pair.takeAnswers().first else { break }
                    ping = next
                    rounds += 1
                }
                #expect(pair.endpoint.counters.statelessResetsSent - before == rounds && rounds < 100)
            }
        }
        #expect(answers.count > 1_000 && answers.allSatisfy { (21...43).contains($0) })
    }

    /// RFC 9000, section 5.2.2: no answer to another version in a datagram too small to begin with.
    @Test(arguments: [(1_199, 0), (1_200, 1)])
    func versionsAreNegotiatedForFullFirstPacketsOnly(count: Int, answers: Int) throws {
        let pair = try Pair()
        var bytes = [UInt8](repeating: 0, count: count)
        bytes.replaceSubrange(0..<6, with: [0xC0, 0x1A, 0x2A, 0x3A, 0x4A, 8])
        pair.deliverToServer(bytes)
        #expect(pair.endpoint.counters.versionNegotiationsSent == answers)
        #expect(pair.endpoint.counters.ignored == 1 - answers)
        #expect(pair.takeAnswers().allSatisfy { $0.count < count / 3 })
    }

    @Test func answersThatWaitAreBounded() throws {
        let pair = try Pair()
        for index in 0..<70 {
            pair.deliverToServer([0x40] + Pair.pattern(99, seed: UInt64(index)))
            #expect(pair.endpoint.counters.answersDropped == max(index + 1 - 64, 0))
        }
        #expect(pair.takeAnswers().count == 64)
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

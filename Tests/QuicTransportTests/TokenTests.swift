import Primitives
import SimNet
import Testing

@testable import QuicTransport

/// Tokens by which a client's address is known in its next connection (RFC 9000, section 8.1.3).
@Suite struct TokenTests {
    /// A token from one connection, and the pair that it came from.
    private static func token(_ options: Pair.Options = Pair.Options()) throws -> (Pair, [UInt8]) {
        let pair = try Pair(options)
        try pair.connect()
        #expect(pair.run(for: .seconds(1)) { $0.client.addressToken != nil })
        return (pair, try #require(pair.client.addressToken))
    }

    /// Connects another client to the pair's endpoint.
    private static func reconnect(_ pair: Pair, token: [UInt8], seed: UInt64 = 9) throws {
        pair.client.close(code: 0, message: "", now: pair.now)
        pair.flush()
        pair.run(for: .seconds(2))
        pair.server = nil
        var options = pair.options
        options.seed = seed
        pair.client = try Pair.makeClient(
            options, pool: pair.pool, local: Pair.localAddress, now: pair.now, token: token)
        pair.client.owner = pair.clientSide
        pair.clientSide.events = []
        pair.serverSide.events = []
        try pair.connect()
        pair.run(for: .seconds(1)) { $0.client.addressToken != nil }
    }

    private static var alwaysRetry: Pair.Options {
        var options = Pair.Options()
        options.limits.alwaysRetry = true
        return options
    }

    @Test func aKnownClientIsSparedTheRetry() throws {
        let (pair, token) = try Self.token(Self.alwaysRetry)
        #expect(pair.endpoint.counters.retriesSent == 1)
        try Self.reconnect(pair, token: token)
        #expect(pair.endpoint.counters.retriesSent == 1)
        #expect(pair.endpoint.counters.knownTokens == 1)
        #expect(pair.client.addressToken != nil && pair.client.addressToken != token, "a new one for the next time")
    }

    /// The port may be another: a NAT gives out new ones all the time.
    @Test func thePortDoesNotMatterButTheAddressDoes() throws {
        let (pair, token) = try Self.token(Self.alwaysRetry)
        pair.clientAddress = Endpoint(Pair.localAddress.address, 999)
        try Self.reconnect(pair, token: token)
        #expect(pair.endpoint.counters.knownTokens == 1)
        pair.clientAddress = Endpoint("203.0.113.5:1234")!
        try Self.reconnect(pair, token: try #require(pair.client.addressToken), seed: 10)
        #expect(pair.endpoint.counters.knownTokens == 1)
        #expect(pair.endpoint.counters.retriesSent == 2)
    }

    @Test func aRestartedServerKnowsItsTokensAgain() throws {
        let (pair, token) = try Self.token(Self.alwaysRetry)
        pair.endpoint = try Pair.makeEndpoint(pair.options, pool: pair.pool, seed: 77)
        try Self.reconnect(pair, token: token)
        #expect(pair.endpoint.counters.knownTokens == 1)
        // But not one with another secret, to whom the token is as good as none.
        let other = try #require(pair.client.addressToken)
        var options = pair.options
        options.tokenSecret = [UInt8](repeating: 99, count: 32)
        pair.endpoint = try Pair.makeEndpoint(options, pool: pair.pool, seed: 78)
        try Self.reconnect(pair, token: other, seed: 11)
        #expect(pair.endpoint.counters.knownTokens == 0 && pair.endpoint.counters.retriesSent == 1)
        #expect(pair.endpoint.counters.badTokens == 0)
    }

    @Test func tokensGetTooOld() throws {
        let (pair, token) = try Self.token(Self.alwaysRetry)
        pair.client.close(code: 0, message: "", now: pair.now)
        pair.flush()
        pair.run(for: .seconds(2))
        pair.now = pair.now + AddressTokens.lifetime
        try Self.reconnect(pair, token: token)
        #expect(pair.endpoint.counters.knownTokens == 0)
        #expect(pair.endpoint.counters.retriesSent == 2)
    }

    @Test func garbageCountsAsNoToken() throws {
        let (pair, token) = try Self.token()
        for index in [0, 1, 20, token.count - 1] {
            var damaged = token
            damaged[index] ^= 0x40
            try Self.reconnect(pair, token: damaged, seed: UInt64(20 + index))
        }
        try Self.reconnect(pair, token: [UInt8](repeating: 7, count: 400))
        #expect(pair.endpoint.counters.knownTokens == 0)
        #expect(pair.endpoint.counters.badTokens == 0)
    }

    @Test func keysChangeWithTime() {
        let tokens = AddressTokens(secret: [UInt8](repeating: 1, count: 32))
        let start = Instant(nanoseconds: 1)
        let later = start + AddressTokens.lifetime * 3
        #expect(
            tokens.makeToken(for: Pair.localAddress, now: start) != tokens.makeToken(for: Pair.localAddress, now: later)
        )
    }
}

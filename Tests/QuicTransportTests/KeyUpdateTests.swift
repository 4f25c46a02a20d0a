import Primitives
import SimNet
import Testing

@testable import QuicTransport

/// Keys change while data flows (RFC 9001, section 6).
@Suite struct KeyUpdateTests {
    private static func transfer(_ pair: Pair, count: Int) throws {
        let upload = Pair.pattern(count, seed: 1)
        let download = Pair.pattern(count, seed: 2)
        pair.serverSide.answer = download
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(upload, on: stream, pair.client)
        pair.flush()
        let done = pair.run {
            $0.serverSide.finished.contains(stream.id) && $0.clientSide.finished.contains(stream.id)
        }
        #expect(done, "seed \(pair.options.seed)")
        expectSame(pair.serverSide.received[stream.id], upload)
        expectSame(pair.clientSide.received[stream.id], download)
    }

    @Test(arguments: [true, false], [61, 62] as [UInt64])
    func afterSoManyPackets(atClient: Bool, seed: UInt64) throws {
        var options = Pair.Options()
        options.seed = seed
        options.link = LinkConditions(delay: .milliseconds(10), loss: 0.01, reordering: 0.02)
        if atClient { options.client.keyUpdatePackets = 300 } else { options.server.keyUpdatePackets = 300 }
        let pair = try Pair(options)
        try pair.connect()
        pair.run(for: .seconds(1))
        try Self.transfer(pair, count: 3_000_000)
        let client = pair.client.statistics
        let server = try #require(pair.server).statistics
        #expect((atClient ? client : server).keyUpdatesBegun >= 2)
        #expect((atClient ? server : client).keyUpdatesBegun == 0)
        #expect(client.keyUpdates >= 1 && server.keyUpdates >= 1, "both sides count it")
    }

    @Test func bothSidesAtOnce() throws {
        var options = Pair.Options()
        options.client.keyUpdatePackets = 200
        options.server.keyUpdatePackets = 200
        let pair = try Pair(options)
        try pair.connect()
        pair.run(for: .seconds(1))
        try Self.transfer(pair, count: 3_000_000)
        #expect(pair.client.statistics.keyUpdates >= 1)
    }

    @Test func afterSoLongATime() throws {
        var options = Pair.Options()
        options.client.keyUpdateInterval = .seconds(60)
        options.client.keepAlive = .seconds(10)
        let pair = try Pair(options)
        try pair.connect()
        pair.run(for: .seconds(600))
        #expect((8...10).contains(pair.client.statistics.keyUpdatesBegun))
        try Self.transfer(pair, count: 100_000)
    }
}

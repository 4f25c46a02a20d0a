import Primitives
import QuicTransport
import SimNet
import Testing

/// Many streams on one narrow line: who gets what, and who waits.
@Suite struct FairnessTests {
    /// 50 Mbit/s, 20 ms there and back.
    static var narrow: Pair.Options {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(10), rate: 50_000_000)
        return options
    }

    /// Opens streams that upload for longer than any test runs, and waits until the line is full.
    func startBulk(_ count: Int, _ pair: Pair) throws -> [QuicStream] {
        let streams = try pair.startUploads(count, of: 16 << 20)
        pair.run(for: .seconds(1))
        return streams
    }

    /// How long a small request on a new stream takes to arrive.
    func requestTime(_ pair: Pair) throws -> Interval {
        let start = pair.now
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1, 2, 3], on: stream, pair.client)
        pair.flush()
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        return pair.now - start
    }

    /// The way to the server, and what waits at the bottleneck, which congestion control and the pacer keep below fifteen
    /// milliseconds, and the batch before, ten packets that take 2.4 ms at this rate. A turn behind a hundred others would
    /// take 24 ms more.
    func bound(_ pair: Pair) -> Interval {
        min(pair.client.statistics.latestRTT - .milliseconds(10), .milliseconds(25)) + .microseconds(2_400)
    }

    @Test func aRequestOvertakesAHundredUploads() throws {
        let pair = try Pair(Self.narrow)
        try pair.connect()
        _ = try startBulk(100, pair)
        for _ in 0..<20 {
            let took = try requestTime(pair)
            #expect(took < bound(pair), "\(took)")
            pair.run(for: .milliseconds(37))
        }
    }

    /// A keystroke now and then on a stream that stays open.
    @Test func aSparseStreamOvertakesEachTime() throws {
        let pair = try Pair(Self.narrow)
        try pair.connect()
        _ = try startBulk(100, pair)
        let typing = try #require(pair.client.openStream())
        for key in 1...20 {
            let start = pair.now
            pair.clientSide.send([UInt8(key)], on: typing, pair.client, finishes: false)
            pair.flush()
            #expect(pair.run { $0.serverSide.receivedCount[typing.id] == key })
            #expect(pair.now - start < bound(pair), "key \(key) took \(pair.now - start)")
            pair.run(for: .milliseconds(100))
        }
    }

    @Test func uploadsGetEqualShares() throws {
        let pair = try Pair(Self.narrow)
        try pair.connect()
        let streams = try startBulk(8, pair)
        let before = streams.map { pair.clientSide.sent[$0.id] ?? 0 }
        pair.run(for: .seconds(4))
        let shares = zip(streams, before).map { Double((pair.clientSide.sent[$0.id] ?? 0) - $1) }
        let sum = shares.reduce(0, +)
        let index = sum * sum / (8 * shares.map { $0 * $0 }.reduce(0, +))
        #expect(index > 0.999, "Jain's index \(index) of \(shares)")
        #expect(sum * 8 / 4 > 40_000_000, "the line is full")
    }

    /// Sending byte by byte gains a stream nothing over those that fill packets.
    @Test func manySmallWritesDoNotStarveAnUpload() throws {
        let pair = try Pair(Self.narrow)
        try pair.connect()
        let bulk = try startBulk(1, pair)[0]
        let nibblers = try (0..<50).map { _ in try #require(pair.client.openStream()) }
        let before = pair.clientSide.sent[bulk.id] ?? 0
        for _ in 0..<2_000 {
            for stream in nibblers { pair.clientSide.send([7], on: stream, pair.client, finishes: false) }
            pair.flush()
            pair.run(for: .milliseconds(1))
        }
        let rate = Double((pair.clientSide.sent[bulk.id] ?? 0) - before) * 8 / 2
        #expect(rate > 25_000_000, "\(rate) bit/s beside 50 streams that send a byte each millisecond")
    }

    @Test func datagramsShareTheLineWithUploads() throws {
        var options = Self.narrow
        options.client.datagramQueueLimit = 64
        let pair = try Pair(options)
        try pair.connect()
        let bulk = try startBulk(3, pair)
        let before = pair.client.statistics.datagramsSent
        let sentBefore = bulk.map { pair.clientSide.sent[$0.id] ?? 0 }
        // 100 Mbit/s of datagrams on a line of 50.
        let datagram = Pair.pattern(1_200, seed: 3)
        for _ in 0..<20_000 {
            _ = DatagramTests.send(datagram, pair)
            pair.flush()
            pair.run(for: .microseconds(96))
        }
        let datagrams = Double((pair.client.statistics.datagramsSent - before) * 1_200)
        let streams = zip(bulk, sentBefore).map { Double((pair.clientSide.sent[$0.id] ?? 0) - $1) }
        for share in streams {
            #expect(abs(share / datagrams - 1) < 0.2, "datagrams \(datagrams), streams \(streams)")
        }
        #expect(pair.client.statistics.datagramsDropped > 0, "the queue is bounded")
    }

    /// A few datagrams beside uploads are as quick as on an idle line.
    @Test func sparseDatagramsOvertake() throws {
        let pair = try Pair(Self.narrow)
        try pair.connect()
        _ = try startBulk(100, pair)
        for index in 1...20 {
            let start = pair.now
            #expect(DatagramTests.send([UInt8(index)], pair))
            pair.flush()
            #expect(pair.run { $0.serverSide.datagrams.count == index })
            #expect(pair.now - start < bound(pair))
            pair.run(for: .milliseconds(50))
        }
    }

    /// Uploads have used up the connection's window, and their readers sleep.
    /// - Returns: beside the pair a stream that has sent a byte before.
    private static func usedUpWindow() throws -> (Pair, quiet: QuicStream) {
        var options = Pair.Options()
        options.server.connectionWindow = 100_000
        let pair = try Pair(options)
        try pair.connect()
        pair.serverSide.passesOn = false
        let quiet = try #require(pair.client.openStream())
        pair.clientSide.send([1], on: quiet, pair.client, finishes: false)
        let streams = try (0..<4).map { _ in try #require(pair.client.openStream()) }
        for stream in streams { pair.clientSide.send(Pair.pattern(200_000, seed: 1), on: stream, pair.client) }
        pair.flush()
        pair.run(for: .seconds(2))
        #expect(pair.serverSide.receivedCount.values.reduce(0, +) == 100_000)
        return (pair, quiet)
    }

    /// A FIN needs no window, and is not held up by streams that wait for one.
    @Test func finPassesWhereBytesMustWait() throws {
        let (pair, quiet) = try Self.usedUpWindow()
        pair.client.finish(quiet)
        pair.flush()
        #expect(pair.run(for: .seconds(1)) { $0.serverSide.finished.contains(quiet.id) })
    }

    /// Neither needs a datagram a window: names are looked up while uploads wait for readers that sleep.
    @Test func datagramsPassWhereBytesMustWait() throws {
        let (pair, _) = try Self.usedUpWindow()
        for index in 1...20 {
            let start = pair.now
            #expect(DatagramTests.send([UInt8(index)], pair))
            pair.flush()
            #expect(pair.run(for: .seconds(1)) { $0.serverSide.datagrams.count == index }, "datagram \(index)")
            #expect(pair.now - start <= pair.options.link.delay + .milliseconds(1))
            pair.run(for: .milliseconds(100))
        }
        #expect(pair.client.statistics.datagramsDropped == 0)
    }
}

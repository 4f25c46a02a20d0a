import Primitives
import QuicTransport
import SimNet
import Testing

@Suite struct DatagramTests {
    static func send(_ bytes: [UInt8], _ pair: Pair) -> Bool {
        bytes.withUnsafeBytes { pair.client.sendDatagram($0, now: pair.now) }
    }

    @Test func datagramsArriveWhole() throws {
        let pair = try Pair()
        try pair.connect()
        pair.run(for: .seconds(2))
        let sizes = [0, 1, 100, 1100, pair.client.maximumDatagramSize]
        #expect(pair.client.maximumDatagramSize > 1300)
        for size in sizes { #expect(Self.send(Pair.pattern(size, seed: 1), pair)) }
        pair.flush()
        #expect(pair.run { $0.serverSide.datagrams.count == sizes.count })
        #expect(pair.serverSide.datagrams == sizes.map { Pair.pattern($0, seed: 1) })
        #expect(!Self.send(Pair.pattern(pair.client.maximumDatagramSize + 1, seed: 1), pair))
        #expect(pair.client.statistics.datagramsSent == sizes.count)
        #expect(pair.client.statistics.datagramsDropped == 1)
    }

    @Test func datagramsAndStreamsShareTheLine() throws {
        let pair = try Pair()
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        let upload = Pair.pattern(1 << 20, seed: 2)
        pair.clientSide.send(upload, on: stream, pair.client)
        for index in 0..<100 { #expect(Self.send([UInt8](repeating: UInt8(index), count: 500), pair)) }
        pair.flush()
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) && $0.serverSide.datagrams.count == 100 })
        expectSame(pair.serverSide.received[stream.id], upload)
    }

    /// Somebody sends more datagrams than the path takes: a stream beside them still gets its share, and they theirs.
    @Test func aFloodOfDatagramsDoesNotShutStreamsOut() throws {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(10), rate: 10_000_000, queueLimit: 60_000)
        let pair = try Pair(options)
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        let upload = Pair.pattern(300_000, seed: 2)
        pair.clientSide.send(upload, on: stream, pair.client)
        let start = pair.now
        while !pair.serverSide.finished.contains(stream.id), pair.now - start < .seconds(10) {
            for _ in 0..<20 { _ = Self.send([UInt8](repeating: 1, count: 1_000), pair) }
            pair.flush()
            pair.run(for: .milliseconds(5))
        }
        expectSame(pair.serverSide.received[stream.id], upload)
        // Half of the path is 5 Mbit/s, for which the upload needs 0.5 s.
        #expect(pair.now - start < .seconds(3))
        #expect(pair.serverSide.datagrams.count > 100)
    }

    @Test func fullQueueDropsTheOldest() throws {
        var options = Pair.Options()
        options.client.datagramQueueLimit = 10
        let pair = try Pair(options)
        try pair.connect()
        for index in 0..<25 { #expect(Self.send([UInt8(index)], pair)) }
        pair.flush()
        #expect(pair.run { $0.serverSide.datagrams.count == 10 })
        #expect(pair.serverSide.datagrams == (15..<25).map { [UInt8($0)] })
        #expect(pair.client.statistics.datagramsDropped == 15)
    }

    @Test func peerThatTakesNoneGetsNone() throws {
        var options = Pair.Options()
        options.server.maximumDatagramPayload = 0
        let pair = try Pair(options)
        try pair.connect()
        #expect(pair.client.maximumDatagramSize == 0)
        #expect(!Self.send([1], pair))
        #expect(!Self.send([], pair) || pair.client.statistics.datagramsDropped > 0)
    }

    /// What fits today may not fit any more when its turn comes; it is dropped and holds nothing up.
    @Test func lossyLinkLosesDatagramsWithoutHarm() throws {
        var options = Pair.Options()
        options.link = TransferTests.bad
        let pair = try Pair(options)
        try pair.connect()
        for index in 0..<200 {
            _ = Self.send([UInt8(index)], pair)
            pair.flush()
            pair.run(for: .milliseconds(2))
        }
        pair.run(for: .seconds(1))
        #expect((150...200).contains(pair.serverSide.datagrams.count))
        #expect(Set(pair.serverSide.datagrams).count == pair.serverSide.datagrams.count, "a datagram came twice")
    }

    /// Nobody sends them again, but who sent them is told.
    @Test func lostDatagramsAreCounted() throws {
        var options = Pair.Options()
        options.link = LinkConditions(loss: 0.1)
        options.seed = 3
        let pair = try Pair(options)
        try pair.connect()
        for index in 0..<500 {
            #expect(Self.send(Pair.pattern(1_000, seed: UInt64(index)), pair))
            pair.flush()
            pair.run(for: .milliseconds(2))
        }
        pair.run(for: .seconds(5))
        let sent = pair.client.statistics
        #expect(sent.datagramsSent == 500 && sent.datagramsLost > 20)
        // What was taken for lost may still have arrived, and the last ones may be lost without anything behind them.
        #expect(abs(500 - pair.serverSide.datagrams.count - sent.datagramsLost) <= 5)
    }
}

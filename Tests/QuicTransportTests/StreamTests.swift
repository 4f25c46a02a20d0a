import Primitives
import QuicTransport
import SimNet
import Testing

/// How streams end and how they are held back.
@Suite struct StreamTests {
    @Test func halfClosedStreamCarriesBytesTheOtherWay() throws {
        let pair = try Pair()
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1], on: stream, pair.client)
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        pair.run(for: .seconds(5))
        #expect(pair.clientSide.closed.isEmpty && pair.serverSide.closed.isEmpty)
        let answer = Pair.pattern(500_000, seed: 1)
        let back = try #require(pair.serverSide.streams[stream.id])
        let server = try #require(pair.server)
        pair.serverSide.send(answer, on: back, server)
        pair.flush()
        #expect(pair.run { $0.clientSide.closedSet.contains(stream.id) && $0.serverSide.closedSet.contains(stream.id) })
        expectSame(pair.clientSide.received[stream.id], answer)
    }

    @Test func finWithoutBytes() throws {
        let pair = try Pair()
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.client.finish(stream)
        #expect(pair.client.sendSpace(on: stream, minimum: 1) == nil)
        pair.flush()
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        #expect(pair.serverSide.received[stream.id] == nil)
    }

    @Test func sentCountsEveryByteOnce() throws {
        var options = Pair.Options()
        options.link = LinkConditions(loss: 0.05)
        let pair = try Pair(options)
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(300_000, seed: 2), on: stream, pair.client)
        pair.flush()
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        #expect(pair.clientSide.sent[stream.id] == 300_000)
    }

    @Test func resetReachesThePeerAndFreesTheQueue() throws {
        let pair = try Pair()
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(100_000, seed: 2), on: stream, pair.client, finishes: false)
        pair.flush()
        #expect(stream.unsent > 0 && stream.buffered > stream.unsent)
        pair.client.reset(stream, code: 77)
        // What has left stays until it is acknowledged.
        #expect(stream.unsent == 0 && stream.buffered > 0)
        pair.flush()
        #expect(pair.run { $0.serverSide.resets[stream.id] == 77 })
        // The other direction is still open.
        let back = try #require(pair.serverSide.streams[stream.id])
        pair.serverSide.send([1, 2, 3], on: back, try #require(pair.server))
        pair.flush()
        #expect(pair.run { $0.clientSide.closedSet.contains(stream.id) && $0.serverSide.closedSet.contains(stream.id) })
        #expect(pair.clientSide.received[stream.id] == [1, 2, 3])
        #expect(stream.buffered == 0 && pair.pool.outstanding == 0)
    }

    /// ngtcp2 sends lost bytes again after RESET_STREAM; run under the address sanitizer, this shows that they are there.
    @Test(arguments: [11, 12, 13] as [UInt64])
    func resetUnderLossDoesNotTouchFreedMemory(seed: UInt64) throws {
        var options = Pair.Options()
        options.link = TransferTests.bad
        options.seed = seed
        let pair = try Pair(options)
        try pair.connect()
        for index in 0..<40 {
            let stream = try #require(pair.client.openStream())
            pair.clientSide.send(Pair.pattern(60_000, seed: seed), on: stream, pair.client)
            pair.flush()
            pair.run(for: .milliseconds(5 * Int64(index % 7)))
            pair.client.reset(stream, code: 1)
            pair.client.stopReceiving(stream, code: 1)
            pair.flush()
        }
        #expect(pair.run { $0.clientSide.closed.count == 40 && $0.server?.statistics.streamsOpen == 0 }, "seed \(seed)")
        #expect(pair.client.statistics.streamsOpen == 0)
        #expect(pair.pool.outstanding == 0)
    }

    @Test func stopSendingReachesAWriterThatHasNothingToWrite() throws {
        let pair = try Pair()
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1, 2, 3], on: stream, pair.client, finishes: false)
        pair.flush()
        #expect(pair.run { $0.serverSide.received[stream.id] == [1, 2, 3] })
        pair.run(for: .seconds(1))
        let back = try #require(pair.serverSide.streams[stream.id])
        let server = try #require(pair.server)
        server.stopReceiving(back, code: 42)
        pair.flush()
        #expect(pair.run { $0.clientSide.stops[stream.id] == 42 })
        #expect(!stream.isWritable && stream.buffered == 0)
        // It was only one direction; ngtcp2 has answered with RESET_STREAM.
        pair.serverSide.send([9], on: back, server)
        pair.flush()
        #expect(pair.run { $0.clientSide.closedSet.contains(stream.id) && $0.serverSide.closedSet.contains(stream.id) })
        #expect(pair.clientSide.received[stream.id] == [9])
        #expect(pair.pool.outstanding == 0)
    }

    /// A page is left with all its connections half closed: one packet stops them all, and each side that could still
    /// write must hear of it.
    @Test func manyStopsInOnePacket() throws {
        var options = Pair.Options()
        options.server.maximumStreams = 400
        let pair = try Pair(options)
        try pair.connect()
        let streams = try (0..<300).map { _ in try #require(pair.client.openStream()) }
        for stream in streams { pair.clientSide.send([1], on: stream, pair.client) }
        pair.flush()
        pair.run(for: .seconds(1))
        #expect(pair.serverSide.finished.count == 300)
        for stream in streams { pair.client.stopReceiving(stream, code: 7) }
        pair.flush()
        pair.run(for: .seconds(1))
        #expect(pair.serverSide.stops.count == 300)
        #expect(pair.serverSide.stops.values.allSatisfy { $0 == 7 })
        #expect(pair.serverSide.closedSet.count == 300)
    }

    @Test func stopSendingEndsARunningTransfer() throws {
        let pair = try Pair()
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(8 << 20, seed: 3), on: stream, pair.client)
        pair.serverSide.onReceived = { connection, stream in
            connection.stopReceiving(stream, code: 5)
        }
        pair.flush()
        #expect(pair.run { $0.clientSide.stops[stream.id] == 5 })
        #expect(stream.unsent == 0)
        let count = pair.serverSide.receivedCount[stream.id]!
        pair.run(for: .seconds(2))
        #expect(pair.serverSide.receivedCount[stream.id] == count, "bytes were delivered after stopReceiving")
    }

    // MARK: Flow control

    @Test func readerThatPassesNothingOnStopsTheWriter() throws {
        var options = Pair.Options()
        options.server.streamWindow = 100_000
        let pair = try Pair(options)
        pair.serverSide.passesOn = false
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        let bytes = Pair.pattern(1_000_000, seed: 4)
        pair.clientSide.send(bytes, on: stream, pair.client)
        pair.flush()
        pair.run(for: .seconds(10))
        #expect(pair.serverSide.receivedCount[stream.id] == 100_000)
        #expect(pair.clientSide.sent[stream.id] == 100_000)
        #expect(stream.unsent <= Recorder.queueTarget + BlockPool.capacity)
        // Another stream is not held up.
        let other = try #require(pair.client.openStream())
        pair.clientSide.send([7], on: other, pair.client)
        pair.flush()
        #expect(pair.run { $0.serverSide.received[other.id] == [7] })
        // The reader wakes up, takes half, then all.
        let server = try #require(pair.server)
        let back = try #require(pair.serverSide.streams[stream.id])
        server.extendCredit(on: back, by: 60_000)
        pair.flush()
        pair.run(for: .seconds(5))
        #expect(pair.serverSide.receivedCount[stream.id] == 160_000)
        pair.serverSide.passesOn = true
        server.extendCredit(on: back, by: 100_000)
        pair.flush()
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        expectSame(pair.serverSide.received[stream.id], bytes)
    }

    @Test func creditBeyondWhatWasReceivedIsNotGiven() throws {
        var options = Pair.Options()
        options.server.streamWindow = 50_000
        let pair = try Pair(options)
        pair.serverSide.passesOn = false
        pair.serverSide.onOpened = { connection, stream in connection.extendCredit(on: stream, by: 1_000_000) }
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(500_000, seed: 4), on: stream, pair.client)
        pair.flush()
        pair.run(for: .seconds(5))
        #expect(pair.serverSide.receivedCount[stream.id] == 50_000)
    }

    @Test func connectionWindowHoldsAllStreamsAndOpensAgain() throws {
        var options = Pair.Options()
        options.server.connectionWindow = 200_000
        options.server.streamWindow = 100_000
        let pair = try Pair(options)
        pair.serverSide.passesOn = false
        try pair.connect()
        let bytes = Pair.pattern(90_000, seed: 4)
        var ids: [StreamID] = []
        for _ in 0..<4 {
            let stream = try #require(pair.client.openStream())
            ids.append(stream.id)
            pair.clientSide.send(bytes, on: stream, pair.client)
        }
        pair.flush()
        pair.run(for: .seconds(5))
        #expect(pair.serverSide.receivedCount.values.reduce(0, +) == 200_000)
        // A FIN needs no window.
        let empty = try #require(pair.client.openStream())
        pair.client.finish(empty)
        pair.flush()
        #expect(pair.run { $0.serverSide.finished.contains(empty.id) })
        let server = try #require(pair.server)
        pair.serverSide.passesOn = true
        for stream in pair.serverSide.streams.values { server.extendCredit(on: stream, by: 200_000) }
        pair.flush()
        #expect(pair.run { $0.serverSide.finished.count == 5 })
        let arrived = ids.allSatisfy { same(pair.serverSide.received[$0], bytes) }
        #expect(arrived)
    }

    /// Bytes that the owner never passed on must not eat up the connection's window for good.
    @Test func windowOfAbandonedStreamsFlowsBack() throws {
        var options = Pair.Options()
        options.server.connectionWindow = 100_000
        options.server.streamWindow = 60_000
        let pair = try Pair(options)
        pair.serverSide.passesOn = false
        try pair.connect()
        // 30 streams of 50 000 bytes through a window of 100 000, none of it passed on.
        for index in 0..<30 {
            let stream = try #require(pair.client.openStream())
            pair.clientSide.send(Pair.pattern(50_000, seed: 4), on: stream, pair.client, finishes: index % 3 != 2)
            pair.flush()
            #expect(pair.run(for: .seconds(10)) { $0.serverSide.receivedCount[stream.id] == 50_000 }, "stream \(index)")
            let server = try #require(pair.server)
            let back = try #require(pair.serverSide.streams[stream.id])
            switch index % 3 {
            case 0: server.finish(back)
            case 1: server.stopReceiving(back, code: 0)
            default:
                pair.client.reset(stream, code: 0)
                server.finish(back)
            }
            server.finish(back)
            pair.flush()
            #expect(pair.run(for: .seconds(10)) { $0.serverSide.closedSet.contains(stream.id) }, "stream \(index)")
        }
    }

    // MARK: Limits

    @Test func streamLimitHoldsAndOpensAgain() throws {
        var options = Pair.Options()
        options.server.maximumStreams = 10
        let pair = try Pair(options)
        try pair.connect()
        var streams: [QuicStream] = []
        while let stream = pair.client.openStream() { streams.append(stream) }
        #expect(streams.count == 10)
        let calls = pair.clientSide.canOpenCalls
        for stream in streams { pair.clientSide.send([1], on: stream, pair.client) }
        pair.serverSide.answer = [2]
        pair.flush()
        #expect(pair.run { $0.clientSide.closed.count == 10 && $0.clientSide.canOpenCalls > calls })
        #expect(pair.run { $0.client.openStream() != nil })
    }

    @Test func noStreamsBeforeTheHandshake() throws {
        let pair = try Pair()
        #expect(pair.client.openStream() == nil)
        #expect(!pair.client.sendDatagram(UnsafeRawBufferPointer(start: nil, count: 0), now: pair.now))
        #expect(pair.client.exportKeyingMaterial(label: "x", context: [], count: 32) == nil)
    }

    @Test func exhaustedPoolGivesNoSpace() throws {
        var options = Pair.Options()
        options.poolBytes = 4 * BlockPool.blockSize
        let pair = try Pair(options)
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        for _ in 0..<4 {
            _ = try #require(pair.client.sendSpace(on: stream, minimum: BlockPool.capacity))
            pair.client.send(BlockPool.capacity, on: stream)
        }
        #expect(pair.client.sendSpace(on: stream, minimum: 1) == nil)
        pair.flush()
        #expect(pair.run { $0.pool.outstanding == 0 })
        #expect(pair.client.sendSpace(on: stream, minimum: 1) != nil)
    }

    @Test func serverOpensStreamsToo() throws {
        let pair = try Pair()
        try pair.connect()
        let server = try #require(pair.server)
        pair.clientSide.answer = [3, 4]
        let stream = try #require(server.openStream())
        pair.serverSide.send([1, 2], on: stream, server)
        pair.flush()
        #expect(pair.run { $0.serverSide.closedSet.contains(stream.id) && $0.clientSide.closedSet.contains(stream.id) })
        #expect(pair.clientSide.received[stream.id] == [1, 2])
        #expect(pair.serverSide.received[stream.id] == [3, 4])
    }

    @Test func streamWithoutAnOwnerIsRefused() throws {
        let pair = try Pair()
        try pair.connect()
        pair.server?.owner = nil
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1], on: stream, pair.client, finishes: false)
        pair.flush()
        #expect(pair.run { $0.clientSide.closedSet.contains(stream.id) })
        #expect(pair.server?.statistics.streamsOpen == 0)
    }
}

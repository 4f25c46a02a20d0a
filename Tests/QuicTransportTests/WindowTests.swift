import Primitives
import QuicTransport
import SimNet
import Testing

/// How far a peer may send ahead: windows that begin small and grow as they are used.
@Suite struct WindowTests {
    /// 300 Mbit/s with 200 ms there and back need 7.5 MB in flight.
    @Test func oneStreamFillsALongFatPath() throws {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(100), rate: 300_000_000, queueLimit: 8 << 20)
        let pair = try Pair(options)
        try pair.connect()
        let stream = try pair.startUploads(of: 40 << 20)[0]
        #expect(pair.run { ($0.serverSide.receivedCount[stream.id] ?? 0) > 16 << 20 })
        let start = pair.now
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        // 0.67 s at the line's rate; with the window that it began with, 4.8.
        #expect(pair.now - start < .milliseconds(1_100), "\(pair.now - start)")
    }

    /// 1 Gbit/s with 200 ms there and back need 25 MB in flight: from a window of 1 MiB, and after a minute of silence, which
    /// takes nothing of what it has grown to.
    @Test func oneStreamFillsAGigabitOverAnOcean() throws {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(100), rate: 1_000_000_000, queueLimit: 32 << 20)
        options.client.keepAlive = .seconds(10)
        options.poolBytes = 512 << 20
        let pair = try Pair(options)
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.serverSide.keepsBytes = false
        var received: Int { pair.serverSide.receivedCount[stream.id] ?? 0 }
        pair.clientSide.send(Pair.pattern(192 << 20, seed: 4), on: stream, pair.client, finishes: false)
        pair.flush()
        // The start: bbr2 takes most of it.
        #expect(pair.run(for: .seconds(7)) { _ in received > 128 << 20 }, "\(received)")
        let start = (pair.now, received)
        #expect(pair.run { _ in received == 192 << 20 })
        let rate = Double((received - start.1) * 8) / (pair.now - start.0).seconds
        #expect(rate > 850e6, "\(rate) bit/s")

        pair.run(for: .seconds(60))
        let again = pair.now
        pair.clientSide.send(Pair.pattern(64 << 20, seed: 5), on: stream, pair.client)
        pair.flush()
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        // 0.64 s at the line's rate, with the way.
        #expect(pair.now - again < .milliseconds(1_600), "\(pair.now - again)")
    }

    /// What is in flight lies in memory: a path that could hold more than there is gets less, and nobody goes without.
    @Test func whatIsInFlightLeavesMemoryForOthers() throws {
        var options = Pair.Options()
        options.poolBytes = 12 << 20
        options.link = LinkConditions(delay: .milliseconds(100))
        let pair = try Pair(options)
        try pair.connect()
        let streams = try pair.startUploads(3, of: 48 << 20)
        #expect(
            pair.run(for: .seconds(120)) { pair in streams.allSatisfy { pair.serverSide.finished.contains($0.id) } })
        #expect(pair.pool.refused == 0)
        #expect(pair.pool.highWater * BlockPool.blockSize > 9 << 20, "it is used: \(pair.pool.highWater) blocks")
        #expect(pair.pool.highWater <= pair.pool.limit)
    }

    /// A reader that never reads holds what a window begins with, and no more.
    @Test func anUnreadStreamHoldsLittle() throws {
        let pair = try Pair()
        try pair.connect()
        pair.serverSide.passesOn = false
        let stream = try pair.startUploads(of: 8 << 20)[0]
        pair.run(for: .seconds(20))
        #expect(pair.serverSide.receivedCount[stream.id] == TransportSettings.initialStreamWindow)
    }

    /// The owner may hold the window of a connection below what the settings allow, at any time; never below what it began with.
    @Test(arguments: [(20 << 20, 20 << 20), (1_000, TransportSettings.initialConnectionWindow)])
    func theOwnerBoundsTheConnection(limit: Int, expected: Int) throws {
        var options = Pair.Options()
        options.server.connectionWindow = 24 << 20
        options.poolBytes = 256 << 20
        options.link = LinkConditions(delay: .milliseconds(50))
        let pair = try Pair(options)
        try pair.connect()
        _ = try pair.startUploads(8, of: 9 << 20)
        let received = { pair.serverSide.receivedCount.values.reduce(0, +) }
        #expect(pair.run { _ in received() > 20 << 20 })
        pair.server?.limitConnectionWindow(limit)
        // What is above the limit is not granted again.
        #expect(pair.run { _ in received() > 40 << 20 })
        pair.serverSide.passesOn = false
        pair.run(for: .milliseconds(1))
        let before = received()
        pair.run(for: .seconds(5))
        let more = received() - before
        #expect(more <= expected && more > expected / 4, "\(more) bytes came to readers that sleep")
    }

    /// Readers that sleep hold what their streams began with. The connection's window makes room for others as long as it may.
    @Test(arguments: [(128 << 20, 20 << 20), (17 << 20, 17 << 20)])
    func sleepingReadersLeaveRoomForOthers(limit: Int, expected: Int) throws {
        var options = Pair.Options()
        options.server.connectionWindow = limit
        let pair = try Pair(options)
        try pair.connect()
        pair.serverSide.passesOn = false
        _ = try pair.startUploads(20, of: 1 << 20)
        pair.run(for: .seconds(5))
        #expect(pair.serverSide.receivedCount.values.reduce(0, +) == expected)
        // One that is awake takes everything.
        let awake = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(3 << 20, seed: 4), on: awake, pair.client)
        pair.flush()
        let isThrough = pair.run(for: .seconds(10)) { pair in
            if let server = pair.server, let stream = pair.serverSide.streams[awake.id] {
                server.extendCredit(on: stream, by: .max)
                pair.flush()
            }
            return pair.serverSide.receivedCount[awake.id] == 3 << 20
        }
        #expect(isThrough == (limit > expected))
    }

    @Test func windowsStopAtTheirLimit() throws {
        var options = Pair.Options()
        options.server.streamWindow = 3 << 20
        options.link = LinkConditions(delay: .milliseconds(100))
        let pair = try Pair(options)
        try pair.connect()
        let stream = try pair.startUploads(of: 64 << 20)[0]
        pair.run(for: .seconds(2))
        // Now the reader sleeps.
        pair.serverSide.passesOn = false
        pair.run(for: .milliseconds(1))
        let before = pair.serverSide.receivedCount[stream.id] ?? 0
        pair.run(for: .seconds(5))
        let more = (pair.serverSide.receivedCount[stream.id] ?? 0) - before
        #expect(more <= 3 << 20 && more > 1 << 20, "\(more) bytes came to a reader that sleeps")
    }
}

import Primitives
import SimNet
import Testing

@testable import QuicTransport

/// What leaves is spread over time as congestion control asks for.
@Suite struct PacingTests {
    /// BBR asks for less than the line to drain the queue of its start, and must be heard also where each
    /// acknowledgement lets just one packet go.
    @Test(arguments: [CongestionControl.bbr, .bbr2])
    func theQueueOfTheStartIsDrained(control: CongestionControl) throws {
        var options = FairnessTests.narrow
        options.client.congestionControl = control
        let pair = try Pair(options)
        try pair.connect()
        _ = try pair.startUploads(of: 16 << 20)
        pair.run(for: .milliseconds(150))
        let start = pair.client.statistics.pacingRate
        var slowest = Int.max
        var ends = 0
        for _ in 0..<100 {
            pair.run(for: .milliseconds(10))
            slowest = min(slowest, pair.client.statistics.pacingRate)
            ends = pair.client.statistics.pacingRate
        }
        #expect(start * 8 > 100_000_000, "it begins with more than the line")
        #expect(slowest * 8 < 40_000_000, "then drains")
        #expect(ends * 8 > 40_000_000, "and goes on, which it does only once the queue is gone: \(ends * 8) bit/s")
    }

    /// What is sent beside a bulk transfer does not wait behind it: the path is full, and its queue is not. What is lost, and
    /// what BBR therefore holds back for a round trip, is made up for; what a path loses that has no queue is not congestion.
    @Test(arguments: [(0.0, 88), (0.01, 86), (0.05, 76)])
    func noStandingQueue(loss: Double, least: Int) throws {
        let (pair, stream) = try Pair.uploading(
            192 << 20,
            over: LinkConditions(delay: .milliseconds(50), loss: loss, rate: 100_000_000, queueLimit: 1_250_000))
        // The start takes a while where it is lossy: it ends with the first queue.
        pair.run(for: .seconds(5))
        let before = pair.serverSide.receivedCount[stream.id] ?? 0
        var roundTrips: [Interval] = []
        for _ in 0..<80 {
            pair.run(for: .milliseconds(100))
            roundTrips.append(pair.client.statistics.smoothedRTT)
        }
        let rate = ((pair.serverSide.receivedCount[stream.id] ?? 0) - before) / 8 * 8
        #expect(rate > least * 1_000_000, "\(rate) bit/s")
        roundTrips.sort()
        #expect(roundTrips[40] < .milliseconds(125), "the median of 100 ms and the queue: \(roundTrips[40])")
        #expect(roundTrips[79] < .milliseconds(165), "the longest: \(roundTrips[79])")
    }

    /// Acknowledgements go out also while the pacer holds back what waits; they say nothing of the application, which has
    /// more to send. BBR that took it for idle never left its start, and filled every queue.
    @Test func theStartEndsInBothDirectionsAtOnce() throws {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(50), rate: 100_000_000, queueLimit: 1_250_000)
        let pair = try Pair(options)
        try pair.connect()
        pair.serverSide.keepsBytes = false
        pair.clientSide.keepsBytes = false
        let up = try #require(pair.client.openStream())
        pair.serverSide.answer = Pair.pattern(64 << 20, seed: 5)
        pair.clientSide.send(Pair.pattern(64 << 20, seed: 4), on: up, pair.client)
        pair.flush()
        let atFirst = pair.client.statistics.pacingRate
        pair.run(for: .seconds(3))
        for end in [pair.client, try #require(pair.server)] {
            let rate = end.statistics.pacingRate * 8
            #expect(rate < 160_000_000 && rate < atFirst * 8, "\(rate) bit/s")
        }
    }

    /// A queue that is short never shows in the round trip. What it loses must not be taken for the path's own for good, which
    /// would lose a tenth for as long as the transfer lasts (`LossyProbe`).
    @Test func aShortQueueIsNotFlooded() throws {
        let (pair, stream) = try Pair.uploading(
            192 << 20, over: LinkConditions(delay: .milliseconds(50), rate: 100_000_000, queueLimit: 60_000))
        pair.run(for: .seconds(5))
        let before = (
            pair.serverSide.receivedCount[stream.id] ?? 0, pair.up.counters.overflowed, pair.up.counters.delivered
        )
        pair.run(for: .seconds(8))
        let overflowed = pair.up.counters.overflowed - before.1
        let share = Double(overflowed) / Double(overflowed + pair.up.counters.delivered - before.2)
        #expect(share < 0.09, "\(share * 100) % lost")
        let rate = ((pair.serverSide.receivedCount[stream.id] ?? 0) - before.0) / 8 * 8
        #expect(rate > 80_000_000, "\(rate) bit/s")
    }

    /// A route that grows longer is not a queue, however long the shorter one was in use.
    @Test func aLongerRouteIsNoQueue() throws {
        let (pair, stream) = try Pair.uploading(
            192 << 20, over: LinkConditions(delay: .milliseconds(20), rate: 20_000_000, queueLimit: 250_000))
        pair.run(for: .seconds(20))
        /// Of ten seconds, in tenths.
        func timeWithQueue() -> Int {
            var count = 0
            for _ in 0..<100 {
                pair.run(for: .milliseconds(100))
                if pair.client.hasStandingQueue { count += 1 }
            }
            return count
        }
        let usual = timeWithQueue()
        pair.up.conditions.delay = .milliseconds(40)
        pair.down.conditions.delay = .milliseconds(40)
        pair.run(for: .milliseconds(500))
        #expect(pair.client.hasStandingQueue, "not to be told apart at first")
        pair.run(for: .seconds(25))
        let before = pair.serverSide.receivedCount[stream.id] ?? 0
        let now = timeWithQueue()
        #expect(now < usual + 20, "\(now) times of 100, \(usual) on the shorter route")
        let rate = ((pair.serverSide.receivedCount[stream.id] ?? 0) - before) / 10 * 8
        #expect(rate > 17_500_000, "\(rate) bit/s")
    }

    /// Nothing that was learnt of one path holds for the next.
    @Test func anotherPathIsUnknown() throws {
        let pair = try Pair(FairnessTests.narrow)
        try pair.connect()
        _ = try pair.startUploads(of: 64 << 20)
        pair.run(for: .seconds(3))
        #expect(pair.client.pacer.knowsPath)
        pair.localAddress = Endpoint("203.0.113.20:40000")!
        pair.clientAddress = pair.localAddress
        #expect(pair.client.migrate(to: pair.localAddress, now: pair.now) == .started)
        pair.flush()
        #expect(!pair.client.pacer.knowsPath && pair.client.shortestRTT.value == .max)
        pair.run(for: .seconds(3))
        #expect(pair.client.pacer.knowsPath)
    }

    /// What was lost and is sent again counts as what is sent for the first time.
    @Test func noBurstsOfWhatWasLost() throws {
        var options = FairnessTests.narrow
        options.link.queueLimit = 4 << 20
        let pair = try Pair(options)
        try pair.connect()
        _ = try pair.startUploads(of: 64 << 20)
        pair.run(for: .seconds(1))
        for _ in 0..<10 {
            pair.up.isCut = true
            pair.run(for: .milliseconds(25))
            pair.up.isCut = false
            for _ in 0..<50 {
                let before = pair.client.statistics
                pair.run(for: .milliseconds(10))
                let after = pair.client.statistics
                let rate = Double(max(before.pacingRate, after.pacingRate)) * LossyProbe.gain
                // Ten milliseconds, one ahead of time, and four that the pacer may catch up. Another four, since what is sent
                // again cannot be held back, but what follows it can.
                let limit = rate * 0.019 + 10 * 1_452 + 3_000
                #expect(Double(after.bytesSent - before.bytesSent) <= limit)
            }
        }
    }

    /// Over any ten milliseconds no more leaves than the rate allows, a batch and a millisecond ahead of time.
    @Test func noBurstsBeyondTheRate() throws {
        let pair = try Pair(FairnessTests.narrow)
        try pair.connect()
        _ = try pair.startUploads(of: 16 << 20)
        pair.run(for: .seconds(1))
        for _ in 0..<100 {
            let before = pair.client.statistics
            pair.run(for: .milliseconds(10))
            let after = pair.client.statistics
            let rate = Double(max(before.pacingRate, after.pacingRate))
            let limit = rate * 0.011 + 10 * 1_452 + 3_000
            #expect(Double(after.bytesSent - before.bytesSent) <= limit)
        }
    }

    /// A tenth of a second of the path; never less than two chunks of 16 KiB. (Of the first bbr the library's rate is many
    /// times what such a line carries.)
    @Test(arguments: [CongestionControl.bbr2, .cubic, .reno])
    func whatIsWorthHavingReadyFollowsThePath(control: CongestionControl) throws {
        for (rate, expected) in [(1_000_000, 32_768...40_000), (50_000_000, 400_000...1_300_000)] {
            var options = Pair.Options()
            options.client.congestionControl = control
            options.link = LinkConditions(delay: .milliseconds(10), rate: rate, queueLimit: 64 << 10)
            let pair = try Pair(options)
            #expect(pair.client.readyBytes == 32_768, "nothing is known of the path")
            try pair.connect()
            _ = try pair.startUploads(of: 16 << 20)
            pair.run(for: .seconds(2))
            #expect(expected.contains(pair.client.readyBytes), "\(rate) bit/s: \(pair.client.readyBytes)")
        }
    }

    /// Handling may be put off by a fiftieth of the round trip, at most two milliseconds, and not at all on a short path.
    @Test(arguments: [(1, 0), (5, 200), (20, 800), (200, 2_000)] as [(Int64, Int64)])
    func moderationFollowsThePath(delay: Int64, moderation: Int64) throws {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(delay))
        let pair = try Pair(options)
        #expect(pair.client.moderation == .zero, "nothing is known of the path")
        try pair.connect()
        _ = try pair.startUploads(of: 1 << 20)
        pair.run(for: .seconds(10))
        let difference = pair.client.moderation - .microseconds(moderation)
        #expect(difference >= .zero && difference < .microseconds(10), "\(pair.client.moderation)")
        #expect(try #require(pair.server).moderation >= pair.client.moderation - .microseconds(10))
        pair.client.close(code: 0, message: "", now: pair.now)
        #expect(pair.client.moderation == .zero)
    }

    /// Acknowledgements and the answers to probes do not wait for their turn.
    @Test func acknowledgementsAreNotHeldBack() throws {
        let pair = try Pair(FairnessTests.narrow)
        try pair.connect()
        pair.serverSide.keepsBytes = false
        pair.clientSide.keepsBytes = false
        let up = try #require(pair.client.openStream())
        pair.serverSide.answer = Pair.pattern(8 << 20, seed: 5)
        pair.clientSide.send(Pair.pattern(8 << 20, seed: 4), on: up, pair.client)
        pair.flush()
        let start = pair.now
        #expect(pair.run { $0.clientSide.closedSet.contains(up.id) && $0.serverSide.closedSet.contains(up.id) })
        // 1.4 s at the rate of the line, in both directions at once.
        #expect(pair.now - start < .seconds(3), "\(pair.now - start)")
    }
}

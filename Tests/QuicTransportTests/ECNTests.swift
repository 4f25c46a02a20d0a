import Primitives
import SimNet
import Testing

@testable import QuicTransport

/// Congestion that routers mark in place of dropping (RFC 9000, section 13.4; RFC 9002, section 7.1).
@Suite struct ECNTests {
    /// 20 Mbit/s, 40 ms there and back, and a queue that nothing overflows.
    private static func uploading(
        _ configure: (inout LinkConditions) -> Void, also: (inout Pair.Options) -> Void = { _ in }
    ) throws -> (Pair, QuicStream) {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(20), rate: 20_000_000, queueLimit: 64 << 20)
        options.client.congestionControl = .cubic
        configure(&options.link)
        also(&options)
        let pair = try Pair(options)
        try pair.connect()
        #expect(pair.clientECN.contains(2), "ECT(0) to try whether the path carries it")
        return (pair, try pair.startUploads(of: 16 << 20)[0])
    }

    @Test func aMarkedPacketSlowsTheSenderDown() throws {
        let (marked, stream) = try Self.uploading { $0.markAbove = 50_000 }
        let (unmarked, _) = try Self.uploading { _ in }
        marked.clientECN = []
        for pair in [marked, unmarked] { pair.run(for: .seconds(3)) }
        #expect(marked.up.counters.marked > 0)
        #expect(marked.client.statistics.congestionWindow * 2 < unmarked.client.statistics.congestionWindow)
        #expect(marked.run { $0.serverSide.finished.contains(stream.id) })
        #expect(marked.client.statistics.lostPackets == 0, "nothing had to be lost for it")
        #expect(marked.clientECN.contains(2))
    }

    /// BBR takes loss without a queue for the path's own, and sends more (`LossyProbe`). A mark says that there is a queue,
    /// also one too short to show in the round trip: then it must not.
    @Test func aMarkIsNoLossOfThePath() throws {
        let (pair, _) = try Self.uploading {
            $0.markAbove = 8_000
        } also: {
            $0.client.congestionControl = .bbr2
        }
        pair.run(for: .seconds(5))
        let marks = pair.up.counters.marked
        #expect(marks > 0)
        #expect(pair.client.statistics.congestionMarks > 0 && pair.client.statistics.congestionMarks <= marks)
        for _ in 0..<100 {
            pair.run(for: .milliseconds(50))
            let recent = pair.client.markedAt.map { pair.now - $0 < pair.client.statistics.smoothedRTT } ?? false
            #expect(!recent || !pair.client.losesWithoutCongestion)
        }
    }

    /// Marks of the server's packets are reported by the client alike.
    @Test func downloadsAreSlowedDownToo() throws {
        var options = Pair.Options()
        options.link = LinkConditions(
            delay: .milliseconds(20), rate: 20_000_000, queueLimit: 64 << 20)
        options.link.markAbove = 50_000
        options.server.congestionControl = .cubic
        let pair = try Pair(options)
        try pair.connect()
        pair.clientSide.keepsBytes = false
        pair.serverSide.answer = Pair.pattern(8 << 20, seed: 3)
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1], on: stream, pair.client)
        pair.flush()
        #expect(pair.run { $0.clientSide.finished.contains(stream.id) })
        let server = try #require(pair.server)
        #expect(pair.down.counters.marked > 0)
        #expect(server.statistics.lostPackets == 0)
        // The line and its round trip hold 100 KB, the queue half of that before it is marked.
        #expect(server.statistics.congestionWindow < 400_000, "\(server.statistics.congestionWindow)")
    }

    /// Where the field is cleared on the way, packets go without it after a while, and arrive.
    @Test func aPathThatClearsTheFieldIsNoticed() throws {
        let (pair, stream) = try Self.uploading { $0.clearsECN = true }
        pair.run(for: .seconds(1))
        pair.clientECN = []
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        #expect(pair.clientECN == [0])
    }
}

import Foundation
import Primitives
import SimNet
import Testing

@testable import QuicTransport

/// Bytes through bad links, compared one by one.
@Suite struct TransferTests {
    static let bad = LinkConditions(
        delay: .milliseconds(15), jitter: .milliseconds(3), loss: 0.02, duplication: 0.01, reordering: 0.02,
        corruption: 0.005)

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func megabytesBothWaysThroughABadLink(seed: UInt64) throws {
        var options = Pair.Options()
        options.link = Self.bad
        options.seed = seed
        let pair = try Pair(options)
        try pair.connect()
        let upload = Pair.pattern(2 << 20, seed: seed)
        let download = Pair.pattern((2 << 20) + 12_345, seed: seed &+ 99)
        pair.serverSide.answer = download
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(upload, on: stream, pair.client)
        let done = pair.run(for: .seconds(300)) {
            $0.clientSide.closedSet.contains(stream.id) && $0.serverSide.closedSet.contains(stream.id)
        }
        #expect(done, "not finished, seed \(seed)")
        expectSame(pair.serverSide.received[stream.id], upload, "upload differs, seed \(seed)")
        expectSame(pair.clientSide.received[stream.id], download, "download differs, seed \(seed)")
        #expect(pair.pool.outstanding == 0, "seed \(seed)")
        #expect(pair.clientSide.callsAfterClosed == 0 && pair.serverSide.callsAfterClosed == 0, "seed \(seed)")
        #expect(pair.up.counters.lost > 0 && pair.up.counters.corrupted > 0, "the link was not bad, seed \(seed)")
        #expect(pair.client.statistics.lostPackets > 0, "seed \(seed)")
    }

    @Test(arguments: CongestionControl.allCases)
    func everyCongestionControlDelivers(control: CongestionControl) throws {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(20), loss: 0.01, rate: 50_000_000, queueLimit: 250_000)
        options.client.congestionControl = control
        options.server.congestionControl = control
        let pair = try Pair(options)
        try pair.connect()
        let upload = Pair.pattern(3 << 20, seed: 5)
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(upload, on: stream, pair.client)
        let started = pair.now
        #expect(pair.run(for: .seconds(300)) { $0.serverSide.finished.contains(stream.id) })
        expectSame(pair.serverSide.received[stream.id], upload)
        // 3 MiB at 50 Mbit/s take half a second; a controller that needs half a minute is broken.
        #expect(pair.now - started < .seconds(30))
    }

    @Test func batchesCarryManyPackets() throws {
        let pair = try Pair()
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(4 << 20, seed: 1), on: stream, pair.client)
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        #expect(pair.largestBatch >= 10)
        #expect(pair.largestBatch <= QuicConnection.maximumBatchPackets)
    }

    @Test func pathMTUDiscoveryFindsLargerPackets() throws {
        let pair = try Pair()
        try pair.connect()
        #expect(pair.run(for: .seconds(5)) { $0.client.statistics.pathPayload > 1400 })
        var options = Pair.Options()
        options.client.pathMTUDiscovery = false
        let small = try Pair(options)
        try small.connect()
        small.run(for: .seconds(5))
        #expect(small.client.statistics.pathPayload == 1200)
    }

    @Test func smallPathStillCarriesBytes() throws {
        var options = Pair.Options()
        options.link = LinkConditions(mtu: 1280)
        let pair = try Pair(options)
        try pair.connect()
        let stream = try #require(pair.client.openStream())
        let upload = Pair.pattern(1 << 20, seed: 3)
        pair.clientSide.send(upload, on: stream, pair.client)
        #expect(pair.run { $0.serverSide.finished.contains(stream.id) })
        expectSame(pair.serverSide.received[stream.id], upload)
        #expect(pair.client.statistics.pathPayload <= 1280)
    }

    /// A route changes to one that carries less, and nobody says so: both directions go on, in smaller packets.
    @Test(arguments: [Pair.serverAddress, Pair.localAddress])
    func aPathThatShrinksInTheMidst(sender: Endpoint) throws {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(20), rate: 20_000_000, queueLimit: 100_000)
        options.client.keepAlive = .seconds(10)
        let pair = try Pair(options)
        try pair.connect()
        let isUpload = sender == Pair.localAddress
        let bytes = Pair.pattern(12 << 20, seed: 3)
        pair.serverSide.keepsBytes = false
        pair.clientSide.keepsBytes = false
        if !isUpload { pair.serverSide.answer = bytes }
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(isUpload ? bytes : [1], on: stream, pair.client)
        pair.flush()
        pair.run(for: .seconds(2))
        let end = isUpload ? pair.client : try #require(pair.server)
        #expect(end.statistics.pathPayload > 1_400)
        pair.up.conditions.mtu = 1_300
        pair.down.conditions.mtu = 1_300
        let receiver = isUpload ? pair.serverSide : pair.clientSide
        #expect(pair.run(for: .seconds(15)) { _ in receiver.finished.contains(stream.id) })
        #expect(end.statistics.blackHoles == 1 && end.statistics.pathPayload == 1_200)
        // Datagrams, too.
        #expect(DatagramTests.send(Pair.pattern(1_100, seed: 1), pair))
        pair.flush()
        #expect(pair.run(for: .seconds(1)) { $0.serverSide.datagrams.count == 1 })
    }

    /// An outage looks the same for a while. Larger packets come back by themselves.
    @Test func packetsGrowAgainAfterAnOutage() throws {
        let (pair, stream) = try Pair.uploading(
            24 << 20, over: LinkConditions(delay: .milliseconds(20), rate: 2_000_000, queueLimit: 100_000))
        pair.run(for: .seconds(3))
        pair.up.isCut = true
        pair.run(for: .seconds(6))
        pair.up.isCut = false
        pair.run(for: .seconds(5))
        #expect(pair.client.statistics.blackHoles == 1 && pair.client.statistics.pathPayload == 1_200)
        pair.run(for: BlackHoleWatch.firstRetry)
        #expect(pair.client.statistics.blackHoles == 1 && pair.client.statistics.pathPayload > 1_400)
        #expect(pair.run(for: .seconds(120)) { $0.serverSide.finished.contains(stream.id) })
    }

    /// Loss alone is no such thing, nor is a peer that is slow to read, nor silence.
    @Test(arguments: [21, 22, 23] as [UInt64])
    func lossIsNoBlackHole(seed: UInt64) throws {
        var options = Pair.Options()
        options.seed = seed
        options.link = LinkConditions(delay: .milliseconds(100), loss: 0.15, rate: 5_000_000, queueLimit: 50_000)
        let pair = try Pair(options)
        try pair.connect()
        _ = try pair.startUploads(3, of: 2 << 20)
        pair.run(for: .seconds(8))
        pair.serverSide.passesOn = false
        pair.run(for: .seconds(12))
        #expect(pair.client.statistics.blackHoles == 0 && pair.server?.statistics.blackHoles == 0)
        #expect(pair.client.statistics.pathPayload > 1_400)
    }

    @Test func hundredStreamsShareFairly() throws {
        var options = Pair.Options()
        options.link = LinkConditions(delay: .milliseconds(5), rate: 100_000_000, queueLimit: 500_000)
        let pair = try Pair(options)
        try pair.connect()
        let bytes = Pair.pattern(64 << 10, seed: 9)
        var ids: [StreamID] = []
        for _ in 0..<100 {
            let stream = try #require(pair.client.openStream())
            ids.append(stream.id)
            pair.clientSide.send(bytes, on: stream, pair.client)
        }
        let total = bytes.count * ids.count
        // When half of everything has arrived, every stream has had about half.
        #expect(pair.run { $0.serverSide.receivedCount.values.reduce(0, +) >= total / 2 })
        let counts = ids.map { pair.serverSide.receivedCount[$0] ?? 0 }
        #expect(counts.max()! <= 2 * max(counts.min()!, 1), "from \(counts.min()!) to \(counts.max()!)")
        #expect(pair.run { $0.serverSide.finished.count == 100 })
        let arrived = ids.allSatisfy { same(pair.serverSide.received[$0], bytes) }
        #expect(arrived)
        #expect(pair.run { $0.pool.outstanding == 0 })
    }

    @Test func thousandSmallStreamsShareAPacket() throws {
        let pair = try Pair()
        try pair.connect()
        pair.run(for: .seconds(1))
        let before = pair.client.statistics.packetsSent
        for _ in 0..<1000 {
            let stream = try #require(pair.client.openStream())
            pair.clientSide.send([1, 2, 3], on: stream, pair.client)
        }
        #expect(pair.run { $0.serverSide.finished.count == 1000 })
        // Some eight bytes a stream: 1000 packets would mean one stream a packet.
        #expect(pair.client.statistics.packetsSent - before < 100)
    }
}

func same(_ a: [UInt8]?, _ b: [UInt8]) -> Bool {
    guard let a, a.count == b.count else { return false }
    return memcmp(a, b, b.count) == 0
}

/// Compares without printing megabytes when the two differ.
func expectSame(
    _ a: [UInt8]?, _ b: [UInt8], _ comment: Comment = "bytes differ", at location: SourceLocation = #_sourceLocation
) {
    let equal = same(a, b)
    #expect(equal, comment, sourceLocation: location)
}

import Primitives
import SimNet
import Testing

@testable import QuicTransport

/// Clients whose address changes: by themselves, by a NAT, and at a bad moment.
@Suite struct MigrationTests {
    static let away = Endpoint("203.0.113.5:1234")!
    static let third = Endpoint("203.0.113.99:99")!

    private static func connected(_ options: Pair.Options = Pair.Options()) throws -> Pair {
        let pair = try Pair(options)
        try pair.connect()
        pair.run(for: .seconds(1))
        return pair
    }

    /// Sends so many bytes up and as many down, with a command on the way.
    private static func expectTransfer(
        _ pair: Pair, count: Int = 300_000, after time: Interval = .milliseconds(40), _ command: (Pair) -> Void
    ) throws {
        let upload = Pair.pattern(count, seed: pair.options.seed)
        let download = Pair.pattern(count, seed: pair.options.seed &+ 1)
        pair.serverSide.answer = download
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(upload, on: stream, pair.client)
        pair.flush()
        pair.run(for: time)
        command(pair)
        let done = pair.run {
            $0.serverSide.finished.contains(stream.id) && $0.clientSide.finished.contains(stream.id)
        }
        #expect(done, "seed \(pair.options.seed)")
        expectSame(pair.serverSide.received[stream.id], upload)
        expectSame(pair.clientSide.received[stream.id], download)
        #expect(pair.client.state == .established && pair.server?.state == .established)
    }

    /// A NAT gives the client another port, or another address: the server follows after it has checked the new path.
    @Test(arguments: ["198.51.100.7:50001", "203.0.113.5:1234"])
    func rebinding(moved: String) throws {
        let pair = try Self.connected()
        let moved = Endpoint(moved)!
        try Self.expectTransfer(pair) { $0.clientAddress = moved }
        #expect(pair.run(for: .seconds(3)) { $0.server?.remote == moved })
        let server = try #require(pair.server).statistics
        #expect(server.migrations == 1 && server.pathsValidated > 0)
        #expect(pair.client.statistics.migrations == 0, "the client knows nothing of it")
    }

    @Test(arguments: [51, 52, 53] as [UInt64])
    func rebindingOnABadLink(seed: UInt64) throws {
        var options = Pair.Options()
        options.seed = seed
        options.link = LinkConditions(delay: .milliseconds(20), jitter: .milliseconds(5), loss: 0.02, reordering: 0.02)
        try Self.expectTransfer(try Self.connected(options)) { $0.clientAddress = Self.away }
    }

    /// The client itself changes the network.
    @Test func clientMigrates() throws {
        let early = try Pair()
        #expect(early.client.migrate(to: Self.away, now: early.now) == .notYet, "not in the handshake")
        let pair = try Self.connected()
        #expect(pair.client.migrate(to: Pair.localAddress, now: pair.now) == .unchanged)
        try Self.expectTransfer(pair) {
            #expect($0.client.migrate(to: Self.away, now: $0.now) == .started)
            $0.clientAddress = Self.away
            $0.localAddress = Self.away
        }
        #expect(pair.run(for: .seconds(3)) { $0.server?.remote == Self.away })
        #expect(pair.client.local == Self.away)
        #expect(pair.clientSide.events.contains(.pathValidated(local: Self.away)))
        #expect(pair.client.statistics.migrations == 1 && pair.server?.statistics.migrations == 1)
    }

    /// Each move uses up a connection ID, and gets another one for it.
    @Test func clientMigratesManyTimes() throws {
        let pair = try Self.connected()
        for number in 0..<20 {
            let local = Endpoint(IPAddress("203.0.113.5")!, UInt16(1_000 + number))
            #expect(pair.client.migrate(to: local, now: pair.now) == .started, "move \(number)")
            pair.clientAddress = local
            pair.localAddress = local
            pair.flush()
            pair.run(for: .seconds(10))
            #expect(pair.server?.remote == local, "move \(number)")
        }
        #expect((2...9).contains(pair.endpoint.routes))
        try Self.expectTransfer(pair) { _ in }
    }

    /// With the line cut, the spare connection IDs run out.
    @Test func withoutASpareIdentifierItIsTooEarly() throws {
        let pair = try Self.connected()
        pair.up.isCut = true
        var answers: [MigrationStart] = []
        for number in 0..<5 {
            answers.append(pair.client.migrate(to: Endpoint(Self.away.address, UInt16(number + 1)), now: pair.now))
            pair.flush()
        }
        #expect(answers.first == .started && answers.last == .notYet)
        #expect(pair.client.state == .established)
    }

    @Test func aPathThatLeadsNowhereIsTold() throws {
        let pair = try Self.connected()
        #expect(pair.client.migrate(to: Self.away, now: pair.now) == .started)
        pair.up.isCut = true
        pair.flush()
        #expect(pair.run(for: .seconds(6)) { $0.clientSide.events.contains(.pathFailed(local: Self.away)) })
        #expect(pair.client.statistics.pathsFailed == 1)
        // Back to where it worked.
        pair.up.isCut = false
        #expect(pair.client.migrate(to: Pair.localAddress, now: pair.now) == .started)
        try Self.expectTransfer(pair) { _ in }
    }

    @Test func aServerDoesNotMigrate() throws {
        let pair = try Self.connected()
        #expect(pair.server?.migrate(to: Self.away, now: pair.now) == .impossible)
        pair.client.close(code: 0, message: "", now: pair.now)
        #expect(pair.client.migrate(to: Self.away, now: pair.now) == .impossible)
    }

    /// Sends a small packet from where the client is (the server may not even send a challenge of full size yet), and after
    /// that time another from its first address.
    /// - Returns: the stream of the second, whose byte has come, or the connection is closed.
    private static func comeBack(_ pair: Pair, after time: Interval) throws -> QuicStream {
        let first = try #require(pair.client.openStream())
        pair.clientSide.send([1], on: first, pair.client, finishes: false)
        pair.flush()
        pair.run(for: time)
        pair.clientAddress = Pair.localAddress
        let second = try #require(pair.client.openStream())
        pair.clientSide.send([2], on: second, pair.client)
        pair.flush()
        pair.run { $0.serverSide.received[second.id] == [2] || $0.clientSide.closeReason != nil }
        return second
    }

    /// The address changes to another one and back again, at every moment of the path's validation. A server that was just about to try full-sized packets on the path gives
    /// the connection up in order; in all other cases it goes on.
    @Test(arguments: 0..<50)
    func flappingAddress(step: Int) throws {
        let pair = try Self.connected()
        pair.clientAddress = Self.away
        let second = try Self.comeBack(pair, after: .milliseconds(Int64(2 * step)))
        pair.run(for: .seconds(20))
        if let reason = pair.clientSide.closeReason {
            #expect(reason == .peerClosed(code: 0x10, application: false, message: ""), "NO_VIABLE_PATH")
            #expect((14...26).contains(step))
        } else {
            #expect(pair.serverSide.received[second.id] == [2])
            #expect(pair.server?.remote == Pair.localAddress)
            #expect(pair.client.state == .established && pair.server?.state == .established)
        }
    }

    /// The same by a client that uses another connection ID at the new address, and whose large first packet was lost: the
    /// server takes the path for one of unknown size, and probes it. Without the gate, ngtcp2 ends the process with an
    /// assertion when the client comes back by then.
    @Test(arguments: 0..<50)
    func flappingAddressWithAnotherIdentifier(step: Int) throws {
        let pair = try Self.connected()
        #expect(pair.client.migrate(to: Self.away, now: pair.now) == .started)
        pair.clientAddress = Self.away
        pair.localAddress = Self.away
        // The challenge, which is as large as a packet has to be.
        pair.up.isCut = true
        pair.flush()
        pair.up.isCut = false
        let second = try Self.comeBack(pair, after: .milliseconds(Int64(2 * step)))
        if pair.clientSide.closeReason == nil { #expect(pair.serverSide.received[second.id] == [2]) }
        pair.run(for: .seconds(20))
    }

    /// Somebody repeats the client's datagrams from other addresses, to make the server send there: it follows one of them
    /// for as long as the validation takes, and then returns.
    @Test func datagramsFromManyAddresses() throws {
        let pair = try Self.connected()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(200_000, seed: 1), on: stream, pair.client, finishes: false)
        for number in 0..<500 {
            pair.clientAddress = Endpoint(IPAddress("203.0.113.5")!, UInt16(1_000 + number))
            pair.flush()
            pair.run(for: .milliseconds(1))
        }
        #expect(try #require(pair.server).statistics.migrations <= 2)
        #expect(try #require(pair.server).statistics.datagramsFromOtherPaths > 0)
        pair.clientAddress = Pair.localAddress
        #expect(pair.run { $0.serverSide.receivedCount[stream.id] == 200_000 })
        #expect(pair.server?.remote == Pair.localAddress)
    }

    /// Whoever has seen a connection ID, and has no key, cannot keep the client from moving.
    @Test func forgedDatagramsDoNotLockTheGate() throws {
        let pair = try Self.connected()
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send(Pair.pattern(200_000, seed: 1), on: stream, pair.client, finishes: false)
        var seen: [UInt8] = []
        pair.drain(pair.client) { bytes in
            seen = bytes
            pair.up.send(bytes, now: pair.now)
        }
        seen[seen.count - 1] ^= 1
        pair.clientAddress = Endpoint("203.0.113.5:1000")!
        pair.deliverToServer(seen)
        #expect(try #require(pair.server).statistics.datagramsFromOtherPaths == 1)
        pair.clientAddress = Self.away
        // The gate would stay locked for 5.5 s.
        #expect(pair.run(for: .seconds(2)) { $0.serverSide.receivedCount[stream.id] == 200_000 })
        #expect(pair.server?.remote == Self.away)
    }

    /// RFC 9000, section 8.2: no more than three times of what came from an address goes there before it is validated.
    @Test func anUnvalidatedPathIsNotFlooded() throws {
        let pair = try Self.connected()
        pair.serverSide.answer = Pair.pattern(2 << 20, seed: 3)
        let stream = try #require(pair.client.openStream())
        pair.clientSide.send([1], on: stream, pair.client)
        pair.flush()
        pair.run(for: .milliseconds(60))
        // The victim's address; nothing that goes there is answered.
        let before = pair.server!.statistics
        pair.clientAddress = Self.away
        let other = try #require(pair.client.openStream())
        pair.clientSide.send([1], on: other, pair.client)
        pair.up.isCut = false
        pair.flush()
        pair.run(for: .milliseconds(11))
        pair.up.isCut = true
        pair.down.isCut = true
        #expect(pair.server?.remote == Self.away)
        let received = pair.server!.statistics.bytesReceived - before.bytesReceived
        pair.run(for: .seconds(2))
        #expect(pair.server?.remote == Self.away)
        let sent = pair.sentTo[Self.away] ?? 0
        #expect(sent > 0 && sent <= 3 * received, "\(sent) of \(3 * received)")
    }
}

import Primitives
import SimNet
import Testing

@testable import QuicTransport

/// Clients that say, frame by frame, what no honest one does; and what a server spends on them.
@Suite struct HostilePeerTests {
    private static func connected(_ configure: (inout Pair.Options) -> Void = { _ in }) throws -> Pair {
        var options = Pair.Options()
        options.client.encrypt = HostileFrames.encrypt
        options.client.congestionControl = .cubic
        configure(&options)
        let pair = try Pair(options)
        try pair.connect()
        pair.run(for: .seconds(1))
        return pair
    }

    /// Makes the client send large packets, filled with these frames, until the condition holds or the time is over.
    private static func attack(
        _ pair: Pair, for time: Interval = .seconds(10), _ frames: HostileFrames, until: (Pair) -> Bool = { _ in false }
    ) throws {
        pair.serverSide.keepsBytes = false
        let stream = try #require(pair.client.openStream())
        HostileFrames.$current.withValue(frames) {
            pair.clientSide.send([UInt8](repeating: 0, count: 4 << 20), on: stream, pair.client)
            pair.flush()
            pair.run(for: time) { until($0) || $0.serverSide.closeReason != nil || $0.clientSide.closeReason != nil }
        }
        pair.run(for: .seconds(1))
    }

    private static func limit(_ pair: Pair) -> String? {
        if case .limitExceeded(let what)? = pair.serverSide.closeReason { what } else { nil }
    }

    /// The server has closed the connection and the client knows: it did not fall silent.
    private static func wasSentAway(_ pair: Pair) -> Bool {
        guard case .peerClosed? = pair.clientSide.closeReason else { return false }
        return pair.serverSide.closeReason != nil && pair.serverSide.closeReason != .idleTimeout
    }

    @Test func floodOfPathChallenges() throws {
        let pair = try Self.connected()
        var value: UInt64 = 0
        try Self.attack(
            pair,
            HostileFrames { room in
                (0..<(room / 9)).flatMap { _ in
                    value += 1
                    return HostileFrames.pathChallenge(value)
                }
            })
        #expect(Self.limit(pair) == "too many PATH_CHALLENGE, NEW_CONNECTION_ID or RETIRE_CONNECTION_ID frames")
        #expect(pair.server?.statistics.limitsExceeded == 1)
        #expect(pair.clientSide.closeReason == .peerClosed(code: 0x106, application: true, message: Self.limit(pair)!))
    }

    /// One in every packet is within the limit of what ngtcp2 keeps, and beyond what anybody needs.
    @Test func aPathChallengeInEveryPacket() throws {
        let pair = try Self.connected { $0.server.rareFrameBurst = 50 }
        let frames = HostileFrames.oneInEach(from: 1, HostileFrames.pathChallenge)
        try Self.attack(pair, frames)
        #expect(Self.limit(pair) != nil)
        #expect((50...200).contains(frames.packets))
    }

    @Test func newConnectionIDsThatRetireTheOnesBefore() throws {
        let pair = try Self.connected()
        try Self.attack(
            pair, .oneInEach(from: 21) { HostileFrames.newConnectionID(sequence: $0, retirePriorTo: $0) })
        // ngtcp2 has a limit of its own on retirements that were not acknowledged. The client does not hear of it: what the server
        // writes to are identifiers that nobody has.
        let reason = pair.serverSide.closeReason
        #expect(reason != nil && reason != .idleTimeout, "\(String(describing: reason))")
        #expect(pair.endpoint.routes <= 9)
    }

    @Test func moreConnectionIDsThanAllowed() throws {
        let pair = try Self.connected()
        try Self.attack(pair, .oneInEach(from: 21) { HostileFrames.newConnectionID(sequence: $0, retirePriorTo: 0) })
        #expect(Self.wasSentAway(pair))
    }

    @Test func retirementOfEveryConnectionID() throws {
        let pair = try Self.connected()
        try Self.attack(pair, for: .seconds(60), .oneInEach(from: 1, HostileFrames.retireConnectionID))
        #expect(Self.wasSentAway(pair))
        #expect(pair.endpoint.routes <= 9)
    }

    /// Ours is the same for both: what is beyond it is told apart from what breaks the protocol.
    @Test func connectionIDsHaveOurLimitToo() throws {
        let kinds: [(first: UInt64, frame: (UInt64) -> [UInt8])] = [
            (21, { _ in HostileFrames.newConnectionID(sequence: 21, retirePriorTo: 21) }),
            (1, HostileFrames.retireConnectionID),
        ]
        for (first, frame) in kinds {
            let pair = try Self.connected {
                $0.server.rareFrameBurst = 3
                $0.server.rareFramesPerSecond = 1
            }
            try Self.attack(pair, .oneInEach(from: first, frame))
            let figures = try #require(pair.server).statistics
            #expect(
                Self.limit(pair) == "too many PATH_CHALLENGE, NEW_CONNECTION_ID or RETIRE_CONNECTION_ID frames",
                "\(String(describing: pair.serverSide.closeReason)), \(figures.rareFramesReceived)")
            #expect(figures.limitsExceeded == 1 && figures.rareFramesReceived > 3)
        }
    }

    /// Every other byte of a stream: each is a piece of its own in the library's list, which has a limit for each stream.
    @Test func everyOtherByteOfAStream() throws {
        let pair = try Self.connected()
        let (bytes, held) = try Self.sendEveryOtherByte(pair, piecesPerStream: .max)
        #expect(Self.limit(pair) == "too many gaps in a stream", "\(bytes) bytes, \(held) held")
        #expect(pair.server?.statistics.limitsExceeded == 1)
        #expect(
            pair.clientSide.closeReason
                == .peerClosed(code: 0x106, application: true, message: "too many gaps in a stream"))
        #expect(held < 1 << 20)
    }

    /// The same on many streams, each within that limit. What it costs the server is bounded for the connection.
    @Test func everyOtherByteOfManyStreams() throws {
        let pair = try Self.connected {
            $0.server.connectionWindow = 8 << 20
            $0.server.libraryMemoryMargin = 1 << 20
        }
        let (bytes, held) = try Self.sendEveryOtherByte(pair, piecesPerStream: 900)
        #expect(Self.limit(pair) == "too much memory for what came out of order", "\(bytes) bytes, \(held) held")
        // What one datagram brings comes on top.
        #expect(held < (9 << 20) + (64 << 10))
    }

    /// - Returns: the bytes that were sent so, and the most memory that the server's library held for them.
    private static func sendEveryOtherByte(_ pair: Pair, piecesPerStream: Int) throws -> (bytes: Int, held: Int) {
        var id: UInt64 = 400
        var offset: UInt64 = 1
        var held = 0
        var bytes = 0
        let frames = HostileFrames { room in
            var frames: [UInt8] = []
            while frames.count + 14 <= room {
                if offset > 2 * UInt64(clamping: piecesPerStream) {
                    id += 4
                    offset = 1
                }
                frames += HostileFrames.stream(id, offset: offset, [1])
                bytes += 1
                offset += 2
            }
            return frames
        }
        try attack(pair, for: .seconds(300), frames) {
            held = max(held, $0.server?.statistics.libraryMemory ?? 0)
            return false
        }
        return (bytes, held)
    }

    /// A byte a frame, in order: the sender pays for it, and the server holds nothing.
    @Test func aByteAFrame() throws {
        let pair = try Self.connected()
        var offset: UInt64 = 0
        let frames = HostileFrames { room in
            var bytes: [UInt8] = []
            while true {
                let frame = HostileFrames.stream(400, offset: offset, [UInt8(truncatingIfNeeded: offset)])
                guard bytes.count + frame.count <= room else { return bytes }
                bytes += frame
                offset += 1
            }
        }
        var held = 0
        try Self.attack(pair, for: .seconds(2), frames) {
            held = max(held, $0.server?.statistics.libraryMemory ?? 0)
            return false
        }
        #expect(pair.serverSide.closeReason == nil)
        #expect(frames.packets > 100)
        #expect(pair.serverSide.receivedCount[StreamID(rawValue: 400)] == Int(offset))
        #expect(held < 512 << 10, "\(held)")
    }

    /// One stream more with each packet, and none of them over.
    @Test func streamsBeyondTheLimit() throws {
        let pair = try Self.connected { $0.server.maximumStreams = 8 }
        var id: UInt64 = 400
        try Self.attack(
            pair,
            HostileFrames { _ in
                id += 4
                return HostileFrames.stream(id, offset: 0, [1])
            })
        #expect(
            pair.clientSide.closeReason
                == .peerClosed(code: 4, application: false, message: ""), "STREAM_LIMIT_ERROR")
    }

    /// What was never offered is refused: the server takes no DATAGRAM frames here.
    @Test func datagramsThatWereNotAllowed() throws {
        let pair = try Self.connected { $0.server.maximumDatagramPayload = 0 }
        try Self.attack(pair, HostileFrames { _ in [0x31, 3, 1, 2, 3] })
        #expect(Self.wasSentAway(pair))
        #expect(pair.serverSide.datagrams.isEmpty)
    }

    /// RFC 9000, section 8.1: before the client's address is validated, no more than three times of what came goes out.
    @Test(arguments: [71, 72, 73] as [UInt64])
    func theHandshakeIsNoAmplifier(seed: UInt64) throws {
        var options = Pair.Options()
        options.seed = seed
        let pair = try Pair(options)
        pair.down.isCut = true
        var received = 0
        pair.drain(pair.client) {
            received += $0.count
            pair.deliverToServer($0)
        }
        pair.flush()
        // The server repeats itself in vain.
        pair.up.isCut = true
        pair.run(for: .seconds(20))
        let sent = try #require(pair.server).statistics.bytesSent
        #expect(sent > 0 && sent <= 3 * received, "\(sent) bytes for \(received)")
    }

    /// Each closing packet answers ever more datagrams (RFC 9000, section 10.2.1).
    @Test func theFarewellIsRepeatedEverLess() throws {
        let pair = try Self.connected()
        let server = try #require(pair.server)
        server.close(code: 1, message: "", now: pair.now)
        pair.flush()
        let before = server.statistics.packetsSent
        for _ in 0..<1_000 {
            [UInt8](repeating: 0x40, count: 60).withUnsafeBytes {
                server.handle($0, from: pair.clientAddress, to: Pair.serverAddress, ecn: 0, now: pair.now)
            }
            pair.drain(server) { _ in }
        }
        #expect(server.statistics.packetsSent - before == 10, "2^0 to 2^9")
    }
}

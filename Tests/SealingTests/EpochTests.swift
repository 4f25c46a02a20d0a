import Primitives
import SimNet
import Testing

@testable import Sealing

/// Two ends whose keys change while bytes and datagrams go on.
@Suite struct EpochTests {
    /// The keys of both ends.
    struct Ends {
        let client: SessionKeys
        let server: SessionKeys
        private var next: UInt8 = 0x80

        init(cipher: Cipher = .aes256gcm) {
            let secret = SessionSecret(run(from: 0))
            client = SessionKeys(secret, cipher: cipher, random: SeededRandom(seed: 1))
            server = SessionKeys(secret, cipher: cipher, random: SeededRandom(seed: 2))
        }

        /// As a key exchange does: the server does not seal under the new epoch before the client has.
        mutating func rekey() {
            let secret = SessionSecret(run(from: next))
            next &+= 1
            server.add(secret, isShared: false)
            client.add(secret, isShared: true)
        }
    }

    /// One stream's way up: the client's sealer, the server's opener, and the queue that it opens into.
    private final class Upload {
        let sealer: ChunkSealer
        let opener: ChunkOpener
        private var queue: BlockQueue

        init(
            _ ends: Ends, stream: Int64 = 4, keyLifetime: UInt64 = ChunkFormat.keyLifetime,
            pool: BlockPool = BlockPool(byteLimit: 1 << 20)
        ) {
            sealer = ChunkSealer(keys: ends.client, direction: .up, stream: stream, keyLifetime: keyLifetime)
            opener = ChunkOpener(keys: ends.server, direction: .up, stream: stream)
            queue = BlockQueue(pool: pool)
        }

        func open(_ wire: some Collection<UInt8>) throws(OpenError) { try opener.open(wire, into: &queue) }

        /// What was opened and not taken yet.
        func taken() -> [UInt8] { queue.drain() }
    }

    @Test(arguments: Cipher.allCases, [1, 7, Int.max])
    func aStreamMovesOn(cipher: Cipher, pieces: Int) throws {
        var ends = Ends(cipher: cipher)
        let pool = BlockPool(byteLimit: 1 << 20)
        do {
            let upload = Upload(ends, pool: pool)
            let sealer = upload.sealer
            func pass(_ bytes: [UInt8]) throws {
                var rest = bytes[...]
                while !rest.isEmpty {
                    try upload.open(rest.prefix(pieces))
                    rest = rest.dropFirst(pieces)
                }
            }
            try pass(sealer.seal(message: [9]))
            var expected: [UInt8] = []
            for round in 0..<6 {
                let data = [UInt8](repeating: UInt8(round), count: 100)
                let plain = sealer.sealedSize(100)
                #expect(plain == 134)
                try pass(sealer.seal(data))
                ends.rekey()
                #expect(sealer.sealedSize(100) == 134 + 18 + 33)
                let moved = sealer.seal(data)
                #expect(moved.count == 134 + 18 + 33)
                #expect(ends.server.sending == UInt64(round), "not before something opened")
                try pass(moved)
                #expect(ends.server.sending == UInt64(round + 1))
                #expect(upload.opener.isBetweenChunks)
                expected += data + data
            }
            #expect(upload.taken() == expected)
            #expect(ends.server.count == 7)
            ends.server.wipeOld()
            #expect(ends.server.count == 1, "the only stream has moved on")
        }
        #expect(pool.outstanding == 0)
    }

    /// A stream that sleeps over several epochs, and one whose beginning comes late.
    @Test func sleepersAndLatecomers() throws {
        var ends = Ends()
        let sleeper = Upload(ends)
        try sleeper.open(sleeper.sealer.seal(message: [1]))
        let late = Upload(ends, stream: 8).sealer.seal(message: [2])
        let tooLate = Upload(ends, stream: 12).sealer.seal(message: [3])
        // Made before the keys changed, but its header goes out after.
        let slow = Upload(ends, stream: 16).sealer
        ends.rekey()
        try Upload(ends, stream: 8).open(late)
        try Upload(ends, stream: 16).open(slow.seal(message: [4]))
        let fresh = Upload(ends, stream: 20)
        try fresh.open(fresh.sealer.seal(message: [5]))
        ends.server.wipeOld()
        #expect(ends.server.count == 2, "a stream that sleeps may have begun something under the first")
        // What was begun goes on, and moves to the epoch of today.
        try sleeper.open(sleeper.sealer.seal([7, 7]))
        #expect(sleeper.taken() == [7, 7])
        ends.server.wipeOld()
        #expect(ends.server.count == 1)
        let another = Upload(ends, stream: 12)
        #expect(throws: OpenError.badEpoch(0)) { try another.open(tooLate) }
    }

    /// Nobody reads a stream while the keys change again and again: what waits in it still opens.
    @Test func aStreamThatNobodyReadsHoldsItsKeys() throws {
        var ends = Ends()
        let other = Upload(ends, stream: 8)
        try other.open(other.sealer.seal(message: [1]))
        do {
            let unread = Upload(ends)
            var waiting = unread.sealer.seal(message: [1])
            for round in 0..<20 as Range<UInt8> {
                ends.rekey()
                waiting += unread.sealer.seal([round])
                try other.open(other.sealer.seal([round]))
                ends.server.wipeOld()
            }
            #expect(ends.server.count == 21)
            try unread.open(waiting)
            #expect(unread.taken() == Array(0..<20))
            ends.server.wipeOld()
            #expect(ends.server.count == 1)
            ends.rekey()
            try other.open(other.sealer.seal([1]))
            ends.server.wipeOld()
            #expect(ends.server.count == 2)
        }
        ends.server.wipeOld()
        #expect(ends.server.count == 1, "a stream that is over holds nothing")
    }

    @Test func epochsHaveALimit() throws {
        var ends = Ends()
        let upload = Upload(ends)
        let sealer = upload.sealer
        let first = sealer.seal(message: [1])
        for _ in 0..<SessionKeys.maximumEpochs {
            ends.rekey()
            ends.server.noteOpened(under: ends.server.newest)
        }
        #expect(ends.server.count == SessionKeys.maximumEpochs)
        #expect(throws: OpenError.badEpoch(0)) { try upload.open(first) }
    }

    @Test func aKeyHasAnEndWithoutAnotherEpoch() throws {
        let ends = Ends()
        let upload = Upload(ends, keyLifetime: 1_000)
        let sealer = upload.sealer
        var wire = sealer.seal(message: [1])
        for _ in 0..<25 { wire += sealer.seal([UInt8](repeating: 6, count: 100)) }
        try upload.open(wire)
        #expect(upload.taken().count == 2_500)
        // Two times ten chunks filled a key.
        #expect(wire.count == 26 * 34 + 2_501 + 33 + 2 * (18 + 33))
    }

    @Test func sectionsCannotBeRepeatedMovedOrLeftOut() throws {
        let ends = Ends()
        let pool = BlockPool(byteLimit: 1 << 20)
        let sealer = ChunkSealer(keys: ends.client, direction: .up, stream: 4, keyLifetime: 1)
        // Each is a whole section; from the second on, the end of the one before stands in front.
        let sections = (0..<4).map { sealer.seal(message: [UInt8($0)]) }
        let end = sections[1].prefix(18)
        func fails(_ wire: [UInt8]) -> OpenError? {
            var queue = BlockQueue(pool: pool)
            do throws(OpenError) {
                try ChunkOpener(keys: ends.server, direction: .up, stream: 4).open(wire, into: &queue)
            } catch {
                return error
            }
            return nil
        }
        #expect(fails(Array(sections.joined())) == nil)
        #expect(fails(sections[0] + end + sections[0]) == .badTag, "the first again")
        #expect(fails(sections[0] + end + sections[2].dropFirst(18)) == .badTag, "one left out")
        #expect(fails(sections[0] + sections[1] + sections[1]) == .badTag, "one twice")
        #expect(fails(Array(sections[1].dropFirst(18))) == .badTag, "the second as the first")
        // A section without a chunk would be for nothing.
        #expect(fails(sections[0] + end + end + end) != nil)
    }

    @Test func noWayBackToAnOlderEpoch() throws {
        var ends = Ends()
        let upload = Upload(ends)
        let sealer = upload.sealer
        try upload.open(sealer.seal(message: [1]))
        ends.rekey()
        let moved = sealer.seal([2])
        try upload.open(moved)
        ends.rekey()
        var back = sealer.seal([3])
        back[18] = 0
        #expect(throws: OpenError.badEpoch(0)) { try upload.open(back) }
    }

    @Test func aSectionWithoutAChunkIsRefused() throws {
        // Stands for a peer that ends a section which has not begun: a length of zero as the first.
        let keys = Channel().keys()
        let salt = run(from: 0x40)
        let key = salt.withUnsafeBytes {
            Channel().secret.subkey(salt: $0, direction: .up, stream: 4, section: 0)
        }
        var cipher = AEADContext(.aes256gcm, key: key, operation: .seal)
        cipher.begin()
        var sealed = [UInt8](repeating: 0, count: 18)
        sealed.withUnsafeMutableBytes { sealed in
            withUnsafeBytes(of: UInt16(0)) { cipher.update($0, into: sealed.baseAddress!) }
            cipher.finish(tag: sealed.baseAddress! + 2)
        }
        let pool = BlockPool(byteLimit: 1 << 20)
        var queue = BlockQueue(pool: pool)
        let opener = ChunkOpener(keys: keys, direction: .up, stream: 4)
        #expect(throws: OpenError.badLength(0)) { try opener.open([0] + salt + sealed, into: &queue) }
        #expect(!opener.isBetweenChunks)
    }

    /// A stream may not end behind the end of a section: whoever cut it there took a section away.
    @Test func aCutBehindTheEndOfASectionShows() throws {
        var ends = Ends()
        let upload = Upload(ends)
        let sealer = upload.sealer
        try upload.open(sealer.seal(message: [1]))
        ends.rekey()
        let moved = sealer.seal([2])
        for count in 1..<moved.count {
            #expect(upload.opener.isBetweenChunks == (count == 1))
            try upload.open([moved[count - 1]])
        }
        #expect(!upload.opener.isBetweenChunks)
        try upload.open([moved[moved.count - 1]])
        #expect(upload.opener.isBetweenChunks)
    }

    // MARK: - Datagrams

    @Test func datagramsMoveOnAndOldOnesStillOpen() throws {
        var ends = Ends()
        let sealer = DatagramSealer(keys: ends.client, direction: .up, stream: 4)
        let opener = DatagramOpener(keys: ends.server, direction: .up, stream: 4)
        var overtaken: [[UInt8]] = []
        for epoch in 0..<6 {
            let early = try #require(sealer.seal([UInt8(epoch)]))
            overtaken.append(try #require(sealer.seal([UInt8(epoch), 1])))
            #expect(opener.open(early) == .success([UInt8(epoch)]))
            #expect(early[1] == UInt8(epoch))
            ends.rekey()
            let first = try #require(sealer.seal([UInt8(epoch), 2]))
            #expect(opener.open(first) == .success([UInt8(epoch), 2]))
            #expect(opener.open(overtaken[epoch]) == .success([UInt8(epoch), 1]))
            #expect(opener.open(overtaken[epoch]) == .failure(.replayed))
            #expect(opener.open(first) == .failure(.replayed))
            #expect(ends.server.sending == UInt64(epoch + 1))
        }
    }

    @Test func aDatagramOfAnotherEpochIsRefused() throws {
        var ends = Ends()
        let sealer = DatagramSealer(keys: ends.client, direction: .up, stream: 4)
        let opener = DatagramOpener(keys: ends.server, direction: .up, stream: 4)
        let first = try #require(sealer.seal([1]))
        var unknown = first
        unknown[1] = 1
        #expect(opener.open(unknown) == .failure(.badTag))
        ends.rekey()
        #expect(opener.open(unknown) == .failure(.badTag), "sealed under the epoch before")
        let second = try #require(sealer.seal([2]))
        ends.server.noteOpened(under: 1)
        ends.server.wipeOld()
        #expect(opener.open(second) == .success([2]))
        #expect(opener.open(first) == .failure(.badTag), "too late: its epoch is wiped")
    }

    // MARK: - The keys

    @Test func secretsAreKeptAsLongAsTheyAreNeeded() {
        var ends = Ends()
        ends.rekey()
        ends.server.wipeOld()
        #expect(ends.server.count == 2, "the client has not sealed under the newest yet")
        ends.client.wipeOld()
        #expect(ends.client.count == 1)
        ends.server.noteOpened(under: 1)
        ends.server.wipeOld()
        #expect(ends.server.count == 1 && ends.server.secret(of: 0) == nil && ends.server.secret(of: 2) == nil)
    }

    @Test func marksTellEpochsApart() {
        let keys = Channel().keys()
        for epoch in 1...600 as ClosedRange<UInt64> {
            keys.add(SessionSecret(run(from: 1)), isShared: true)
            #expect(keys.epoch(markedBy: UInt8(truncatingIfNeeded: epoch)) == epoch)
            #expect(keys.epoch(markedBy: UInt8(truncatingIfNeeded: epoch - 1)) == epoch - 1)
            #expect(keys.epoch(markedBy: UInt8(truncatingIfNeeded: epoch + 1)) == nil)
            #expect(keys.epoch(markedBy: UInt8(truncatingIfNeeded: epoch &- 64)) == nil)
        }
        #expect(keys.count == SessionKeys.maximumEpochs)
    }

    @Test func bytesOfBothDirectionsAreCounted() throws {
        var ends = Ends()
        let upload = Upload(ends)
        let sealer = upload.sealer
        try upload.open(sealer.seal(message: [1]) + sealer.seal([2, 3]))
        let datagram = try #require(DatagramSealer(keys: ends.client, direction: .up, stream: 8).seal([1, 2, 3, 4]))
        #expect(DatagramOpener(keys: ends.server, direction: .up, stream: 8).open(datagram) == .success([1, 2, 3, 4]))
        #expect(ends.client.bytesOfNewest == 7 && ends.server.bytesOfNewest == 7)
        ends.rekey()
        #expect(ends.client.bytesOfNewest == 0 && ends.server.bytesOfNewest == 0)
    }
}

import Primitives
import SimNet
import Testing

@testable import Sealing

/// Bytes that were changed, moved, repeated, or sealed for another place must not open, and nothing of the chunk may
/// reach the reader.
@Suite struct RefusalTests {
    private static let message = Array("request".utf8)
    private static let one = Array("first data".utf8)
    private static let two = Array("second data, longer".utf8)

    /// Salt and first chunk; then each data chunk.
    private static func sealed(_ channel: Channel) -> (start: [UInt8], one: [UInt8], two: [UInt8]) {
        let sealer = channel.sealer()
        return (sealer.seal(message: message), sealer.seal(one), sealer.seal(two))
    }

    /// What a reader got from `bytes`, and the error that ended it.
    private static func read(
        _ channel: Channel, _ bytes: [UInt8], pieces: Int = .max
    ) -> (first: [UInt8]?, data: [UInt8], error: OpenError?) {
        let pool = BlockPool(byteLimit: 1 << 20)
        let opener = channel.opener()
        var failure: OpenError?
        var data: [UInt8] = []
        do {
            var queue = BlockQueue(pool: pool)
            var rest = bytes[...]
            while !rest.isEmpty {
                do {
                    try opener.open(rest.prefix(pieces), into: &queue)
                } catch {
                    if let failure { #expect(error == failure, "an error repeats itself") }
                    failure = error
                }
                rest = rest.dropFirst(pieces)
                #expect(queue.staged == 0 || failure == nil, "a failed chunk leaves nothing behind")
            }
            data = queue.drain()
        }
        #expect(pool.outstanding == 0)
        #expect(!opener.isBetweenChunks || failure == nil)
        return (opener.takeFirstChunk(), data, failure)
    }

    @Test(arguments: Cipher.allCases, [1, 7, Int.max])
    func everyBitFlipIsRefused(cipher: Cipher, pieces: Int) {
        let channel = Channel(cipher: cipher)
        let (start, one, two) = Self.sealed(channel)
        let bytes = start + one + two
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            let result = Self.read(channel, flipped, pieces: pieces)
            // The first byte names the epoch.
            #expect(result.error == (bit < 8 ? .badEpoch(flipped[0]) : .badTag), "bit \(bit)")
            if bit / 8 < start.count {
                #expect(result.first == nil && result.data.isEmpty, "bit \(bit)")
            } else if bit / 8 < start.count + one.count {
                #expect(result.first == Self.message && result.data.isEmpty, "bit \(bit)")
            } else {
                #expect(result.first == Self.message && result.data == Self.one, "bit \(bit)")
            }
        }
    }

    @Test func truncationIsNeverBetweenChunks() throws {
        let channel = Channel()
        let (start, one, two) = Self.sealed(channel)
        let bytes = start + one + two
        let ends = [start.count, start.count + one.count, bytes.count]
        let pool = BlockPool(byteLimit: 1 << 20)
        for cut in 0...bytes.count {
            var queue = BlockQueue(pool: pool)
            let opener = channel.opener()
            try opener.open(bytes.prefix(cut), into: &queue)
            #expect(opener.isBetweenChunks == ends.contains(cut), "cut at \(cut)")
            let readable = queue.count
            #expect(readable == (cut < ends[1] ? 0 : cut < ends[2] ? Self.one.count : Self.one.count + Self.two.count))
        }
        #expect(pool.outstanding == 0)
    }

    @Test func repeatedSwappedAndMissingChunks() {
        let channel = Channel()
        let (start, one, two) = Self.sealed(channel)
        #expect(Self.read(channel, start + one + one).error == .badTag)
        #expect(Self.read(channel, start + one + one).data == Self.one)
        #expect(Self.read(channel, start + two + one).error == .badTag)
        #expect(Self.read(channel, start + two + one).data.isEmpty)
        #expect(Self.read(channel, start + start).error == .badTag)
        #expect(
            Self.read(channel, [0] + one.dropFirst()).error == nil,
            "too short to be more than a header and a part of a length")
        #expect(Self.read(channel, one + two).first == nil)
        // The payload of one chunk under the length of another.
        #expect(Self.read(channel, start + one.prefix(18) + two.dropFirst(18)).error == .badTag)
    }

    @Test(arguments: [
        Channel(secretBytes: run(from: 1)), Channel(direction: .down), Channel(stream: 8),
        Channel(stream: 4 << 32), Channel(cipher: .chacha20poly1305),
    ])
    func bytesSealedForAnotherPlace(_ other: Channel) {
        let (start, one, two) = Self.sealed(other)
        let result = Self.read(Channel(), start + one + two)
        #expect(result.error == .badTag)
        #expect(result.first == nil && result.data.isEmpty)
        #expect(Self.read(other, start + one + two).error == nil)
    }

    @Test(arguments: [0x4000, 0x8001, 0xFFFF])
    func lengthOutsideTheFormat(_ length: Int) throws {
        #expect(Self.read(Channel(), Self.stream(lengthOfSecondChunk: length)).error == .badLength(length))
        #expect(Self.read(Channel(), Self.stream(lengthOfSecondChunk: length)).first == Self.message)
    }

    @Test func longestLengthIsNoError() {
        #expect(Self.read(Channel(), Self.stream(lengthOfSecondChunk: 0x3FFF)).error == nil)
    }

    /// A sender of our own that seals any length after a good first chunk.
    private static func stream(lengthOfSecondChunk length: Int) -> [UInt8] {
        let channel = Channel()
        let start = channel.sealer(salt: run(from: 0x40)).seal(message: message)
        let key = run(from: 0x40).withUnsafeBytes {
            channel.secret.subkey(salt: $0, direction: .up, stream: 4, section: 0)
        }
        var cipher = AEADContext(.aes256gcm, key: key, operation: .seal)
        cipher.begin()
        cipher.begin()
        cipher.begin()
        var sealed = [UInt8](repeating: 0, count: 18)
        sealed.withUnsafeMutableBytes { sealed in
            withUnsafeBytes(of: UInt16(length).bigEndian) { cipher.update($0, into: sealed.baseAddress!) }
            cipher.finish(tag: sealed.baseAddress! + 2)
        }
        return start + sealed
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededRandom(seed: 77)
        for round in 0..<2_000 {
            var bytes = randomBytes(.random(in: 0...200, using: &random), &random)
            if round % 2 == 0, !bytes.isEmpty { bytes[0] = 0 }
            let result = Self.read(Channel(), bytes, pieces: 60)
            #expect(result.first == nil && result.data.isEmpty)
        }
    }
}

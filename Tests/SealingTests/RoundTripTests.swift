import Primitives
import SimNet
import Testing

@testable import Sealing

@Suite struct RoundTripTests {
    enum Cut: CaseIterable, Sendable {
        case whole, singleBytes, packets, random
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let cipher: Cipher
        let cut: Cut
        let seed: UInt64
        var testDescription: String { "\(cipher.rawValue), \(cut), seed \(seed)" }
    }

    static let cases = Cipher.allCases.flatMap { cipher in
        Cut.allCases.flatMap { cut in (1...3).map { Case(cipher: cipher, cut: cut, seed: UInt64($0)) } }
    }

    @Test(arguments: cases)
    func everyCutGivesTheSameBytes(_ test: Case) throws {
        var random = SeededRandom(seed: test.seed)
        let channel = Channel(direction: .down, stream: 400, cipher: test.cipher)
        let message = randomBytes(.random(in: 1...ChunkOpener.maximumFirstChunk, using: &random), &random)
        var data: [UInt8] = []
        let sealer = channel.sealer(seed: test.seed)
        var sealed = sealer.seal(message: message)
        // Sizes around the ends of blocks and of the format, and any other.
        let edges = [1, 2, 15, 16, 17, BlockPool.capacity - 1, BlockPool.capacity, ChunkSealer.maximumPayload]
        for size in edges + (0..<8).map({ _ in .random(in: 1...3_000, using: &random) }) {
            let payload = randomBytes(size, &random)
            data += payload
            sealed += sealer.seal(payload)
        }

        let pool = BlockPool(byteLimit: 16 << 20)
        do {
            var queue = BlockQueue(pool: pool)
            let opener = channel.opener()
            var received: [UInt8] = []
            var first: [UInt8]?
            var rest = sealed[...]
            var doneWith = 0
            while !rest.isEmpty {
                let count = min(rest.count, size(of: test.cut, &random))
                doneWith += try opener.open(rest.prefix(count), into: &queue)
                rest = rest.dropFirst(count)
                if let taken = opener.takeFirstChunk() {
                    #expect(first == nil)
                    first = taken
                }
                // Sometimes let bytes wait, so that chunks are also staged behind committed ones.
                if Bool.random(using: &random) { received += queue.drain() }
            }
            received += queue.drain()
            #expect(first == message)
            #expect(received == data)
            #expect(doneWith == sealed.count - data.count, "credit: each byte of the wire once")
            #expect(opener.isBetweenChunks)
            #expect(opener.chunks == 17 && sealer.chunks == 17)
            #expect(opener.bytes == UInt64(message.count + data.count) && sealer.bytes == opener.bytes)
        }
        #expect(pool.outstanding == 0)
    }

    private func size(of cut: Cut, _ random: inout SeededRandom) -> Int {
        switch cut {
        case .whole: .max
        case .singleBytes: 1
        case .packets: 1_390
        case .random: .random(in: 1...20_000, using: &random)
        }
    }

    @Test(arguments: Cipher.allCases)
    func sealsFromQueueAcrossBlocks(_ cipher: Cipher) throws {
        var random = SeededRandom(seed: 5)
        let pool = BlockPool(byteLimit: 1 << 20)
        do {
            let channel = Channel(cipher: cipher)
            let bytes = randomBytes(40_000, &random)
            var source = BlockQueue(pool: pool)
            let taken = bytes.withUnsafeBytes { source.append($0) }
            #expect(taken == 40_000)
            let offset = BlockPool.capacity - 100
            var output = [UInt8](repeating: 0, count: ChunkSealer.maximumPayload + 67)
            let sealer = channel.sealer(salt: run(from: 9))
            let count = output.withUnsafeMutableBytes {
                sealer.seal(from: source, offset: offset, count: ChunkSealer.maximumPayload, into: $0)
            }
            #expect(count == output.count)
            #expect(source.count == 40_000)
            let contiguous = channel.sealer(salt: run(from: 9)).seal(Array(bytes[offset...].prefix(16_383)))
            #expect(output == contiguous)
        }
        #expect(pool.outstanding == 0)
    }

    @Test func roomIsCountedWithAndWithoutHeader() {
        let sealer = Channel().sealer()
        #expect(sealer.sealedSize(1) == 1 + 34 + 33)
        #expect(sealer.payloadFitting(67) == 0)
        #expect(sealer.payloadFitting(68) == 1)
        #expect(sealer.payloadFitting(-5) == 0)
        #expect(sealer.payloadFitting(.max) == 16_383)
        let first = sealer.seal([1])
        #expect(first.count == 68)
        #expect(sealer.sealedSize(1) == 35)
        #expect(sealer.payloadFitting(34) == 0)
        #expect(sealer.payloadFitting(35) == 1)
        #expect(sealer.payloadFitting(16_368) == 16_334)
        let second = sealer.seal([1])
        #expect(second.count == 35)
    }

    @Test func saltsDifferAndSoDoesTheCiphertext() {
        let keys = Channel().keys()
        let sealed = (0..<2).map { _ in
            ChunkSealer(keys: keys, direction: .up, stream: 4).seal([UInt8](repeating: 0, count: 50))
        }
        #expect(sealed[0].prefix(33) != sealed[1].prefix(33))
        #expect(sealed[0].dropFirst(33) != sealed[1].dropFirst(33))
    }
}

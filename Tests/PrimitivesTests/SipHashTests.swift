import Primitives
import SimNet
import Testing

struct SipHashTests {
    private static let vectors: [(words: Int, expected: UInt64)] = [
        (0, 0x726f_db47_dd0e_0e31),
        (1, 0x93f5_f579_9a93_2462),
        (2, 0x3f2a_cc7f_57c2_9bdb),
        (5, 0x0e3e_a96b_5304_a7d0),
        (7, 0xb78d_bfaf_3a8d_83bd),
    ]

    /// Key 00…0f and messages 00, 00 01, 00 01 02 …: the reference vectors of SipHash-2-4 for whole words (veorq/SipHash,
    /// vectors.h, rows 0, 8, 16, 40, 56).
    @Test(arguments: vectors)
    func referenceVectors(words: Int, expected: UInt64) {
        #expect(hash.hash(words: message(words)) == expected)
    }

    private var hash: SipHash { SipHash(key0: 0x0706_0504_0302_0100, key1: 0x0f0e_0d0c_0b0a_0908) }

    private func message(_ words: Int) -> [UInt64] {
        let bytes = (0..<UInt64(words) * 8).map { $0 }
        return (0..<words).map { word in
            bytes[word * 8..<word * 8 + 8].reversed().reduce(0) { word, byte in word << 8 | byte }
        }
    }

    @Test func fiveWordsHashTheSameEitherWay() {
        let words = message(5)
        #expect(hash.hash(words[0], words[1], words[2], words[3], words[4]) == hash.hash(words: words))
    }

    @Test func everyKeyAndEveryWordCount() {
        var random = SeededRandom(seed: 1)
        var seen: Set<UInt64> = []
        for _ in 0..<100 { seen.insert(SipHash(random: &random).hash(words: message(5))) }
        for count in 0..<100 { seen.insert(hash.hash(words: [UInt64](repeating: 0, count: count))) }
        #expect(seen.count == 200)
    }
}

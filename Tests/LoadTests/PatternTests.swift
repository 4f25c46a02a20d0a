import Primitives
import Testing

@testable import Load

@Suite struct PatternTests {
    let pattern = Pattern()

    private func bytes(_ place: UInt64, _ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        while result.count < count {
            result += pattern.slice(at: place + UInt64(result.count), limit: count - result.count)
        }
        return result
    }

    private func mismatches(_ bytes: [UInt8], at place: UInt64) -> Int {
        bytes.withUnsafeBytes { pattern.mismatches(in: $0, at: place) }
    }

    @Test(arguments: [0, 1, 77, UInt64(Pattern.period) - 1, UInt64(Pattern.period), 1 << 40])
    func whatIsReadIsWhatIsExpected(_ place: UInt64) {
        for count in [0, 1, 31, 32, 33, 1_000, Pattern.period, Pattern.period + 1, 200_000] {
            #expect(mismatches(bytes(place, count), at: place) == 0)
        }
    }

    @Test func everySingleWrongByteIsFound() {
        let good = bytes(65_500, 100)
        for index in good.indices {
            var bad = good
            bad[index] &+= 1
            #expect(mismatches(bad, at: 65_500) == 1)
        }
    }

    /// A block that is lost, repeated or of another stream shows in nearly every byte that follows.
    @Test(arguments: [1, 1_024, 4_096, 16_384, 65_536, 1 << 20])
    func aShiftIsFound(_ shift: UInt64) {
        #expect(mismatches(bytes(500 + shift, 1_000), at: 500) > 950)
    }

    @Test(arguments: 1...9)
    func aStreamIsCheckedInPieces(_ size: Int) {
        let stream = PatternHeader.encode(12_345) + bytes(12_345, 100)
        var checker = PatternChecker()
        for start in stride(from: 0, to: stream.count, by: size) {
            let part = Array(stream[start..<min(start + size, stream.count)])
            let wrong = part.withUnsafeBytes { checker.check($0, against: pattern) }
            #expect(wrong == 0)
        }
        #expect(checker.count == 108)
        #expect(checker.wrong == 0)
        [UInt8](repeating: 0, count: 50).withUnsafeBytes { _ = checker.check($0, against: pattern) }
        #expect(checker.wrong > 40)
    }

    @Test func aSenderStopsWhereNoMoreIsTaken() {
        var sender = PatternSender(place: 9)
        var taken: [UInt8] = []
        for limit in [3, 2, 3, 1, 70_000] {
            var room = limit
            sender.send(pattern) { bytes in
                let count = min(room, bytes.count)
                taken += bytes[..<count]
                room -= count
                return count
            }
        }
        #expect(taken == PatternHeader.encode(9) + bytes(9, taken.count - 8))
        #expect(sender.count == 70_009)
        sender.send(pattern, upTo: 70_009) { _ in
            Issue.record("nothing is left to send")
            return 0
        }
    }
}

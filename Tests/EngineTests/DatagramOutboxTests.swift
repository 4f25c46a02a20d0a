import Primitives
import Testing

@testable import Server

@Suite struct DatagramOutboxTests {
    static let host = Endpoint("192.0.2.1:9")!

    /// The runs of an outbox: identifier's index, port, sizes.
    struct Run: Equatable {
        var index = 1
        var port: UInt16 = 9
        var sizes: [Int]
    }

    static func put(
        _ size: Int, _ outbox: inout DatagramOutbox, index: Int = 1, port: UInt16 = 9
    ) -> Bool {
        guard let space = outbox.space(size + 19) else { return false }
        for at in 0..<size { space[at] = UInt8(truncatingIfNeeded: size) }
        outbox.commit(size, OutboundID(index: index, generation: 1), to: Endpoint(host.address, port))
        return true
    }

    static func take(_ outbox: inout DatagramOutbox) -> [Run] {
        var runs: [Run] = []
        while let run = outbox.next() {
            var sizes: [Int] = []
            for start in stride(from: 0, to: run.bytes.count, by: max(run.segmentSize, 1)) {
                let piece = run.bytes[start..<min(start + run.segmentSize, run.bytes.count)]
                #expect(piece.allSatisfy { $0 == UInt8(truncatingIfNeeded: piece.count) })
                sizes.append(piece.count)
            }
            if run.segmentSize == 0 { sizes = [0] }
            #expect(sizes.count == run.count)
            runs.append(Run(index: run.id.index, port: run.destination.port, sizes: sizes))
        }
        return runs
    }

    @Test func whatCanLeaveTogetherDoes() {
        var outbox = DatagramOutbox()
        for size in [100, 100, 60, 60, 100, 0, 0, 5, 7] { #expect(Self.put(size, &outbox)) }
        for (index, port) in [(1, 9), (2, 9), (2, 8), (2, 8)] as [(Int, UInt16)] {
            #expect(Self.put(7, &outbox, index: index, port: port))
        }
        #expect(
            Self.take(&outbox) == [
                Run(sizes: [100, 100, 60]), Run(sizes: [60]), Run(sizes: [100]), Run(sizes: [0]), Run(sizes: [0]),
                Run(sizes: [5]), Run(sizes: [7, 7]), Run(index: 2, sizes: [7]), Run(index: 2, port: 8, sizes: [7, 7]),
            ])
        #expect(outbox.next() == nil)
    }

    @Test func runsHaveALimit() {
        var outbox = DatagramOutbox()
        for _ in 0..<65 { #expect(Self.put(10, &outbox)) }
        for _ in 0..<3 { #expect(Self.put(30_000, &outbox, port: 10)) }
        #expect(
            Self.take(&outbox).map(\.sizes) == [
                [Int](repeating: 10, count: 64), [10], [30_000, 30_000], [30_000],
            ])
    }

    /// What was taken makes room only once all is taken: it is emptied with every turn of the program.
    @Test func itHasALimitInBytes() {
        var outbox = DatagramOutbox()
        var count = 0
        while Self.put(60_000, &outbox) { count += 1 }
        #expect(count == DatagramOutbox.capacity / 60_000)
        #expect(outbox.space(1) != nil, "a small one still fits")
        #expect(Self.take(&outbox).reduce(0) { $0 + $1.sizes.count } == count)
        #expect(Self.put(60_000, &outbox))
    }

    @Test func itHasALimitInRuns() {
        var outbox = DatagramOutbox()
        for number in 0..<DatagramOutbox.maximumRuns { #expect(Self.put(1, &outbox, port: UInt16(number % 2 + 1))) }
        #expect(!Self.put(1, &outbox))
        #expect(Self.take(&outbox).count == DatagramOutbox.maximumRuns)
        #expect(Self.put(1, &outbox))
    }
}

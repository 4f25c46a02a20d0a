import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// What is kept of text that came before its predecessors.
struct HeldSegmentsTests {
    // MARK: In a flow

    @Test func aWindowOfSegmentsBehindOneHoleIsKept() {
        let t = Trace()
        t.opens(ts: 1_000, sack: true)
        // The window of the handshake is not scaled; let it grow to all of its megabyte.
        t.app.sends(.ack, seq: 101, ack: 1, len: 1_000, ts: 1_001)
        t.after(.milliseconds(5))
        t.app.expects(.ack, seq: 1, ack: 1_101)
        t.owner.releases(1_000)
        let count = (1 << 20) / 1_448 - 2
        for i in 1...count { t.app.sends(.ack, seq: UInt32(1_101 + i * 1_448), ack: 1, len: 1_448, ts: 1_002) }
        let held = (count + 1) * 1_448
        #expect(t.app.expects(.ack, seq: 1, ack: 1_101)?.blocks == [[2_549, UInt32(1_101 + held)]])
        #expect(t.nat.counters.heldQueueFull == 0)
        // Little more than the text itself, and the few records.
        #expect(t.nat.heldSegmentBytes < held + 2 * BlockPool.blockSize)
        t.app.sends(.ack, seq: 1_101, ack: 1, len: 1_448, ts: 1_003)
        t.app.expects(.ack, seq: 1, ack: UInt32(1_101 + held))
        t.deliveredInOrder(1_000 + held)
        #expect(t.nat.heldSegmentBytes == 0 && t.pool.outstanding == 0)
    }

    @Test func nothingIsTakenBeforeTheFirstHole() {
        let t = opened()
        for i in 0..<20 as Range<UInt32> { t.app.sends(.ack, seq: 101 + i * 1_000, ack: 1, len: 1_000) }
        #expect(t.pool.highWater == 0 && t.nat.heldSegmentBytes == 0)
        t.deliveredInOrder(20_000)
    }

    @Test func smallSegmentsShareABlock() {
        let t = opened()
        for i in 0..<1_000 as Range<UInt32> { t.app.sends(.ack, seq: 102 + i * 2, ack: 1, len: 1) }
        #expect(t.pool.outstanding == 1)
        #expect(t.nat.counters.heldQueueFull == 0)
        for i in 0..<1_000 as Range<UInt32> { t.app.sends(.ack, seq: 101 + i * 2, ack: 1, len: 1) }
        t.deliveredInOrder(2_000)
        #expect(t.pool.outstanding == 0)
    }

    @Test func aPoolWithoutMemoryLosesTheSegmentAndNothingElse() {
        let t = Trace(poolBytes: 0)
        t.app.opens()
        t.app.sends([.ack, .fin], seq: 201, ack: 1, len: 100)
        t.app.expects(.ack, seq: 1, ack: 101)
        #expect(t.nat.counters.heldQueueFull == 1)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.deliveredInOrder(100)
        t.reports()
        t.app.sends([.ack, .fin], seq: 201, ack: 1, len: 100)
        t.reports(.finished)
    }

    @Test func aFINAloneBeforeItsTextWaits() {
        let t = opened()
        t.app.sends([.ack, .fin], seq: 201, ack: 1)
        t.app.expects(.ack, seq: 1, ack: 101)
        #expect(t.pool.outstanding == 0)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.deliveredInOrder(100)
        t.reports(.finished)
        t.app.expects(.ack, seq: 1, ack: 202)
    }

    @Test func ofTwoFINsTheFirstInTheSequenceEndsTheText() {
        let t = opened()
        t.app.sends([.ack, .fin], seq: 301, ack: 1, len: 100)
        t.app.sends([.ack, .fin], seq: 201, ack: 1, len: 50)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.deliveredInOrder(150)
        t.reports(.finished)
        #expect(t.pool.outstanding == 0)
    }

    @Test func aFlowThatGoesGivesEverythingBack() {
        let t = opened()
        t.app.sends([.ack, .fin], seq: 201, ack: 1, len: 60_000)
        t.app.expects(.ack, seq: 1, ack: 101)
        #expect(t.pool.outstanding > 3)
        t.app.sends(.rst, seq: 101)
        t.reports(.reset)
        t.isOver()
    }

    // MARK: Alone

    /// Holds the pattern at offsets of one stream.
    private final class Bench {
        let pool = BlockPool(byteLimit: 64 << 20)
        var memory: ChunkStore
        var usedBytes: Int { memory.usedBytes }
        var held = HeldSegments()
        var settings = FlowSettings()
        let base: SequenceNumber

        init(base: UInt32 = 0xFFFF_F000) {
            memory = ChunkStore(pool: pool, byteLimit: 16 << 20)
            self.base = SequenceNumber(base)
        }

        func hold(_ range: Range<Int>) -> HeldSegments.Outcome {
            let bytes = range.map(Trace.pattern)
            return bytes.withUnsafeBytes {
                held.hold($0, at: base + range.lowerBound, settings: &settings, memory: &memory)
            }
        }

        /// Takes all that follows `next` without a hole, and checks it; returns how far that was.
        func take(from next: Int) -> Int {
            var next = next
            while let text = held.text(at: base + next, memory: &memory) {
                for (index, byte) in text.enumerated() where byte != Trace.pattern(next + index) {
                    Issue.record("the byte at \(next + index) is wrong")
                    return next
                }
                next += text.count
            }
            return next
        }

        /// Offsets of the blocks that are reported.
        func blocks(after next: Int) -> [[Int]] {
            held.blocks(after: base + next, duplicate: nil).map { [$0.start - base, $0.end - base] }
        }
    }

    @Test func segmentsInOrderAreOneRecordForEachChunk() {
        let bench = Bench()
        for i in 0..<700 { _ = bench.hold(1_448 + i * 1_448..<2_896 + i * 1_448) }
        #expect(bench.held.pieceCount <= 700 * 1_448 / ChunkStore.capacity + 1)
        #expect(bench.blocks(after: 0) == [[1_448, 1_448 * 701]])
        #expect(bench.take(from: 1_448) == 1_448 * 701)
        #expect(bench.held.isEmpty && bench.usedBytes == 0 && bench.pool.outstanding == 0)
    }

    @Test func aSegmentAcrossManyPiecesReplacesThem() {
        let bench = Bench()
        for i in 0..<500 { _ = bench.hold(101 + i * 2..<102 + i * 2) }
        #expect(bench.held.pieceCount == 500)
        let outcome = bench.hold(100..<1_101)
        #expect(outcome.isComplete && outcome.isNew)
        #expect(bench.held.pieceCount <= 2)
        #expect(bench.blocks(after: 0) == [[100, 1_101]])
        #expect(bench.take(from: 100) == 1_101)
        #expect(bench.usedBytes == 0)
    }

    @Test func aHostileOrderCostsNoMoreForEachPacketThanTheLimitOfRecords() {
        let bench = Bench()
        // Every second byte, backwards: each record goes to the very front.
        let limit = bench.settings.maximumHeldSegments
        var refused = 0
        for i in (0..<20_000).reversed() where !bench.hold(1 + i * 2..<2 + i * 2).isComplete { refused += 1 }
        #expect(bench.held.pieceCount == limit && refused == 20_000 - limit)
        #expect(bench.usedBytes < 3 * BlockPool.blockSize)
        // Then over and over what is there: nothing new is taken.
        let used = bench.usedBytes
        for i in (20_000 - limit..<20_000) { #expect(!bench.hold(1 + i * 2..<2 + i * 2).isNew) }
        #expect(bench.usedBytes == used)
        // Segments that are partly new fill chunks that hold little, until the flow's share is used up.
        for i in 0..<4_000 { _ = bench.hold(50_000 + i * 397 % 9_000..<50_000 + i * 397 % 9_000 + 700) }
        #expect(bench.held.pinnedBytes <= bench.settings.maximumHeldBytesPerFlow)
        bench.held.removeAll(memory: &bench.memory)
        #expect(bench.usedBytes == 0 && bench.pool.outstanding == 0)
    }

    @Test(arguments: Seeds.upTo(100))
    func randomPiecesComeOutInOrder(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let bench = Bench(base: .random(in: 0 ... .max, using: &random))
        bench.settings.maximumHeldSegments = [5, 1_024].randomElement(using: &random)!
        bench.settings.maximumHeldBytesPerFlow = [20_000, 1 << 20].randomElement(using: &random)!
        let total = 10_000
        var next = 0
        var isHere = [Bool](repeating: false, count: total + 1)
        while next < total {
            let start = random.chance(0.1) ? next : Int.random(in: next..<total, using: &random)
            let longest = [1, 30, 3_000, 20_000].randomElement(using: &random)!
            let end = min(total, start + .random(in: 1...longest, using: &random))
            if start > next {
                let outcome = bench.hold(start..<end)
                if outcome.isComplete { for i in start..<end { isHere[i] = true } }
                #expect(bench.held.pieceCount <= bench.settings.maximumHeldSegments, "seed \(seed)")
                #expect(bench.held.pinnedBytes <= bench.settings.maximumHeldBytesPerFlow, "seed \(seed)")
                checkBlocks(bench.blocks(after: next), after: next, latest: outcome.isComplete ? start : nil)
            } else {
                next = bench.take(from: end)
                #expect(!isHere[next], "seed \(seed): what was kept whole is lost")
            }
        }
        #expect(bench.held.isEmpty && bench.usedBytes == 0 && bench.pool.outstanding == 0, "seed \(seed)")
    }

    /// Blocks lie above RCV.NXT, do not touch each other, and the latest segment is in the first.
    private func checkBlocks(_ blocks: [[Int]], after next: Int, latest: Int?) {
        for block in blocks { #expect(block[0] > next && block[0] < block[1]) }
        let sorted = blocks.sorted { $0[0] < $1[0] }
        for (a, b) in zip(sorted, sorted.dropFirst()) { #expect(a[1] < b[0]) }
        if let latest { #expect(blocks.first.map { $0[0] <= latest && latest < $0[1] } == true) }
    }
}

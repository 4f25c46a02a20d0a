import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// The records of what was sent, alone and against a model that knows every byte.
struct ScoreboardTests {
    private static func withRecords(
        limit: Int = 1_000, perFlow: Int = 1_000, start: UInt32 = 0, _ body: (inout Board) -> Void
    ) {
        let arena = UnsafeMutablePointer<SendRecordArena>.allocate(capacity: 1)
        arena.initialize(to: SendRecordArena(limit: limit, limitPerFlow: perFlow))
        var board = Board(arena: arena, start: SequenceNumber(start))
        body(&board)
        board.records.removeAll()
        #expect(arena.pointee.used == 0)
        arena.deinitialize(count: 1)
        arena.deallocate()
    }

    /// Records and what goes with them; numbers count from the start.
    struct Board {
        let arena: UnsafeMutablePointer<SendRecordArena>
        let start: SequenceNumber
        var records: SendRecords
        var detection: LossDetection
        var now = Instant(nanoseconds: 1_000_000_000)
        var end = 0

        init(arena: UnsafeMutablePointer<SendRecordArena>, start: SequenceNumber) {
            self.arena = arena
            self.start = start
            records = SendRecords(arena: arena, start: start)
            detection = LossDetection(start: start)
        }

        mutating func send(_ bytes: Int) {
            records.append(from: start + end, to: start + end + bytes, now: now)
            end += bytes
        }

        @discardableResult
        mutating func acknowledge(_ number: Int) -> Delivery {
            var delivery = Delivery()
            records.acknowledge(to: start + number, now: now, detection: &detection, delivery: &delivery)
            return delivery
        }

        @discardableResult
        mutating func sack(_ from: Int, _ to: Int) -> Delivery {
            var delivery = Delivery()
            records.sack(
                SACKBlock(start: start + from, end: start + to), now: now, detection: &detection, delivery: &delivery)
            return delivery
        }

        /// All records as (first, last + 1, place).
        var list: [(Int, Int, SendPlace)] {
            var list: [(Int, Int, SendPlace)] = []
            var cursor = records.first
            while let record = cursor {
                list.append((record.pointee.start - start, record.pointee.end - start, record.pointee.place))
                cursor = record.pointee.next
            }
            return list
        }
    }

    @Test func aPartialSACKSplitsARecord() {
        Self.withRecords { board in
            board.send(10_000)
            let delivery = board.sack(4_000, 6_000)
            #expect(delivery.bytes == 2_000)
            #expect(board.list.map(\.0) == [0, 4_000, 6_000])
            #expect(board.list.map(\.2) == [.inFlight, .sacked, .inFlight])
            #expect(board.records.bytesInFlight == 8_000 && board.records.sackedBytes == 2_000)
            // Neighbours join, whichever side they are on.
            #expect(board.sack(6_000, 7_000).bytes == 1_000)
            #expect(board.sack(3_000, 7_500).bytes == 1_500)
            #expect(board.list.map(\.0) == [0, 3_000, 7_500])
            #expect(board.sack(3_000, 7_500).bytes == 0)
            // What was SACKed is not delivered twice.
            #expect(board.acknowledge(8_000).bytes == 3_500)
            #expect(board.list.map(\.0) == [8_000])
            #expect(board.records.bytesInFlight == 2_000 && board.records.sackedBytes == 0)
        }
    }

    @Test func anACKTakesRecordsOffTheFrontAndTrimsOne() {
        Self.withRecords(start: 0xFFFF_FF00) { board in
            for _ in 0..<5 { board.send(100) }
            #expect(board.acknowledge(250).bytes == 250)
            #expect(board.list.map(\.0) == [250, 300, 400])
            #expect(board.acknowledge(500).bytes == 250)
            #expect(board.records.isEmpty && board.records.last == nil && board.arena.pointee.used == 0)
        }
    }

    @Test func whatIsSentAgainMeasuresNothing() {
        Self.withRecords { board in
            board.send(100)
            board.send(100)
            let sent = board.now
            board.records.markAllLost(forgettingSACK: false)
            board.now = board.now + .milliseconds(10)
            board.records.retransmit(board.records.firstLost()!, bytes: 100, now: board.now)
            let first = board.acknowledge(100)
            #expect(first.measured == nil && first.acknowledgesRetransmission && first.originalEnd == nil)
            let second = board.acknowledge(200)
            #expect(second.measured == sent && !second.acknowledgesRetransmission)
        }
    }

    @Test func beyondTheLimitNewTextJoinsTheLastRecord() {
        Self.withRecords(perFlow: 3) { board in
            for _ in 0..<10 { board.send(100) }
            #expect(board.list.map(\.0) == [0, 100, 200] && board.list.last?.1 == 1_000)
            // A part of it left earlier than it says: it measures nothing before it is whole.
            #expect(board.acknowledge(300).measured != nil)
            #expect(board.acknowledge(500).measured == nil)
            #expect(board.acknowledge(1_000).measured != nil)
        }
    }

    @Test func theLimitInAllLeavesOneRecordToEachFlow() {
        Self.withRecords(limit: 2) { board in
            for _ in 0..<5 { board.send(100) }
            #expect(board.arena.pointee.used == 2 && board.arena.pointee.isFull)
            var other = Board(arena: board.arena, start: SequenceNumber(7))
            other.send(100)
            other.send(100)
            #expect(other.list.count == 1 && other.records.bytesInFlight == 200)
            #expect(other.sack(50, 100).bytes == 0, "no record for a part")
            #expect(other.records.canAppend)
            #expect(other.sack(0, 200).bytes == 200)
            #expect(!other.records.canAppend, "nothing joins what has arrived")
            other.records.removeAll()
        }
    }

    /// Every second byte SACKed, one byte at a time, then everything retransmitted in crumbs.
    @Test func aHostilePeerFillsTheListToItsLimitAndNoFurther() {
        Self.withRecords(perFlow: 64) { board in
            board.send(10_000)
            var i = 1
            while i < 10_000 {
                board.sack(i, i + 1)
                i += 2
            }
            #expect(board.records.count == 64)
            board.records.markAllLost(forgettingSACK: false)
            while let record = board.records.firstLost() {
                board.records.retransmit(record, bytes: 1, now: board.now)
                #expect(board.records.count <= 2 * 64 + 1)
            }
            #expect(board.records.lostBytes == 0)
            #expect(board.records.bytesInFlight + board.records.sackedBytes == 10_000)
        }
    }

    /// Random calls, and after each the list against an array with the place of every byte.
    @Test(arguments: Seeds.upTo(60))
    func theListIsWhatTheModelSays(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let perFlow = [4, 16, 1_000].randomElement(using: &random)!
        Self.withRecords(perFlow: perFlow, start: UInt32.random(in: 0 ... .max, using: &random)) { board in
            var model: [SendPlace] = []
            var acknowledged = 0
            for step in 0..<400 {
                board.now = board.now + .microseconds(.random(in: 0...500, using: &random))
                switch Int.random(in: 0..<6, using: &random) {
                case 0, 1:
                    guard board.records.canAppend else { continue }
                    let bytes = Int.random(in: 1...50, using: &random)
                    board.send(bytes)
                    model += repeatElement(.inFlight, count: bytes)
                case 2:
                    guard acknowledged < board.end else { continue }
                    let number = Int.random(in: acknowledged...board.end, using: &random)
                    let fresh = model[acknowledged..<number].count { $0 != .sacked }
                    #expect(board.acknowledge(number).bytes == fresh)
                    acknowledged = number
                case 3:
                    guard acknowledged < board.end else { continue }
                    let from = Int.random(in: acknowledged..<board.end, using: &random)
                    let to = Int.random(in: from + 1...board.end, using: &random)
                    let before = board.records.sackedBytes
                    let delivery = board.sack(from, to)
                    #expect(delivery.bytes == board.records.sackedBytes - before)
                    // At the limit of records a part of the block may not be noted; never anything outside it.
                    for (start, end, place) in board.list where place == .sacked {
                        for i in start..<end where model[i] != .sacked {
                            #expect(i >= from && i < to)
                            model[i] = .sacked
                        }
                    }
                    if perFlow == 1_000 { #expect(model[from..<to].allSatisfy { $0 == .sacked }) }
                case 4:
                    let forgetting = random.chance(0.2)
                    guard random.chance(0.3) else { continue }
                    board.records.markAllLost(forgettingSACK: forgetting)
                    for i in acknowledged..<board.end where model[i] == .inFlight || forgetting { model[i] = .lost }
                default:
                    guard let record = board.records.firstLost() else { continue }
                    let first = record.pointee.start - board.start
                    #expect(first == model.indices.first { $0 >= acknowledged && model[$0] == .lost })
                    let bytes = board.records.lostRun(from: record, limit: .random(in: 1...80, using: &random))
                    board.records.retransmit(record, bytes: bytes, now: board.now)
                    for i in first..<first + bytes {
                        #expect(model[i] == .lost)
                        model[i] = .inFlight
                    }
                }
                check(board, model, from: acknowledged, context: "seed \(seed), step \(step)")
            }
        }
    }

    private func check(_ board: Board, _ model: [SendPlace], from acknowledged: Int, context: String) {
        var at = acknowledged
        for (start, end, place) in board.list {
            #expect(start == at && end > start, "\(context)")
            #expect(model[start..<end].allSatisfy { $0 == place }, "\(context)")
            at = end
        }
        #expect(at == board.end, "\(context)")
        let live = model[acknowledged...]
        #expect(board.records.bytesInFlight == live.count { $0 == .inFlight }, "\(context)")
        #expect(board.records.lostBytes == live.count { $0 == .lost }, "\(context)")
        #expect(board.records.sackedBytes == live.count { $0 == .sacked }, "\(context)")
        #expect(board.records.count == board.list.count && board.arena.pointee.used == board.list.count, "\(context)")
    }
}

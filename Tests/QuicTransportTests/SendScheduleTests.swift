import Primitives
import SimNet
import Testing

@testable import QuicTransport

/// Whose turn it is, without a connection around it (RFC 8290, section 4.2).
@Suite struct SendScheduleTests {
    private let link = ConnectionLink()
    private let pool = BlockPool(byteLimit: 1 << 20)

    private func streams(_ count: Int) -> [QuicStream] {
        (0..<count).map {
            QuicStream(
                id: StreamID(rawValue: Int64($0) * 4), link: link, pool: pool, tally: BlockTally(),
                window: ReceiveWindow(initial: 0, limit: 0, now: Instant(nanoseconds: 0)))
        }
    }

    /// Lets streams send `size` bytes a turn, `turns` times, and tells how many bytes each has sent.
    private static func run(_ schedule: inout SendSchedule, turns: Int, size: (QuicStream) -> Int) -> [StreamID: Int] {
        var sent: [StreamID: Int] = [:]
        for _ in 0..<turns {
            guard let stream = schedule.next() else { break }
            sent[stream.id, default: 0] += size(stream)
            schedule.charge(stream, size(stream))
        }
        return sent
    }

    @Test func nobodyWaits() {
        var schedule = SendSchedule()
        #expect(schedule.next() == nil && schedule.waiting == 0)
        let stream = streams(1)[0]
        schedule.add(stream)
        schedule.rest(stream)
        #expect(schedule.next() == nil && schedule.waiting == 0)
    }

    @Test func equalStreamsSendEqually() {
        var schedule = SendSchedule()
        let all = streams(4)
        for stream in all { schedule.add(stream) }
        let sent = Self.run(&schedule, turns: 4_000) { _ in 1_400 }
        for stream in all { #expect(abs((sent[stream.id] ?? 0) - 1_400_000) <= 2_800) }
    }

    /// One sends full packets, one small ones: bytes count, and each turn a little on top.
    @Test func bytesCountNotTurns() {
        var schedule = SendSchedule()
        let all = streams(2)
        for stream in all { schedule.add(stream) }
        let sent = Self.run(&schedule, turns: 40_000) { $0 === all[0] ? 1_400 : 100 }
        let share = Double(sent[all[1].id] ?? 0) / Double(sent[all[0].id] ?? 1)
        #expect(share > 0.7 && share < 1, "\(share)")
    }

    @Test func aSparseStreamGoesFirst() {
        var schedule = SendSchedule()
        let all = streams(11)
        for stream in all[..<10] { schedule.add(stream) }
        _ = Self.run(&schedule, turns: 1_000) { _ in 1_400 }
        schedule.add(all[10])
        #expect(schedule.next() === all[10])
    }

    /// Who empties its queue waits behind the others once before it counts as sparse again.
    @Test func restingGainsNothing() {
        var schedule = SendSchedule()
        let all = streams(3)
        for stream in all[..<2] { schedule.add(stream) }
        _ = Self.run(&schedule, turns: 100) { _ in 1_400 }
        var first = 0
        for _ in 0..<30 {
            schedule.add(all[2])
            if schedule.next() === all[2] { first += 1 }
            let stream = schedule.next()!
            schedule.charge(stream, 1_400)
            if stream === all[2] { schedule.rest(stream) }
        }
        #expect(first <= 15, "\(first) of 30")
    }

    @Test func whatIsRemovedIsGone() {
        var schedule = SendSchedule()
        let all = streams(3)
        for stream in all { schedule.add(stream) }
        schedule.remove(all[1])
        schedule.remove(all[1])
        #expect(schedule.waiting == 2)
        let sent = Self.run(&schedule, turns: 100) { _ in 1_400 }
        #expect(sent[all[1].id] == nil && sent.count == 2)
        for stream in all { schedule.remove(stream) }
        #expect(schedule.next() == nil && schedule.waiting == 0)
    }

    /// A FIN alone does not wait behind streams that wait for a window.
    @Test func addFirstGoesBeforeOtherSparseOnes() {
        var schedule = SendSchedule()
        let all = streams(3)
        for stream in all { schedule.add(stream) }
        schedule.addFirst(all[2])
        #expect(schedule.next() === all[2] && schedule.waiting == 3)
    }

    /// Any order of calls leaves the count of those that wait right, and finds each of them.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func countsWhatWaits(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var schedule = SendSchedule()
        let all = streams(8)
        var waits: Set<StreamID> = []
        for _ in 0..<2_000 {
            let stream = all[Int.random(in: 0..<all.count, using: &random)]
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1:
                schedule.add(stream)
                waits.insert(stream.id)
            case 2:
                schedule.rest(stream)
                waits.remove(stream.id)
            case 3:
                schedule.remove(stream)
                waits.remove(stream.id)
            default:
                guard let next = schedule.next() else { break }
                #expect(waits.contains(next.id))
                schedule.charge(next, Int.random(in: 0..<1_500, using: &random))
            }
            #expect(schedule.waiting == waits.count)
            #expect((schedule.next() == nil) == waits.isEmpty)
        }
        for stream in all { schedule.remove(stream) }
        #expect(schedule.next() == nil)
    }
}

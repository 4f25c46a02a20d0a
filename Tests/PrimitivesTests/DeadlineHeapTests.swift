import Primitives
import SimNet
import Testing

struct DeadlineHeapTests {
    private func at(_ n: UInt64) -> Instant { Instant(nanoseconds: n) }

    @Test func entriesComeOutEarliestFirst() {
        var heap = DeadlineHeap()
        for (slot, deadline) in [(UInt32(3), 30), (1, 10), (4, 40), (2, 20)] as [(UInt32, UInt64)] {
            var none: Instant?
            heap.schedule(slot, at: at(deadline), scheduled: &none)
            #expect(none == at(deadline))
        }
        #expect(heap.next == at(10))
        #expect(heap.popDue(now: at(9)) == nil)
        #expect(heap.popDue(now: at(25))?.slot == 1)
        #expect(heap.popDue(now: at(25))?.slot == 2)
        #expect(heap.popDue(now: at(25)) == nil)
        #expect(heap.count == 2)
    }

    @Test func aLaterDeadlineLeavesTheEntryAlone() {
        var heap = DeadlineHeap()
        var scheduled: Instant?
        heap.schedule(7, at: at(10), scheduled: &scheduled)
        heap.schedule(7, at: at(50), scheduled: &scheduled)
        #expect(scheduled == at(10))
        #expect(heap.next == at(10) && heap.count == 1)
    }

    @Test func anEarlierDeadlineMovesTheEntry() {
        var heap = DeadlineHeap()
        var scheduled: Instant?
        for deadline in stride(from: UInt64(1_000), to: 0, by: -1) {
            heap.schedule(7, at: at(deadline), scheduled: &scheduled)
        }
        // One slot is one entry, however often its deadline moved.
        #expect(heap.count == 1)
        #expect(heap.popDue(now: at(1))?.deadline == at(1))
        #expect(heap.next == nil)
    }

    @Test func aSlotUsedAnewReplacesItsEntry() {
        var heap = DeadlineHeap()
        var first: Instant?
        heap.schedule(7, at: at(10), scheduled: &first)
        var second: Instant?
        heap.schedule(7, at: at(20), scheduled: &second)
        #expect(heap.popDue(now: at(15)) == nil)
        #expect(heap.popDue(now: at(20))?.slot == 7)
        #expect(heap.count == 0)
    }

    @Test func removingTakesOneSlotOut() {
        var heap = DeadlineHeap()
        for slot in 0..<10 as Range<UInt32> {
            var none: Instant?
            heap.schedule(slot, at: at(UInt64(slot) * 10), scheduled: &none)
        }
        heap.remove(0)
        heap.remove(5)
        heap.remove(5)
        heap.remove(1_000)
        var slots: [UInt32] = []
        while let due = heap.popDue(now: at(1_000)) { slots.append(due.slot) }
        #expect(slots == [1, 2, 3, 4, 6, 7, 8, 9])
    }

    /// Against a dictionary, which is obviously right.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func randomCallsBehaveLikeATable(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var heap = DeadlineHeap()
        var table: [UInt32: Instant] = [:]
        for step in 0..<2_000 {
            let slot = UInt32.random(in: 0..<40, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                let deadline = at(.random(in: 0..<1_000, using: &random))
                var scheduled = table[slot]
                heap.schedule(slot, at: deadline, scheduled: &scheduled)
                table[slot] = min(table[slot] ?? deadline, deadline)
                #expect(scheduled == table[slot])
            case 2:
                heap.remove(slot)
                table[slot] = nil
            default:
                let now = at(.random(in: 0..<1_000, using: &random))
                let earliest = table.values.min()
                let due = heap.popDue(now: now)
                #expect(due?.deadline == (earliest.map { $0 <= now } == true ? earliest : nil))
                if let due {
                    #expect(table[due.slot] == due.deadline)
                    table[due.slot] = nil
                }
            }
            #expect(heap.next == table.values.min() && heap.count == table.count, "seed \(seed), step \(step)")
        }
    }
}

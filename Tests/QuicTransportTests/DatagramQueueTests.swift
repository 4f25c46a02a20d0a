import Primitives
import SimNet
import Testing

@testable import QuicTransport

@Suite struct DatagramQueueTests {
    static let start = Instant(nanoseconds: 1_000_000_000)

    static func append(_ bytes: [UInt8], to queue: inout DatagramQueue, at now: Instant = start) {
        bytes.withUnsafeBytes { queue.append($0, now: now) }
    }

    /// Against a model, over many growths and turns of the ring.
    @Test(arguments: [1, 2, 15, 16, 17, 100])
    func isAQueueThatDropsItsOldest(limit: Int) {
        var random = SeededRandom(seed: UInt64(limit))
        var queue = DatagramQueue(limit: limit, patience: .seconds(1))
        var model: [[UInt8]] = []
        var dropped = 0
        for step in 0..<5_000 {
            if Int.random(in: 0..<5, using: &random) < 3 {
                let size = Int.random(in: 0...DatagramQueue.maximumDatagram, using: &random)
                let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: step), count: size)
                if model.count == limit {
                    model.removeFirst()
                    dropped += 1
                }
                model.append(bytes)
                Self.append(bytes, to: &queue)
            } else if !model.isEmpty {
                #expect(Array(queue.first) == model.removeFirst())
                queue.removeFirst()
            }
            #expect(queue.count == model.count)
            #expect(queue.dropped == dropped)
            #expect(queue.secondCount == (model.count > 1 ? model[1].count : nil))
        }
    }

    @Test func lateDatagramsAreForgotten() {
        var queue = DatagramQueue(limit: 10, patience: .milliseconds(100))
        Self.append([1], to: &queue)
        Self.append([2], to: &queue, at: Self.start + .milliseconds(50))
        queue.dropLate(now: Self.start + .milliseconds(100))
        #expect(queue.count == 2)
        queue.dropLate(now: Self.start + .milliseconds(101))
        #expect(Array(queue.first) == [2])
        queue.dropLate(now: Self.start + .seconds(1))
        #expect(queue.count == 0)
        #expect(queue.dropped == 2)
    }

    /// A burst's memory does not stay for ever.
    @Test func aRestingQueueGivesItsMemoryBack() {
        var queue = DatagramQueue(limit: 1_000, patience: .seconds(1))
        for _ in 0..<1_000 { Self.append([1], to: &queue) }
        for _ in 0..<1_000 { queue.removeFirst() }
        queue.dropLate(now: Self.start + .seconds(10))
        #expect(queue.capacity == 1_000)
        queue.dropLate(now: Self.start + .seconds(11))
        #expect(queue.capacity == 0)
        Self.append([2], to: &queue, at: Self.start + .seconds(11))
        #expect(Array(queue.first) == [2])
        #expect(queue.capacity == DatagramQueue.firstCapacity)
    }

    @Test func writingInPlace() {
        var queue = DatagramQueue(limit: 2, patience: .seconds(1))
        for value in 0..<5 {
            let space = queue.space()
            #expect(space.count == DatagramQueue.maximumDatagram)
            space[0] = UInt8(value)
            queue.commit(1, now: Self.start)
        }
        #expect(queue.count == 2)
        #expect(Array(queue.first) == [3])
        queue.removeAll()
        #expect(queue.count == 0)
        Self.append([9], to: &queue)
        #expect(Array(queue.first) == [9])
    }
}

import FlowNAT
import Packets
import Primitives

/// Something that can be repeated and measured: one operation is a segment, a connection, a lookup.
protocol Scenario: ~Copyable {
    /// Does `operations` of them.
    mutating func run(_ operations: Int)
}

/// Application → FlowNAT: a segment comes in, its bytes go to the consumer and are released, the ACK goes out.
struct Inbound: Scenario, ~Copyable {
    var rig: Rig
    let bytes: Int
    private var index = 0

    init(_ shape: Rig.Shape, bytes: Int, isCopying: Bool = false) {
        rig = Rig(shape, isCopying: isCopying)
        rig.openAll()
        self.bytes = bytes
    }

    mutating func run(_ operations: Int) {
        for _ in 0..<operations {
            // About 11 Gbit/s.
            rig.now = rig.now + .nanoseconds(Int64(bytes))
            let packet = rig.side.segment(index, bytes: bytes, clock: rig.clock, checksum: rig.shape.checksum)
            let taken = rig.input(packet, rig.virtio)
            precondition(taken == bytes, "a segment in order was not taken")
            rig.nat.release(rig.identifiers[index]!, taken)
            rig.settle(index)
            rig.fireTimers()
            index += 1
            if index == rig.shape.flows { index = 0 }
        }
    }
}

/// FlowNAT → application: bytes are queued (not copied: the queue's memory is as it was), segments go out, the
/// application's ACK comes in.
struct Outbound: Scenario, ~Copyable {
    var rig: Rig
    /// Bytes of one operation: of one write, and one segment where the TUN takes it whole.
    let bytes: Int
    /// Operations before the application acknowledges.
    let perAcknowledgment: Int
    private var index = 0

    init(_ shape: Rig.Shape, bytes: Int, perAcknowledgment: Int) {
        rig = Rig(shape)
        rig.openAll()
        self.bytes = bytes
        self.perAcknowledgment = perAcknowledgment
    }

    mutating func run(_ operations: Int) {
        var left = operations
        while left > 0 {
            let burst = min(left, perAcknowledgment)
            for _ in 0..<burst {
                rig.now = rig.now + .nanoseconds(Int64(bytes))
                write()
                rig.takePackets()
            }
            while rig.side.flows[index].unacknowledged > 0 {
                let packet = rig.side.segment(index, bytes: 0, clock: rig.clock)
                rig.input(packet, rig.virtio)
                rig.settle(index)
            }
            rig.fireTimers()
            left -= burst
            index += 1
            if index == rig.shape.flows { index = 0 }
        }
    }

    @inline(__always)
    private mutating func write() {
        let bytes = bytes
        let written: Int? = rig.nat.withSendQueue(rig.identifiers[index]!) { queue in
            var left = bytes
            while left > 0, let room = queue.space() {
                let count = min(left, room.count)
                queue.stage(count)
                left -= count
            }
            queue.commit()
            return bytes - left
        }
        precondition(written == bytes, "the queue did not take the bytes")
    }
}

/// An ACK that acknowledges nothing new, for a flow chosen by `order`: what it costs to find a flow.
struct Acknowledgments: Scenario, ~Copyable {
    var rig: Rig
    /// Without FlowNAT: the application's part alone.
    let isBaseline: Bool
    private let order: [Int32]
    private var position = 0

    init(_ shape: Rig.Shape, isBaseline: Bool = false) {
        rig = Rig(shape)
        rig.openAll()
        self.isBaseline = isBaseline
        var random = SplitMix(state: 7)
        order = (0..<Int32(shape.flows)).shuffled(using: &random)
    }

    mutating func run(_ operations: Int) {
        for _ in 0..<operations {
            let index = Int(order[position])
            position += 1
            if position == order.count { position = 0 }
            let packet = rig.side.segment(index, bytes: 0, clock: rig.clock)
            if isBaseline {
                keep(packet.count)
            } else {
                rig.input(packet, rig.virtio)
                rig.settle(index)
            }
        }
    }
}

/// A whole connection: SYN, SYN-ACK, ACK, FIN from the application, FIN from the owner, last ACK.
struct Connections: Scenario, ~Copyable {
    var rig: Rig

    init() { rig = Rig(Rig.Shape(flows: 1)) }

    mutating func run(_ operations: Int) {
        for _ in 0..<operations {
            rig.open(0)
            rig.input(rig.side.segment(0, bytes: 0, flags: [.fin, .ack], clock: rig.clock), rig.virtio)
            rig.settle(0)
            rig.nat.finish(rig.identifiers[0]!)
            rig.settle(0)
            rig.input(rig.side.segment(0, bytes: 0, clock: rig.clock), rig.virtio)
            rig.settle(0)
            precondition(rig.nat.flowCount == 0, "a connection is not over")
        }
    }
}

/// Every flow gets a small segment, then time passes until all their delayed ACKs are due: two timers a segment.
struct Timers: Scenario, ~Copyable {
    var rig: Rig

    init(flows: Int) {
        rig = Rig(Rig.Shape(flows: flows))
        rig.openAll()
    }

    mutating func run(_ operations: Int) {
        var left = operations
        while left > 0 {
            let batch = min(left, rig.shape.flows)
            for index in 0..<batch {
                rig.now = rig.now + .nanoseconds(100)
                let taken = rig.input(rig.side.segment(index, bytes: 10, clock: rig.clock), rig.virtio)
                rig.nat.release(rig.identifiers[index]!, taken)
                rig.settle(index)
            }
            rig.now = rig.now + .milliseconds(40)
            rig.fireTimers()
            left -= batch
        }
    }
}

/// Keeps a value from being optimised away.
@inline(never)
func keep<T>(_ value: T) { withExtendedLifetime(value) {} }

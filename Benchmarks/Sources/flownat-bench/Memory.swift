import CAllocationCount
import FlowNAT
import Glibc
import Primitives

/// What idle flows take.
struct MemoryMeasurement {
    let flows: Int
    /// Growth of the resident set, bytes a flow.
    let residentPerFlow: Double
    /// Growth of what the allocator has handed out, bytes a flow.
    let allocatedPerFlow: Double

    /// What an idle flow may take, bytes.
    static let limitPerFlow = 2_048

    /// Neither the kernel nor the allocator says more. A count of nothing would be a fault of the measurement.
    var isWithinLimit: Bool {
        [residentPerFlow, allocatedPerFlow].allSatisfy { 0 < $0 && $0 <= Double(Self.limitPerFlow) }
    }

    /// Opens so many flows, each of which has carried a request and an answer. In a process of its own, or memory that
    /// was used before would be used again and not be seen.
    static func take(flows: Int) -> MemoryMeasurement {
        var rig = Rig(Rig.Shape(flows: flows))
        // Code and the first blocks of the pool are there before the count begins.
        rig.open(0)
        exchange(&rig, 0)
        let resident = residentBytes()
        let allocated = allocation_live_bytes()
        for index in 1..<flows {
            rig.open(index)
            exchange(&rig, index)
        }
        rig.now = rig.now + .seconds(1)
        rig.fireTimers()
        precondition(rig.nat.flowCount == flows, "flows are missing")
        let count = Double(flows - 1)
        return MemoryMeasurement(
            flows: flows, residentPerFlow: Double(residentBytes() - resident) / count,
            allocatedPerFlow: Double(allocation_live_bytes() - allocated) / count)
    }

    private static func exchange(_ rig: inout Rig, _ index: Int) {
        let id = rig.identifiers[index]!
        let taken = rig.input(rig.side.segment(index, bytes: 300, clock: rig.clock), rig.virtio)
        rig.nat.release(id, taken)
        rig.settle(index)
        let written: Int? = rig.nat.withSendQueue(id) { queue in
            queue.append(UnsafeRawBufferPointer(start: rig.side.payload, count: 1_000))
        }
        precondition(written == 1_000, "the queue did not take the bytes")
        rig.settle(index)
        rig.input(rig.side.segment(index, bytes: 0, clock: rig.clock), rig.virtio)
        rig.settle(index)
    }

    /// The second number of /proc/self/statm, in bytes.
    private static func residentBytes() -> Int {
        let file = open("/proc/self/statm", O_RDONLY)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = read(file, &bytes, bytes.count)
        let words = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
        return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}

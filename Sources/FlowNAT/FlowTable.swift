import Packets
import Primitives

/// The flows: found by their addresses when a packet comes, by their identifier when the owner calls.
///
/// Flows live in chunks that never move, so a flow is changed in place through a pointer; pointers never leave this
/// module and never outlive a call.
struct FlowTable: ~Copyable {
    private static let chunkSize = 64

    private var chunks: [UnsafeMutablePointer<TCPFlow>] = []
    /// Odd while the slot is in use; grows with every change.
    private var generations: [UInt32] = []
    private var freeSlots: [UInt32] = []
    private var slots: [FlowAddresses: UInt32] = [:]

    var count: Int { slots.count }

    deinit {
        for slot in generations.indices where generations[slot] & 1 == 1 {
            (chunks[slot / Self.chunkSize] + slot % Self.chunkSize).deinitialize(count: 1)
        }
        for chunk in chunks { chunk.deallocate() }
    }

    private func pointer(_ slot: UInt32) -> UnsafeMutablePointer<TCPFlow> {
        chunks[Int(slot) / Self.chunkSize] + Int(slot) % Self.chunkSize
    }

    func find(_ addresses: FlowAddresses) -> UnsafeMutablePointer<TCPFlow>? {
        guard let slot = slots[addresses] else { return nil }
        return pointer(slot)
    }

    func find(_ id: FlowID) -> UnsafeMutablePointer<TCPFlow>? {
        guard Int(id.slot) < generations.count, generations[Int(id.slot)] == id.generation else { return nil }
        return pointer(id.slot)
    }

    /// The flow in a slot, if it is in use.
    func find(slot: UInt32) -> UnsafeMutablePointer<TCPFlow>? {
        generations[Int(slot)] & 1 == 1 ? pointer(slot) : nil
    }

    /// Adds the flow that `make` builds with its new identifier.
    mutating func insert(_ addresses: FlowAddresses, make: (FlowID) -> TCPFlow) -> UnsafeMutablePointer<TCPFlow> {
        if freeSlots.isEmpty { grow() }
        let slot = freeSlots.removeLast()
        generations[Int(slot)] &+= 1
        slots[addresses] = slot
        let pointer = pointer(slot)
        pointer.initialize(to: make(FlowID(slot: slot, generation: generations[Int(slot)])))
        return pointer
    }

    mutating func remove(_ flow: UnsafeMutablePointer<TCPFlow>) {
        let id = flow.pointee.id
        slots[flow.pointee.addresses] = nil
        generations[Int(id.slot)] &+= 1
        flow.deinitialize(count: 1)
        freeSlots.append(id.slot)
    }

    private mutating func grow() {
        let first = UInt32(generations.count)
        chunks.append(.allocate(capacity: Self.chunkSize))
        generations.append(contentsOf: repeatElement(0, count: Self.chunkSize))
        freeSlots.append(contentsOf: (first..<first + UInt32(Self.chunkSize)).reversed())
    }

    /// The identifiers of all flows, by slot: the same calls always give the same order.
    var identifiers: [FlowID] {
        generations.indices.filter { generations[$0] & 1 == 1 }
            .map { FlowID(slot: UInt32($0), generation: generations[$0]) }
    }
}

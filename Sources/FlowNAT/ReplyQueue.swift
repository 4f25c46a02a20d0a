import Primitives

/// Whole packets that belong to no flow (RST, ICMP errors), waiting for the TUN. Bounded: a flood of strange packets
/// costs answers, not memory.
struct ReplyQueue: ~Copyable {
    private var bytes: BlockQueue
    private let limit: Int

    init(pool: BlockPool, limit: Int) {
        bytes = BlockQueue(pool: pool)
        self.limit = limit
    }

    var isEmpty: Bool { bytes.isEmpty }
    var byteCount: Int { bytes.count }

    /// False when the packet was dropped because the queue is full.
    mutating func append(_ packet: UnsafeRawBufferPointer) -> Bool {
        let size = packet.count + 2
        guard bytes.count + size <= limit, let room = bytes.space(minimum: size) else { return false }
        room.baseAddress!.storeBigEndian(UInt16(packet.count), at: 0)
        (room.baseAddress! + 2).copyMemory(from: packet.baseAddress!, byteCount: packet.count)
        bytes.stage(size)
        bytes.commit()
        return true
    }

    /// Moves the oldest packet to the buffer; false when there is none.
    mutating func next(into buffer: PacketBuffer) -> Bool {
        guard !bytes.isEmpty else { return false }
        var size: UInt16 = 0
        withUnsafeMutableBytes(of: &size) { _ = bytes.copy(from: 0, into: $0) }
        let count = Int(UInt16(bigEndian: size))
        bytes.consume(2)
        buffer.clear()
        buffer.headCount = bytes.copy(
            from: 0,
            into: UnsafeMutableRawBufferPointer(start: buffer.head, count: min(count, PacketBuffer.headCapacity)))
        bytes.consume(count)
        return true
    }
}

import Primitives

/// Who sent a datagram, and how many bytes it has.
struct DatagramRecord: Equatable {
    var remote: Endpoint
    var length: Int

    /// Divides a block's capacity, so that no record lies in two blocks.
    static let byteCount = 24

    func store(to memory: UnsafeMutableRawPointer) {
        memory.storeBytes(of: UInt16(length), as: UInt16.self)
        memory.storeBytes(of: remote.port, toByteOffset: 2, as: UInt16.self)
        switch remote.address {
        case .v4(let a):
            memory.storeBytes(of: 4, toByteOffset: 4, as: UInt32.self)
            memory.storeBytes(of: UInt64(a.value), toByteOffset: 8, as: UInt64.self)
            memory.storeBytes(of: 0, toByteOffset: 16, as: UInt64.self)
        case .v6(let a):
            memory.storeBytes(of: 6, toByteOffset: 4, as: UInt32.self)
            memory.storeBytes(of: a.high, toByteOffset: 8, as: UInt64.self)
            memory.storeBytes(of: a.low, toByteOffset: 16, as: UInt64.self)
        }
    }

    init(remote: Endpoint, length: Int) {
        self.remote = remote
        self.length = length
    }

    init(from memory: UnsafeRawPointer) {
        let high = memory.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        let low = memory.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        let address: IPAddress =
            memory.loadUnaligned(fromByteOffset: 4, as: UInt32.self) == 4
            ? .v4(IPv4Address(UInt32(truncatingIfNeeded: high))) : .v6(IPv6Address(high: high, low: low))
        remote = Endpoint(address, memory.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
        length = Int(memory.loadUnaligned(as: UInt16.self))
    }
}

/// Datagrams on their way to one endpoint. The payload of consecutive ones lies together, so that many leave as one
/// super-packet without being copied. Empty, it holds no memory.
///
/// The first datagrams are looked at in place, then marked as `show`n; `settle` takes them off when the packet that
/// refers to them is through.
struct DatagramQueue: ~Copyable {
    private var records: BlockQueue
    private var payload: BlockQueue
    private(set) var count = 0
    /// Payload bytes at the front that a packet still refers to.
    private var shown = 0

    init(pool: BlockPool) {
        records = BlockQueue(pool: pool)
        payload = BlockQueue(pool: pool)
    }

    var isEmpty: Bool { count == 0 }
    /// Payload bytes of the datagrams that wait.
    var bytes: Int { payload.count - shown }
    /// Memory held, at most.
    var cost: Int {
        count == 0 && shown == 0 ? 0 : payload.count + count * DatagramRecord.byteCount + Self.overhead
    }
    /// The first and the last block of payload, and of records, may be nearly empty.
    static let overhead = 4 * BlockPool.blockSize

    /// False when the pool has no memory left; the queue is as before.
    mutating func append(_ bytes: UnsafeRawBufferPointer, from remote: Endpoint) -> Bool {
        guard let place = records.space(minimum: DatagramRecord.byteCount) else { return false }
        guard copy(bytes) else {
            payload.discardStaged()
            payload.trim()
            records.trim()
            return false
        }
        payload.commit()
        DatagramRecord(remote: remote, length: bytes.count).store(to: place.baseAddress!)
        records.stage(DatagramRecord.byteCount)
        records.commit()
        count += 1
        return true
    }

    private mutating func copy(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var taken = 0
        while taken < bytes.count {
            guard let room = payload.space() else { return false }
            let n = min(room.count, bytes.count - taken)
            room.baseAddress!.copyMemory(from: bytes.baseAddress! + taken, byteCount: n)
            payload.stage(n)
            taken += n
        }
        return true
    }

    /// The oldest datagram.
    var first: DatagramRecord? {
        guard count > 0 else { return nil }
        var record: DatagramRecord?
        records.forEachRegion(limit: DatagramRecord.byteCount) { region in
            record = DatagramRecord(from: region.baseAddress!)
            return false
        }
        return record
    }

    /// How many of the oldest datagrams make one super-packet: from one sender, of one size but for a last smaller one.
    ///
    /// - Parameter byteLimit: payload bytes in all.
    func run(limit: Int, byteLimit: Int) -> (count: Int, bytes: Int) {
        guard let first, first.length > 0 else { return (min(count, 1), 0) }
        var (count, bytes) = (0, 0)
        records.forEachRegion(limit: limit * DatagramRecord.byteCount) { region in
            for at in stride(from: 0, to: region.count, by: DatagramRecord.byteCount) {
                let record = DatagramRecord(from: region.baseAddress! + at)
                guard record.remote == first.remote, (1...first.length).contains(record.length),
                    count == 0 || bytes + record.length <= byteLimit
                else { return false }
                count += 1
                bytes += record.length
                if record.length < first.length { return false }
            }
            return true
        }
        return (count, bytes)
    }

    /// Adds bytes at the front to a packet, in place.
    func addRegions(from offset: Int, count: Int, to buffer: PacketBuffer) {
        payload.forEachRegion(from: shown + offset, limit: count) { buffer.add($0) }
    }

    /// The sum over the first bytes, for a checksum.
    func forEachRegion(count: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
        payload.forEachRegion(from: shown, limit: count) {
            body($0)
            return true
        }
    }

    /// The first datagrams have left; their payload stays in place until `settle`.
    mutating func show(_ datagrams: Int, bytes: Int) {
        records.consume(datagrams * DatagramRecord.byteCount)
        count -= datagrams
        shown += bytes
    }

    mutating func settle() {
        guard shown > 0 else { return }
        payload.consume(shown)
        shown = 0
    }

    /// Forgets the oldest datagram; nothing may be shown.
    mutating func dropFirst() {
        settle()
        guard let first else { return }
        show(1, bytes: first.length)
        settle()
    }
}

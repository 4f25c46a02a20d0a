import Packets
import Primitives

/// The UDP associations: found by the application's endpoint when a packet comes, by their identifier when the owner calls.
///
/// Associations live in chunks that never move, so one is changed in place through a pointer; pointers never leave this
/// module and never outlive a call.
struct AssociationTable: ~Copyable {
    private static let chunkSize = 64

    private let pool: BlockPool
    private var identification: FragmentIdentification
    private var chunks: [UnsafeMutablePointer<Association>] = []
    /// Odd while the slot is in use; grows with every change.
    private var generations: [UInt32] = []
    private var freeSlots: [UInt32] = []
    private var slots: [Endpoint: UInt32] = [:]
    private var deadlines = DeadlineHeap()

    /// All of them, the one that was quiet longest first.
    private var recency = SlotList()
    private var recencyLinks = SlotLinks()
    /// The same for each source address. Spent records are used again.
    private var sources: [IPAddress: Int] = [:]
    private var sourceRecords: [SlotList] = []
    private var freeRecords: [Int] = []
    private var sourceLinks = SlotLinks()
    /// Those with datagrams for the application, in the order of their turns.
    private var turns = SlotList()
    private var turnLinks = SlotLinks()

    /// The association whose payload the last packet refers to.
    private var shown: UInt32?
    /// Memory of all queues, see `DatagramQueue.cost`.
    private(set) var queuedBytes = 0

    /// Nothing waits for the application, and no packet's memory has to be given back.
    var isAtRest: Bool { turns.first == nil && shown == nil }

    init(pool: BlockPool, random: inout some RandomNumberGenerator) {
        self.pool = pool
        identification = FragmentIdentification(random: &random)
    }

    deinit {
        for slot in generations.indices where generations[slot] & 1 == 1 {
            (chunks[slot / Self.chunkSize] + slot % Self.chunkSize).deinitialize(count: 1)
        }
        for chunk in chunks { chunk.deallocate() }
    }

    var count: Int { slots.count }
    var nextDeadline: Instant? { deadlines.next }

    private func pointer(_ slot: UInt32) -> UnsafeMutablePointer<Association> {
        chunks[Int(slot) / Self.chunkSize] + Int(slot) % Self.chunkSize
    }

    func find(_ id: AssociationID) -> UnsafeMutablePointer<Association>? {
        guard Int(id.slot) < generations.count, generations[Int(id.slot)] == id.generation else { return nil }
        return pointer(id.slot)
    }

    func find(_ source: Endpoint) -> UnsafeMutablePointer<Association>? {
        // Datagrams come in bursts from one socket.
        if let last = recency.last {
            let latest = pointer(last)
            if latest.pointee.source == source { return latest }
        }
        return slots[source].map { pointer($0) }
    }

    /// Calls `body` with every association, by slot. Nothing is allocated.
    func forEach(_ body: (UnsafeMutablePointer<Association>) -> Void) {
        for slot in generations.indices where generations[slot] & 1 == 1 { body(pointer(UInt32(slot))) }
    }

    // MARK: - The application sends

    /// Notes that the application has sent from `source` to `destination`.
    ///
    /// - Parameter evicted: set to the association that made room for a new one, if one had to.
    /// - Returns: the association, new where there was none; nil when the limits allow none at all.
    mutating func use(
        _ source: Endpoint, to destination: Endpoint, now: Instant, settings: FlowSettings.Reference,
        counters: inout FlowCounters, evicted: inout AssociationID?
    ) -> AssociationID? {
        if let association = find(source) {
            association.pointee.lastSent = now
            if destination.port != Self.nameServicePort { association.pointee.isNameLookup = false }
            let slot = association.pointee.id.slot
            if recency.last != slot {
                recencyLinks.renew(slot, in: &recency)
                sourceLinks.renew(slot, in: &sourceRecords[association.pointee.sourceRecord])
            }
            return association.pointee.id
        }
        evicted = makeRoom(for: source.address, settings: settings, counters: &counters)
        guard count < settings.pointee.maximumAssociations, settings.pointee.maximumAssociationsPerSource > 0 else {
            return nil
        }
        return insert(source, to: destination, now: now, settings: settings, counters: &counters)
    }

    private static let nameServicePort: UInt16 = 53

    /// A source at its limit loses its own quietest association, so that it cannot push out another's.
    private mutating func makeRoom(
        for address: IPAddress, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> AssociationID? {
        var victim: UInt32?
        if let record = sources[address], sourceRecords[record].count >= settings.pointee.maximumAssociationsPerSource {
            victim = sourceRecords[record].first
        } else if count >= settings.pointee.maximumAssociations {
            victim = recency.first
        }
        guard let victim else { return nil }
        counters.associationsEvicted += 1
        let association = pointer(victim)
        let id = association.pointee.id
        remove(association)
        return id
    }

    private mutating func insert(
        _ source: Endpoint, to destination: Endpoint, now: Instant, settings: FlowSettings.Reference,
        counters: inout FlowCounters
    ) -> AssociationID {
        if freeSlots.isEmpty { grow() }
        let slot = freeSlots.removeLast()
        generations[Int(slot)] &+= 1
        slots[source] = slot
        let record = recordIndex(of: source.address)
        let pointer = pointer(slot)
        pointer.initialize(
            to: Association(
                id: AssociationID(slot: slot, generation: generations[Int(slot)]), source: source, sourceRecord: record,
                isNameLookup: destination.port == Self.nameServicePort, mtu: settings.pointee.mtu, pool: pool, now: now)
        )
        recencyLinks.append(slot, to: &recency)
        sourceLinks.append(slot, to: &sourceRecords[record])
        schedule(pointer, settings: settings)
        counters.associationsOpened += 1
        return pointer.pointee.id
    }

    private mutating func grow() {
        let first = UInt32(generations.count)
        chunks.append(.allocate(capacity: Self.chunkSize))
        generations.append(contentsOf: repeatElement(0, count: Self.chunkSize))
        freeSlots.append(contentsOf: (first..<first + UInt32(Self.chunkSize)).reversed())
        recencyLinks.grow(to: generations.count)
        sourceLinks.grow(to: generations.count)
        turnLinks.grow(to: generations.count)
    }

    private mutating func recordIndex(of address: IPAddress) -> Int {
        if let index = sources[address] { return index }
        let index: Int
        if let free = freeRecords.popLast() {
            index = free
        } else {
            index = sourceRecords.count
            sourceRecords.append(SlotList())
        }
        sources[address] = index
        return index
    }

    // MARK: - Endings

    mutating func remove(_ association: UnsafeMutablePointer<Association>) {
        let (id, record) = (association.pointee.id, association.pointee.sourceRecord)
        queuedBytes -= association.pointee.queue.cost
        if shown == id.slot { shown = nil }
        if association.pointee.isReady { turnLinks.remove(id.slot, from: &turns) }
        recencyLinks.remove(id.slot, from: &recency)
        sourceLinks.remove(id.slot, from: &sourceRecords[record])
        if sourceRecords[record].count == 0 {
            sources[association.pointee.source.address] = nil
            freeRecords.append(record)
        }
        deadlines.remove(id.slot)
        slots[association.pointee.source] = nil
        generations[Int(id.slot)] &+= 1
        association.deinitialize(count: 1)
        freeSlots.append(id.slot)
    }

    private mutating func schedule(_ association: UnsafeMutablePointer<Association>, settings: FlowSettings.Reference) {
        deadlines.schedule(
            association.pointee.id.slot, at: association.pointee.deadline(settings: settings),
            scheduled: &association.pointee.scheduled)
    }

    /// Ends the next association that the application has not used for its time; nil when there is none.
    mutating func expire(now: Instant, settings: FlowSettings.Reference) -> AssociationID? {
        while let (slot, _) = deadlines.popDue(now: now) {
            let association = pointer(slot)
            association.pointee.scheduled = nil
            if association.pointee.deadline(settings: settings) <= now {
                let id = association.pointee.id
                remove(association)
                return id
            }
            schedule(association, settings: settings)
        }
        return nil
    }

    // MARK: - The application receives

    /// Queues a datagram; the oldest of the same association give way to it where a limit is reached.
    /// - Returns: false when there is no room even so.
    mutating func enqueue(
        _ payload: UnsafeRawBufferPointer, from remote: Endpoint, to association: UnsafeMutablePointer<Association>,
        settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> Bool {
        settle()
        while !association.pointee.queue.isEmpty, !fits(payload.count, association, settings: settings) {
            queuedBytes -= association.pointee.queue.cost
            association.pointee.dropFirst()
            queuedBytes += association.pointee.queue.cost
            counters.datagramsDropped += 1
        }
        let before = association.pointee.queue.cost
        guard fits(payload.count, association, settings: settings),
            association.pointee.queue.append(payload, from: remote)
        else {
            counters.datagramQueueFull += 1
            // An emptied queue must not stay in the list of those that have something.
            if association.pointee.queue.isEmpty { unmarkReady(association) }
            return false
        }
        queuedBytes += association.pointee.queue.cost - before
        if !association.pointee.isReady {
            association.pointee.isReady = true
            turnLinks.append(association.pointee.id.slot, to: &turns)
        }
        return true
    }

    private func fits(
        _ count: Int, _ association: UnsafeMutablePointer<Association>, settings: FlowSettings.Reference
    ) -> Bool {
        let fixed = DatagramRecord.byteCount + (association.pointee.queue.isEmpty ? DatagramQueue.overhead : 0)
        guard association.pointee.queue.count < settings.pointee.maximumQueuedDatagrams,
            association.pointee.queue.bytes + count <= settings.pointee.maximumQueuedDatagramBytes
        else { return false }
        return queuedBytes + fixed + count <= settings.pointee.maximumDatagramMemory
    }

    private mutating func unmarkReady(_ association: UnsafeMutablePointer<Association>) {
        guard association.pointee.isReady else { return }
        association.pointee.isReady = false
        turnLinks.remove(association.pointee.id.slot, from: &turns)
    }

    /// Writes the next packet for the application; false when there is none. The associations take turns.
    mutating func nextPacket(
        into buffer: PacketBuffer, settings: FlowSettings.Reference, counters: inout FlowCounters
    ) -> Bool {
        settle()
        guard let slot = turns.first else { return false }
        let association = pointer(slot)
        let before = association.pointee.queue.cost
        let isSent = association.pointee.nextPacket(
            into: buffer, identification: &identification, settings: settings, counters: &counters)
        queuedBytes += association.pointee.queue.cost - before
        if association.pointee.queue.isEmpty {
            unmarkReady(association)
        } else {
            turnLinks.renew(slot, in: &turns)
        }
        shown = slot
        return isSent
    }

    /// Gives back the memory of the last packet's payload.
    private mutating func settle() {
        guard let slot = shown else { return }
        shown = nil
        let association = pointer(slot)
        queuedBytes -= association.pointee.queue.cost
        association.pointee.queue.settle()
        queuedBytes += association.pointee.queue.cost
    }
}

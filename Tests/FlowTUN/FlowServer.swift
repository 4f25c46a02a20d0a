import FlowNAT
import Packets
import Primitives

/// Serves the connections of a `FlowNAT` itself, where the client would carry them through the tunnel.
final class FlowServer {
    /// What became of the connections. Everything only grows.
    struct Counters {
        var served = 0
        var bytesTaken = 0
        var bytesWritten = 0
        /// Compared with the expected stream to the client's FIN.
        var verified = 0
        /// Something else came than was expected.
        var corrupt = 0
        /// Times that there was no memory to write into.
        var starved = 0
        var datagramsEchoed = 0
        /// Echoes that FlowNAT did not take.
        var datagramsUnsent = 0
    }

    let pool: BlockPool
    private(set) var nat: FlowNAT
    private(set) var counters = Counters()
    /// By `FlowID.index`.
    private var connections: [Connection?] = []
    /// Connections with something to do.
    private var due: [Connection] = []
    private var deadlines = DeadlineHeap()
    /// What came by UDP in the packet that is being handled.
    private var datagrams = DatagramBatch()
    /// Connections that found no memory; they try again a little later.
    private var starved: [Connection] = []
    private var retryAt: Instant?

    /// What lies in one flow's send queue at most, bytes.
    private let sendQueueLimit: Int
    private static let retryInterval: Interval = .milliseconds(10)

    init(settings: FlowSettings, pool: BlockPool, sendQueueLimit: Int, random: inout some RandomNumberGenerator) {
        self.pool = pool
        self.sendQueueLimit = sendQueueLimit
        nat = FlowNAT(settings: settings, pool: pool, random: &random)
    }

    /// Connections that are open, from their SYN on.
    var connectionCount: Int { connections.reduce(0) { $0 + ($1 == nil ? 0 : 1) } }

    var nextDeadline: Instant? { earliest(nat.nextDeadline, earliest(deadlines.next, retryAt)) }

    func handle(_ packet: UnsafeRawBufferPointer, offload: VirtioHeader, now: Instant) {
        nat.handle(
            packet, offload: offload, now: now,
            deliver: { id, bytes in
                guard let connection = connection(id) else { return bytes.count }
                markDue(connection)
                let count = connection.take(bytes, now: now)
                counters.bytesTaken += count
                return count
            },
            datagrams: { datagrams.append($0, $1, $2) })
        carryOutEvents(now: now)
        datagrams.drain { answer($0, $1, $2, now: now) }
    }

    func handleTimeout(now: Instant) {
        nat.handleTimeout(now: now)
        carryOutEvents(now: now)
        while let (slot, deadline) = deadlines.popDue(now: now) {
            guard let connection = connections[Int(slot)], connection.scheduled == deadline else { continue }
            connection.scheduled = nil
            if let wakeUp = connection.wakeUp, wakeUp <= now {
                connection.wakeUp = nil
                wake(connection, now: now)
            }
            markDue(connection)
        }
        if let retryAt, retryAt <= now {
            self.retryAt = nil
            for connection in starved { markDue(connection) }
            starved.removeAll(keepingCapacity: true)
        }
    }

    /// The next packet for the TUN; false when there is none.
    func nextPacket(into buffer: PacketBuffer, now: Instant) -> Bool {
        while let connection = due.popLast() {
            connection.isDue = false
            if self.connection(connection.id) === connection { serve(connection, now: now) }
        }
        defer { carryOutEvents(now: now) }
        return nat.nextPacket(into: buffer, now: now)
    }

    func abortAll() { nat.abortAll() }

    // MARK: - Events

    private func connection(_ id: FlowID) -> Connection? {
        guard id.index < connections.count, let connection = connections[id.index], connection.id == id else {
            return nil
        }
        return connection
    }

    private func markDue(_ connection: Connection) {
        guard !connection.isDue else { return }
        connection.isDue = true
        due.append(connection)
    }

    private func carryOutEvents(now: Instant) {
        while let event = nat.nextEvent() {
            switch event {
            case .connect(let id, let addresses): open(id, addresses)
            case .established(let id): if let connection = connection(id) { begin(connection, now: now) }
            case .drained(let id, _): if let connection = connection(id) { markDue(connection) }
            case .finished(let id):
                if let connection = connection(id) {
                    connection.isFinishedByClient = true
                    markDue(connection)
                }
            case .reset(let id), .closed(let id): if let connection = connection(id) { forget(connection) }
            case .associationEnded, .datagramRefused: break  // nothing is kept of associations
            }
        }
    }

    private func open(_ id: FlowID, _ addresses: FlowAddresses) {
        guard let service = Service(rawValue: addresses.destination.port) else { return nat.reject(id, .refused) }
        switch service.answer {
        case .reject(let reason): return nat.reject(id, reason)
        case .accept: nat.accept(id)
        case .ignore: break
        }
        while connections.count <= id.index { connections.append(nil) }
        connections[id.index] = Connection(id: id, service: service, pool: pool)
        counters.served += 1
    }

    private func forget(_ connection: Connection) {
        connections[connection.id.index] = nil
        deadlines.remove(UInt32(connection.id.index))
    }

    private func begin(_ connection: Connection, now: Instant) {
        switch connection.service {
        case .resetAtOnce: reset(connection)
        case .simultaneousClose: connection.wakeUp = now + Service.finishDelay
        case .echo, .sink, .chargen, .source, .sourceThenReset, .sourceAfterFinish, .finishThenSink, .slowSink,
            .pausedSink, .refuse, .neverAccept, .hostUnreachable, .prohibited:
            break
        }
        markDue(connection)
    }

    // MARK: - Services

    /// What `Service` says of the port, as far as it has a meaning for a datagram; the other ports refuse.
    private func answer(
        _ id: AssociationID, _ destination: Endpoint, _ payload: UnsafeRawBufferPointer, now: Instant
    ) {
        let service = Service(rawValue: destination.port) ?? .refuse
        switch service.answer {
        case .accept where service == .echo:
            let isSent = nat.sendDatagram(id, from: destination, payload)
            if isSent { counters.datagramsEchoed += 1 } else { counters.datagramsUnsent += 1 }
        case .accept: nat.rejectDatagram(id, to: destination, .refused, now: now)
        case .reject(let reason): nat.rejectDatagram(id, to: destination, reason, now: now)
        case .ignore: break
        }
    }

    private func wake(_ connection: Connection, now: Instant) {
        switch connection.service {
        case .simultaneousClose:
            finish(connection)
        case .slowSink:
            let count = min(connection.unread, Service.slowStep)
            connection.unread -= count
            connection.releasable += count
            if connection.unread > 0 { connection.wakeUp = now + Service.slowInterval }
        case .pausedSink:
            connection.releasable += connection.unread
            connection.unread = 0
        case .echo, .sink, .chargen, .source, .sourceThenReset, .sourceAfterFinish, .finishThenSink, .refuse,
            .neverAccept, .hostUnreachable, .prohibited, .resetAtOnce:
            break
        }
    }

    /// Does all that can be done for a connection now.
    private func serve(_ connection: Connection, now: Instant) {
        switch connection.service {
        case .echo:
            echo(connection, now: now)
            if connection.isFinishedByClient, connection.inbox.isEmpty { finish(connection) }
        case .sink, .slowSink, .pausedSink:
            // Not before the slow reader has read all.
            if connection.isFinishedByClient, connection.unread == 0 { giveAccount(connection, now: now) }
        case .chargen, .source:
            if connection.isFinishedByClient { connection.unwritten = 0 }
            if connection.hasWholeRequest {
                write(connection, now: now)
                if connection.unwritten == 0 { finish(connection) }
            }
        case .sourceThenReset:
            write(connection, now: now)
            if connection.hasWholeRequest, connection.unwritten == 0, nat.heldBytes(connection.id) == 0 {
                reset(connection)
            }
        case .sourceAfterFinish:
            guard connection.isFinishedByClient else { break }
            write(connection, now: now)
            if connection.unwritten == 0 { finish(connection) }
        case .finishThenSink:
            if connection.hasWholeRequest { finish(connection) }
            if connection.isCorrupt {
                counters.corrupt += 1
                reset(connection)
            } else if connection.isFinishedByClient, connection.stream.position == connection.request.second {
                counters.verified += 1
            }
        case .simultaneousClose:
            if connection.isFinishedByClient { finish(connection) }
        case .refuse, .neverAccept, .hostUnreachable, .prohibited, .resetAtOnce:
            break
        }
        if connection.releasable > 0 {
            nat.release(connection.id, connection.releasable)
            connection.releasable = 0
        }
        if let wakeUp = connection.wakeUp, self.connection(connection.id) === connection {
            deadlines.schedule(UInt32(connection.id.index), at: wakeUp, scheduled: &connection.scheduled)
        }
    }

    private func echo(_ connection: Connection, now: Instant) {
        let room = sendQueueLimit - nat.heldBytes(connection.id)
        guard room > 0, !connection.inbox.isEmpty else { return }
        var moved = 0
        let result: Void? = nat.withSendQueue(connection.id) { queue in
            connection.inbox.forEachRegion(limit: room) { region in
                let count = queue.append(region)
                moved += count
                return count == region.count
            }
        }
        guard result != nil else { return }
        if moved < min(room, connection.inbox.count) { starve(connection, now: now) }
        connection.inbox.consume(moved)
        counters.bytesWritten += moved
        connection.releasable += moved
    }

    /// Writes bytes of the connection's stream while there is room for them.
    private func write(_ connection: Connection, now: Instant) {
        guard connection.unwritten > 0 else { return }
        var room = sendQueueLimit - nat.heldBytes(connection.id)
        var isStarved = false
        let result: Void? = nat.withSendQueue(connection.id) { queue in
            while room > 0, connection.unwritten > 0 {
                guard let space = queue.space() else {
                    isStarved = true
                    break
                }
                let count = min(space.count, Int(clamping: connection.unwritten))
                connection.stream.fill(UnsafeMutableRawBufferPointer(rebasing: space[..<count]))
                queue.stage(count)
                queue.commit()
                connection.unwritten -= UInt64(count)
                counters.bytesWritten += count
                room -= count
            }
        }
        if isStarved, result != nil { starve(connection, now: now) }
    }

    private func giveAccount(_ connection: Connection, now: Instant) {
        guard !connection.isFinishedByUs else { return }
        var account = (connection.digest.count.bigEndian, connection.digest.value.bigEndian)
        let size = MemoryLayout.size(ofValue: account)
        var isWhole = false
        let result: Void? = nat.withSendQueue(connection.id) { queue in
            guard let space = queue.space(minimum: size) else { return }
            withUnsafeBytes(of: &account) { space.copyMemory(from: $0) }
            queue.stage(size)
            queue.commit()
            isWhole = true
        }
        guard result != nil else { return }
        if isWhole { finish(connection) } else { starve(connection, now: now) }
    }

    private func finish(_ connection: Connection) {
        guard !connection.isFinishedByUs else { return }
        connection.isFinishedByUs = true
        nat.finish(connection.id)
    }

    private func reset(_ connection: Connection) {
        connection.isFinishedByUs = true
        nat.abort(connection.id)
        forget(connection)
    }

    private func starve(_ connection: Connection, now: Instant) {
        counters.starved += 1
        starved.append(connection)
        if retryAt == nil { retryAt = now + Self.retryInterval }
    }
}

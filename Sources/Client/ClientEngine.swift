import FlowNAT
import Packets
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// The client: IP packets of the TUN on one side, UDP datagrams to the server on the other. No system calls, no clock.
///
/// The way up: `handlePacket` → FlowNAT takes the segment apart → the flow's bytes are sealed straight into the send
/// queue of its stream → `nextBatch` hands out QUIC packets. The way down: `handleDatagram` → the stream's bytes are
/// opened straight into the flow's send queue → `nextPacket` hands out segments.
///
/// After every call: `nextEvent`, `nextBatch` and `nextPacket` until they have nothing more, then sleep until
/// `nextDeadline`.
public final class ClientEngine {
    enum Link {
        /// Waiting to connect.
        case down(until: Instant)
        /// The program was asked for a connection.
        case wanted(deadline: Instant)
        /// When it fails, the next address of the server is tried at once, unless this was the last.
        case handshaking(QuicConnection, isLastAddress: Bool)
        /// The control stream is open: key exchange, hello, and the server's decision.
        case greeting(QuicConnection, Greeting, deadline: Instant)
        case up(QuicConnection, Session)
        case stopped
    }

    struct Greeting {
        let control: ControlStream
        let controlStream: QuicStream
        var hasSaidHello = false
    }

    /// What is agreed with the server for the life of one connection.
    struct Session {
        let keys: SessionKeys
        let control: ControlStream
        let controlStream: QuicStream
    }

    public private(set) var settings: ClientSettings
    @exclusivity(unchecked) public internal(set) var counters = ClientCounters()
    /// The memory that all buffers of this engine come from.
    public let pool: BlockPool

    /// Checked at run time: what applications send is carried on inside `nat.handle`, a long way through the engine, and nothing
    /// on it may ask anything of FlowNAT.
    var nat: FlowNAT
    @exclusivity(unchecked) var link: Link
    @exclusivity(unchecked) var flows: [ClientFlow?] = []
    var associations = ClientAssociationTable()
    public internal(set) var datagramCounters = ClientDatagramCounters()
    /// Where datagrams of the server are opened, and those for its streams are put together.
    let datagramMemory = UnsafeMutableRawBufferPointer.allocate(
        byteCount: DatagramChannel.maximumRecord, alignment: 16)
    /// What an application is to be told when FlowNAT can be called again.
    var pendingRejection: (AssociationID, Endpoint, RejectReason)?
    var random: any RandomNumberGenerator
    var backoff: Backoff
    @exclusivity(unchecked) var events: [ClientEvent] = []
    var tokens = AddressTokenStore()
    /// While the tunnel is up.
    var rekeys: RekeySchedule?
    /// The server of this connection takes no new flows any more.
    var isServerDraining = false
    /// The local address that the connection has yet to move to.
    @exclusivity(unchecked) var pendingMove: PendingMove?
    /// The local address that the connection has moved to and was not heard at yet.
    @exclusivity(unchecked) var unheard: Endpoint?
    /// Moves in a row that failed.
    var failedMoves = 0
    @exclusivity(unchecked) var last: Instant
    /// What the network answered to datagrams for the server, since it was last heard.
    @exclusivity(unchecked) private(set) var lastSendError: String?
    /// What flows were told last of how much is worth having ready.
    @exclusivity(unchecked) private var readyBytes = 0
    /// A connection that has ended and may still have its last packet to send.
    @exclusivity(unchecked) private var leaving: QuicConnection?

    public init(
        settings: ClientSettings, pool: BlockPool, random: any RandomNumberGenerator, now: Instant
    ) {
        self.settings = settings
        self.pool = pool
        var random = random
        nat = FlowNAT(settings: settings.flows, pool: pool, random: &random)
        self.random = random
        backoff = Backoff(first: settings.firstReconnectDelay, maximum: settings.maximumReconnectDelay)
        link = .down(until: now)
        last = now
    }

    deinit { datagramMemory.deallocate() }

    /// Takes over from `new` what can change while the client runs: what connections begin with from the next one on, the
    /// time between attempts, and how long keys live.
    public func reconfigure(_ new: ClientSettings) {
        settings.identity = new.identity
        if let due = rekeys?.due { rekeys?.due = due + (new.rekeyInterval - settings.rekeyInterval) }
        settings.rekeyInterval = new.rekeyInterval
        settings.rekeyBytes = new.rekeyBytes
        settings.firstReconnectDelay = new.firstReconnectDelay
        settings.maximumReconnectDelay = new.maximumReconnectDelay
        backoff = Backoff(first: new.firstReconnectDelay, maximum: new.maximumReconnectDelay)
    }

    // MARK: - The connection

    /// Begins a connection, in answer to `.connectionWanted`.
    /// - Parameter isLastAddress: false when the server has other addresses to try. When this one fails,
    ///   `.connectionWanted` then comes again at once.
    public func connect(to remote: Endpoint, local: Endpoint, isLastAddress: Bool = true, now: Instant) {
        last = now
        guard case .wanted = link else { return }
        lastSendError = nil
        // The connection gets a copy of the generator; the next one must not begin where this one did.
        _ = random.next()
        do {
            let connection = try QuicConnection.client(
                to: remote, local: local, trust: settings.trust, identity: settings.identity,
                settings: settings.transport, token: tokens.take(for: remote) ?? [], pool: pool, random: random,
                now: now)
            connection.owner = self
            link = .handshaking(connection, isLastAddress: isLastAddress)
            counters.connects += 1
        } catch {
            lose("\(error)", now: now)
        }
    }

    /// There was no way to begin: the name did not resolve, the socket did not open.
    public func connectFailed(_ reason: String, isLastAddress: Bool = true, now: Instant) {
        last = now
        guard case .wanted = link else { return }
        lose(reason, triesNext: !isLastAddress, now: now)
    }

    /// The network refused a datagram for the server. That ends a handshake at once; later the connection may live
    /// through it, and only the log will name it if it does not.
    public func sendFailed(_ reason: String, now: Instant) {
        last = now
        lastSendError = reason
        guard case .handshaking(let connection, let isLastAddress) = link else { return }
        close(connection, .noError, "")
        lose("the server \(connection.remote) cannot be reached: \(reason)", triesNext: !isLastAddress, now: now)
    }

    /// Ends everything in order: flows are reset, the server is told.
    public func stop(now: Instant) {
        last = now
        nat.abortAll()
        if let connection {
            close(connection, .noError, "client stops")
            leaving = connection
        }
        forgetFlows()
        pendingMove = nil
        rekeys = nil
        link = .stopped
    }

    public var isConnected: Bool {
        if case .up = link { true } else { false }
    }

    /// Associations that have a stream.
    public var associationCount: Int { associations.count }
    /// So many datagrams wait for the server that `nextBatch` should be asked before another packet is handed in.
    public var datagramsAreMany: Bool { connection?.datagramsAreMany ?? false }

    /// See `QuicConnection.moderation`.
    public var moderation: Interval { connection?.moderation ?? .zero }
    public var connectionStatistics: ConnectionStatistics? { connection?.statistics }
    public var flowCounters: FlowCounters { nat.counters }
    public var flowGauges: FlowGauges { nat.gauges }

    /// Calls `body` with every flow as it stands.
    public func forEachFlow(now: Instant, _ body: (FlowSnapshot) -> Void) { nat.forEachFlow(now: now, body) }
    /// The same with every UDP association.
    public func forEachAssociation(now: Instant, _ body: (AssociationSnapshot) -> Void) {
        nat.forEachAssociation(now: now, body)
    }

    var connection: QuicConnection? {
        switch link {
        case .handshaking(let connection, _), .greeting(let connection, _, _), .up(let connection, _): connection
        case .down, .wanted, .stopped: nil
        }
    }

    /// Every flow is reset, and another attempt follows: at once at the server's next address, else after a while.
    /// - Parameter pause: the least time until then.
    func lose(_ reason: String, triesNext: Bool = false, pause: Interval = .zero, now: Instant) {
        let delay = triesNext ? .zero : max(backoff.next(random: &random), pause)
        rekeys = nil
        if let connection, connection.state != .closed { leaving = connection }
        if let connection, let token = connection.addressToken { tokens.keep(token, for: connection.remote) }
        pendingMove = nil
        unheard = nil
        failedMoves = 0
        isServerDraining = false
        nat.abortAll()
        counters.flowsReset += counters.flowsOpen
        forgetFlows()
        link = .down(until: now + delay)
        events.append(.disconnected(reason: reason, retryIn: delay))
    }

    private func forgetFlows() {
        flows.removeAll(keepingCapacity: true)
        counters.flowsOpen = 0
        // FlowNAT keeps the applications' ports: the next datagram from one opens a stream again.
        associations.removeAll()
    }

    // MARK: - In

    /// A packet from the TUN.
    public func handlePacket(_ packet: UnsafeRawBufferPointer, offload: VirtioHeader, now: Instant) {
        last = now
        nat.handle(
            packet, offload: offload, now: now, deliver: { id, bytes in seal(bytes, of: id) },
            datagrams: { id, destination, payload in carry(payload, of: id, to: destination) })
        carryOutRejection()
        carryOutFlowEvents()
    }

    /// A UDP datagram from the server.
    public func handleDatagram(
        _ datagram: UnsafeMutableRawBufferPointer, from remote: Endpoint, to local: Endpoint, ecn: UInt8, now: Instant
    ) {
        last = now
        guard let connection = connection ?? leaving else { return }
        if lastSendError != nil { lastSendError = nil }
        if unheard == local { unheard = nil }
        connection.handle(UnsafeRawBufferPointer(datagram), from: remote, to: local, ecn: ecn, now: now)
        carryOutConnectionEvents(now: now)
        if pendingMove != nil { tryToMove(now: now) }
        carryOutFlowEvents()
    }

    public func handleTimeout(now: Instant) {
        last = now
        if let deadline = nat.nextDeadline, deadline <= now {
            nat.handleTimeout(now: now)
            carryOutFlowEvents()
        }
        switch link {
        case .down(let until) where until <= now:
            link = .wanted(deadline: now + settings.lookupTimeout)
            events.append(.connectionWanted)
        case .wanted(let deadline) where deadline <= now:
            lose("the server's name was not resolved in time", now: now)
        case .greeting(let connection, _, let deadline) where deadline <= now:
            close(connection, .protocolViolation, "no welcome")
            lose("the server did not answer the key exchange or the login in time", now: now)
        case .down, .wanted, .handshaking, .greeting, .up, .stopped:
            break
        }
        rekeyIfDue(now: now)
        Self.wake(connection, now: now)
        Self.wake(leaving, now: now)
        if let leaving, leaving.state == .closed { self.leaving = nil }
        carryOutConnectionEvents(now: now)
        if pendingMove != nil { tryToMove(now: now) }
    }

    private static func wake(_ connection: QuicConnection?, now: Instant) {
        guard let connection, let deadline = connection.nextDeadline, deadline <= now else { return }
        connection.handleTimeout(now: now)
    }

    // MARK: - Out

    public var nextDeadline: Instant? {
        var deadline = earliest(nat.nextDeadline, earliest(connection?.nextDeadline, leaving?.nextDeadline))
        deadline = earliest(deadline, earliest(pendingMove?.deadline, rekeys?.deadline))
        switch link {
        case .down(let until), .wanted(let until), .greeting(_, _, let until): deadline = earliest(deadline, until)
        case .handshaking, .up, .stopped: break
        }
        return deadline
    }

    public func nextEvent() -> ClientEvent? { events.isEmpty ? nil : events.removeFirst() }

    /// The next packet for the TUN.
    public func nextPacket(into buffer: PacketBuffer, now: Instant) -> Bool { nat.nextPacket(into: buffer, now: now) }

    /// The next datagrams for the server.
    public func nextBatch(into buffer: UnsafeMutableRawBufferPointer, now: Instant) -> OutgoingBatch? {
        last = now
        if let leaving {
            if let batch = leaving.nextBatch(into: buffer, now: now) { return batch }
            if leaving.state == .closed { self.leaving = nil }
        }
        rekeyIfSpent()
        guard let connection else { return nil }
        let batch = connection.nextBatch(into: buffer, now: now)
        if connection.readyBytes != readyBytes {
            readyBytes = connection.readyBytes
            nat.limitWindows(to: readyBytes)
        }
        carryOutConnectionEvents(now: now)
        return batch
    }
}

import Configuration
import LinuxIO
import Logging
import Primitives
import QuicTransport
import Sealing
import Server
import Synchronization
import Tunnel
import UserStore

/// One of a running server's loops: a server engine between a UDP socket and the sockets that it dials, on one thread.
final class ServerLoop {
    /// Datagrams taken from the socket before the dialled sockets get their turn.
    private static let budget = 256
    /// Connections whose figures are told with the statistics.
    private static let listedConnections = 100
    /// Bytes read from a dialled socket at once.
    private static let readSize = 64 << 10
    /// How often `onWatch` is called: what a file says holds within a second.
    private static let watchInterval = Interval.milliseconds(500)

    let loop: EventLoop
    /// Loops that must have ended before this one may, since it takes the signals.
    let others = Atomic<Int>(0)
    /// Looks after files, for the first loop alone.
    var onWatch: (() -> Void)?
    private var nextWatch = Instant(nanoseconds: 0)
    /// When the engine is told the wall clock's time again.
    private var nextWallTime = Instant(nanoseconds: 0)
    private static let wallTimeInterval = Interval.seconds(1)
    private var configuration: ServerConfiguration
    private let logger = Logger(label: "server")
    private let socket: UDPSocket
    private let engine: ServerEngine
    private let sender = DatagramSender()
    private let vectors = IOVectors(capacity: 64)
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: readSize, alignment: 16)
    private var sockets: [OutboundSocket?] = []
    /// Attempts of flows to names: several of them may have one place in `sockets`, which belongs to the one that wins.
    private var attempts: [OutboundID: OutboundSocket] = [:]
    private let associations: AssociationSockets
    private let names: NameResolver
    /// Only in the loop that hands them to the others.
    var ownAddresses: OwnAddressWatch?
    private var clients: ClientList
    /// The sessions of those who are in the list.
    private var listed: [SessionID: (key: PublicKey, name: String)] = [:]
    /// Decides about those who are not in the list; nil where nobody else may come in.
    private let desk: LoginDesk?
    private var socketHasMore = false
    /// Set when the loop stops: how long the last datagrams may wait for the socket.
    private var stopDeadline: Instant?

    /// - Parameter settings: with this loop's number and its share of the limits.
    init(
        _ configuration: ServerConfiguration, _ settings: ServerSettings, socket: UDPSocket, memory: Int,
        desk: LoginDesk?
    ) throws {
        self.configuration = configuration
        self.desk = desk
        self.socket = socket
        clients = ClientList(configuration.clients)
        loop = try EventLoop()
        engine = ServerEngine(
            settings: settings, pool: BlockPool(byteLimit: memory), random: SystemRandom(), now: MonotonicClock.now)
        associations = try AssociationSockets(engine: engine, loop: loop, dial: configuration.dial)
        names = try NameResolver(
            loop: loop, servers: configuration.names.servers, timeout: configuration.names.timeout)
        names.setSource(configuration.dial)
        associations.flush = { [unowned self] in flush(now: MonotonicClock.now) }
        names.onAnswer = { [unowned self] number, answer in
            engine.resolved(NameQueryID(number: number), NameResult(answer), now: MonotonicClock.now)
        }
        // Writable needs nothing here: every turn flushes.
        try loop.add(
            socket.descriptor, Handler { [unowned self] in if $0 != .writable { readSocket() } }, interest: .readable)
    }

    deinit { input.deallocate() }

    // MARK: - Running

    /// Runs until `stop`, or until it is drained.
    func run() { loop.run { [self] in turn() } }

    private func turn() -> Instant? {
        if socketHasMore { readSocket() }
        associations.readUnfinished()
        let now = MonotonicClock.now
        if nextWallTime <= now {
            nextWallTime = now + Self.wallTimeInterval
            engine.setWallTime(unixSeconds(), now: now)
        }
        if let deadline = engine.nextDeadline, deadline <= now { engine.handleTimeout(now: now) }
        if let deadline = names.nextDeadline, deadline <= now { names.handleTimeout() }
        ownAddresses?.readIfDue(now: now)
        if let onWatch, nextWatch <= now {
            nextWatch = now + Self.watchInterval
            onWatch()
        }
        carryOutActions()
        associations.sendAll(now: now)
        flush(now: now)
        // Sending makes room on streams whose sockets were not read.
        carryOutActions()
        flush(now: now)
        if let moderation = engine.takeModeration() { loop.moderation = moderation }
        if engine.isDrained { stop() }
        if let stopDeadline {
            // The socket may be full, and the clients are still to be told.
            if sender.isBlocked && now < stopDeadline { return stopDeadline }
            if others.load(ordering: .acquiring) == 0 { loop.stop() }
        }
        if socketHasMore || associations.hasUnfinished { return now }
        let deadline = earliest(earliest(engine.nextDeadline, names.nextDeadline), ownAddresses?.nextDeadline)
        return onWatch == nil ? deadline : earliest(deadline, nextWatch)
    }

    /// What the kernel delivers to this machine, which clients are not to dial.
    func setOwnAddresses(_ addresses: PrefixSet) { engine.setOwnAddresses(addresses) }

    /// No new flows are taken, and old ones may go on for a while.
    /// - Returns: false when it had been asked for that before.
    func drain() -> Bool {
        guard !engine.isDraining else { return false }
        engine.drain(grace: configuration.drainTime, reason: "the server stops", now: MonotonicClock.now)
        return true
    }

    func stop() {
        guard stopDeadline == nil else { return }
        let now = MonotonicClock.now
        stopDeadline = now + stopGrace
        engine.stop(now: now)
    }

    /// Takes over what can change while the server runs.
    func reconfigure(_ configuration: ServerConfiguration, _ settings: ServerSettings) {
        self.configuration = configuration
        associations.setSources(configuration.dial)
        names.setSource(configuration.dial)
        engine.reconfigure(settings, now: MonotonicClock.now)
        clients = ClientList(configuration.clients)
        sendStrangersAway()
    }

    /// Ends the sessions of clients that are not in the list any more, or have another name in it: rules go by names.
    private func sendStrangersAway() {
        for (id, client) in listed where clients.name(of: client.key) != client.name {
            engine.kick(id, reason: "the list of clients has changed", now: MonotonicClock.now)
        }
    }

    func replaceIdentity(_ identity: ServerIdentity) { engine.replaceIdentity(identity, now: MonotonicClock.now) }

    private func readSocket() {
        let now = MonotonicClock.now
        socketHasMore = socket.receive(
            { datagram, from, to, ecn in engine.handleDatagram(datagram, from: from, to: to, ecn: ecn, now: now) },
            budget: Self.budget)
    }

    private func flush(now: Instant) {
        sender.send(on: socket, loop: loop, usesLocalAddress: true) { engine.nextBatch(into: $0, now: now) }
    }

    // MARK: - Actions

    private func carryOutActions() {
        while let action = engine.nextAction() {
            switch action {
            case .login(let id, let request): decide(id, request)
            case .loggedOut(let id): listed[id] = nil
            case .dial(let id, let destination): dial(id, destination)
            case .resolve(let id, let name, let family):
                names.ask(name.text, family == .v6 ? .ipv6 : .ipv4, query: id.number)
            case .openDatagramSocket(let id, let isIPv4): associations.open(id, isIPv4: isIPv4, now: MonotonicClock.now)
            case .write(let id): if let outbound = find(id) { write(outbound) }
            case .finishWriting(let id): find(id)?.socket.shutdownWrite()
            case .read(let id): if let outbound = find(id) { read(outbound) }
            case .close(let id, let reset):
                if let outbound = find(id) {
                    close(outbound, reset: reset)
                } else {
                    associations.close(id)
                }
            case .log(let notice): log(notice)
            }
        }
    }

    private func log(_ notice: ServerNotice) {
        switch notice {
        case .connected(let client, let user, let software):
            logger.info(
                "client connected", metadata: ["client": "\(client)", "user": "\(user)", "software": "\(software)"])
        case .loginRefused(let client, let refusal):
            // The desk has lines of its own, with the user's name; of logins that it had no time for there may be many.
            if desk != nil, case .tryLater = refusal {
                logger.debug("login refused", metadata: ["client": "\(client)", "reason": "\(refusal.name)"])
            } else if desk == nil {
                logger.warning("login refused", metadata: ["client": "\(client)", "reason": "\(refusal.name)"])
            }
        case .authenticationFailed(let client):
            logger.warning("authentication failed", metadata: ["client": "\(client)"])
        case .certificateRefused(let client, let name, let reason):
            logger.warning(
                "certificate refused", metadata: ["client": "\(client)", "name": "\(name)", "reason": "\(reason)"])
        case .disconnected(let client, let reason):
            logger.info("client gone", metadata: ["client": "\(client)", "reason": "\(reason)"])
        case .denied(let client, let destination, let transport, let source):
            logger.debug(
                "denied",
                metadata: [
                    "client": "\(client)", "destination": "\(destination)", "protocol": "\(transport.rawValue)",
                    "by": "\(source)",
                ])
        }
    }

    private func decide(_ id: SessionID, _ request: LoginRequest) {
        let decision = clients.decide(request)
        guard case .failure = decision, let desk else { return answer(id, decision, listedKey: request.key) }
        let place = Place(loop: self)
        let mailbox = loop.mailbox
        // An answer that finds the mailbox full is lost, and the engine asks the client to come later.
        desk.ask(request) { decision in mailbox.post { place.loop.answer(id, decision) } }
    }

    /// This loop in the hands of a thread that only passes it on.
    private struct Place: @unchecked Sendable {
        unowned let loop: ServerLoop
    }

    /// - Parameter listedKey: the client's key where it is the list that decided.
    private func answer(
        _ id: SessionID, _ decision: Result<Admission, LoginRefusal>, listedKey: PublicKey? = nil
    ) {
        let now = MonotonicClock.now
        switch decision {
        case .success(let admission):
            if engine.admit(id, admission, now: now), let listedKey { listed[id] = (listedKey, admission.user) }
        case .failure(let refusal): engine.refuse(id, refusal, now: now)
        }
    }

    /// What the login desk wants of the sessions that an account has here.
    func carryOut(_ order: AccountBook.Order) {
        let now = MonotonicClock.now
        switch order.action {
        case .endSessions(let reason): engine.kick(account: order.account, reason: reason, now: now)
        case .judgeFlows: engine.judgeFlows(account: order.account, now: now)
        }
    }

    // MARK: - Dialled sockets

    private func find(_ id: OutboundID) -> OutboundSocket? {
        if id.index < sockets.count, let outbound = sockets[id.index], outbound.id == id { return outbound }
        return id.isAttempt ? attempts[id] : nil
    }

    private func dial(_ id: OutboundID, _ destination: Endpoint) {
        do {
            let source: IPAddress? =
                destination.address.isIPv4
                ? configuration.dial.sourceIPv4.map(IPAddress.v4) : configuration.dial.sourceIPv6.map(IPAddress.v6)
            let socket = try TCPSocket.dial(
                destination, from: source, interface: configuration.dial.interface)
            let outbound = OutboundSocket(id: id, socket: socket, owner: self)
            try loop.add(socket.descriptor, outbound)
            if id.isAttempt { attempts[id] = outbound } else { place(outbound) }
        } catch {
            logger.debug("dial failed", metadata: ["destination": "\(destination)", "error": "\(error)"])
            engine.dialFailed(id, DialFailure(NetworkFailure(errno: error.code)), now: MonotonicClock.now)
        }
    }

    private func place(_ outbound: OutboundSocket) {
        while sockets.count <= outbound.id.index { sockets.append(nil) }
        sockets[outbound.id.index] = outbound
    }

    func dialSucceeded(_ outbound: OutboundSocket) {
        let isTaken = engine.dialSucceeded(outbound.id, bound: outbound.socket.local, now: MonotonicClock.now)
        if isTaken, attempts.removeValue(forKey: outbound.id) != nil { place(outbound) }
    }

    func dialFailed(_ outbound: OutboundSocket, errno: Int32) {
        engine.dialFailed(outbound.id, DialFailure(NetworkFailure(errno: errno)), now: MonotonicClock.now)
    }

    func failed(_ outbound: OutboundSocket) { engine.socketFailed(outbound.id, now: MonotonicClock.now) }

    func read(_ outbound: OutboundSocket) {
        guard outbound.isConnected else { return }
        let now = MonotonicClock.now
        while true {
            let room = engine.roomToRead(outbound.id)
            guard room > 0 else { return }
            switch outbound.socket.read(into: UnsafeMutableRawBufferPointer(rebasing: input[..<min(room, input.count)]))
            {
            case .bytes(let count):
                engine.socketRead(outbound.id, UnsafeRawBufferPointer(rebasing: input[..<count]), now: now)
            case .end: return engine.socketEnded(outbound.id, now: now)
            case .wouldBlock: return
            case .failed: return engine.socketFailed(outbound.id, now: now)
            }
        }
    }

    func write(_ outbound: OutboundSocket) {
        guard outbound.isConnected else { return }
        let now = MonotonicClock.now
        while true {
            vectors.clear()
            engine.pendingRegions(outbound.id) { vectors.add($0) }
            guard vectors.count > 0 else { return }
            switch outbound.socket.write(vectors: vectors.vectors) {
            case .bytes(let count): engine.wrote(outbound.id, count, now: now)
            case .wouldBlock, .end: return
            case .failed: return engine.socketFailed(outbound.id, now: now)
            }
        }
    }

    private func close(_ outbound: OutboundSocket, reset: Bool) {
        loop.remove(outbound.socket.descriptor)
        if attempts.removeValue(forKey: outbound.id) == nil { sockets[outbound.id.index] = nil }
        if reset {
            outbound.socket.reset()
        } else {
            outbound.socket.close()
        }
    }

    // MARK: - Statistics

    var figures: ServerFigures {
        var result = ServerFigures()
        result.counters = engine.counters
        result.datagrams = engine.datagramCounters
        result.dials = engine.dialCounters
        result.names = engine.currentNameCounters
        result.datagramsDroppedForPath = engine.datagramsDroppedForPath
        result.totals = engine.connectionTotals
        result.endpoint = engine.endpointCounters
        result.blocks = engine.pool.outstanding
        engine.forEachConnection { client, statistics in
            if result.connections.count < Self.listedConnections { result.connections.append((client, statistics)) }
        }
        return result
    }
}

extension NameResolver {
    /// Questions go the way that dials go.
    fileprivate func setSource(_ dial: ServerConfiguration.Dial) {
        setSource(ipv4: dial.sourceIPv4, ipv6: dial.sourceIPv6, interface: dial.interface)
    }
}

extension NameResult {
    init(_ answer: NameResolver.Answer) {
        self =
            switch answer {
            case .addresses(let addresses, let lifetime): .addresses(addresses, lifetime: lifetime)
            case .none: .none
            case .failed: .failed
            }
    }
}

extension DialFailure {
    init(_ failure: NetworkFailure) {
        self =
            switch failure {
            case .refused: .refused
            case .networkUnreachable: .networkUnreachable
            case .hostUnreachable: .hostUnreachable
            case .timedOut: .timedOut
            case .notAllowed: .notAllowed
            case .outOfResources: .outOfResources
            case .other: .other
            }
    }
}

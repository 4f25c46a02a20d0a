import LinuxIO
import Logging
import Primitives
import QuicTransport
import Sealing
import Server

/// The running server: a server engine between a UDP socket and the sockets that it dials.
final class ServerProgram {
    /// Datagrams taken from the socket before the dialled sockets get their turn.
    private static let budget = 256
    /// Connections that one line of statistics is followed by.
    private static let listedConnections = 100
    /// Bytes read from a dialled socket at once.
    private static let readSize = 64 << 10

    private let configuration: ServerConfiguration
    private let logger = Logger(label: "server")
    private let loop: EventLoop
    private let socket: UDPSocket
    private let engine: ServerEngine
    private let sender = DatagramSender()
    private let vectors = IOVectors(capacity: 64)
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: readSize, alignment: 16)
    private let pin: [UInt8]
    private var sockets: [OutboundSocket?] = []
    private let associations: AssociationSockets
    private var socketHasMore = false
    /// Set when the server stops: how long the last datagrams may wait for the socket.
    private var stopDeadline: Instant?

    /// - Parameter qlog: the folder for qlogs, if any are wanted.
    init(_ configuration: ServerConfiguration, qlog: String? = nil) throws {
        self.configuration = configuration
        var settings: ServerSettings
        do {
            let identity = try ServerIdentity(
                certificateChainPEM: configuration.certificate.contents,
                privateKeyPEM: configuration.privateKey.contents)
            pin = identity.pin
            settings = try Self.settings(configuration, identity)
            settings.transport.qlog = qlogMaker(qlog, side: "server")
            raiseDescriptorLimit()
            loop = try EventLoop()
            socket = try UDPSocket(bind: configuration.listen, offload: configuration.quic.offload.offload)
        } catch {
            throw RunError("\(error)")
        }
        engine = ServerEngine(
            settings: settings, pool: BlockPool(byteLimit: configuration.limits.memory), random: SystemRandom(),
            now: MonotonicClock.now)
        do {
            associations = try AssociationSockets(
                engine: engine, loop: loop, sourceIPv4: configuration.dial.sourceIPv4,
                sourceIPv6: configuration.dial.sourceIPv6)
        } catch {
            throw RunError("\(error)")
        }
        associations.flush = { [unowned self] in flush(now: MonotonicClock.now) }
    }

    deinit { input.deallocate() }

    private static func settings(
        _ configuration: ServerConfiguration, _ identity: ServerIdentity
    ) throws(RunError) -> ServerSettings {
        // Without a place to keep a secret, the private key stands in, which is secret, too.
        let secret =
            if let directory = configuration.stateDirectory { try ServerSecret.load(directory: directory) } else {
                configuration.privateKey.contents
            }
        var settings = ServerSettings(
            identity: identity, key: configuration.key.preSharedKey, resetKey: DerivedSecret.resetKey(from: secret))
        settings.tokenSecret = DerivedSecret.tokenSecret(from: secret)
        settings.cipher = configuration.cipher.cipher
        settings.software = "penstock \(penstockVersion)"
        settings.policy = DialPolicy(allow: configuration.dial.allow, deny: configuration.dial.deny)
        settings.maximumConnections = configuration.limits.connections
        settings.maximumFlowsPerConnection = configuration.limits.flowsPerConnection
        settings.dialTimeout = configuration.dial.timeout
        settings.maximumAssociations = configuration.limits.associations
        settings.maximumAssociationsPerConnection = configuration.limits.associationsPerConnection
        settings.associationTimeout = configuration.udp.idleTimeout
        settings.nameLookupTimeout = configuration.udp.nameLookupTimeout
        settings.alwaysRetry = configuration.alwaysRetry
        configuration.quic.apply(to: &settings.transport)
        return settings
    }

    // MARK: - Running

    func run() throws {
        do {
            try loop.onSignal([Signals.interrupt]) { [unowned self] _ in stop() }
            try loop.onSignal([Signals.terminate]) { [unowned self] _ in drain() }
            try loop.onSignal([Signals.user1]) { [unowned self] _ in logStatistics() }
            // Writable needs nothing here: every turn flushes.
            try loop.add(
                socket.descriptor, Handler { [unowned self] in if $0 != .writable { readSocket() } },
                interest: .readable)
        } catch {
            throw RunError("\(error)")
        }
        logger.info(
            "listening",
            metadata: [
                "address": "\(configuration.listen)", "pin": "\(pinText(pin))",
                "offload": "\(socket.usesSegmentation ? "on" : "off")",
            ])
        for warning in socketBufferWarnings(socket) { logger.warning("\(warning)") }
        loop.run { [self] in turn() }
        logStatistics()
        logger.info("stopped")
    }

    private func turn() -> Instant? {
        if socketHasMore { readSocket() }
        associations.readUnfinished()
        let now = MonotonicClock.now
        if let deadline = engine.nextDeadline, deadline <= now { engine.handleTimeout(now: now) }
        carryOutActions()
        associations.sendAll(now: now)
        flush(now: now)
        // Sending makes room on streams whose sockets were not read.
        carryOutActions()
        flush(now: now)
        if engine.isDrained { stop() }
        if let stopDeadline {
            // The socket may be full, and the clients are still to be told.
            if sender.isBlocked && now < stopDeadline { return stopDeadline }
            loop.stop()
        }
        return socketHasMore || associations.hasUnfinished ? now : engine.nextDeadline
    }

    /// The first time, flows may go on for a while; the second time ends them.
    private func drain() {
        guard configuration.drainTime > .zero, !engine.isDraining else { return stop() }
        logger.info("draining", metadata: ["flows": "\(engine.counters.flowsOpen)"])
        engine.drain(grace: configuration.drainTime, reason: "the server stops", now: MonotonicClock.now)
    }

    private func stop() {
        guard stopDeadline == nil else { return }
        let now = MonotonicClock.now
        stopDeadline = now + stopGrace
        logger.info("stopping")
        engine.stop(now: now)
    }

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
            case .dial(let id, let destination): dial(id, destination)
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
        case .connected(let client, let software):
            logger.info("client connected", metadata: ["client": "\(client)", "software": "\(software)"])
        case .authenticationFailed(let client):
            logger.warning("authentication failed", metadata: ["client": "\(client)"])
        case .disconnected(let client, let reason):
            logger.info("client gone", metadata: ["client": "\(client)", "reason": "\(reason)"])
        }
    }

    // MARK: - Dialled sockets

    private func find(_ id: OutboundID) -> OutboundSocket? {
        guard id.index < sockets.count, let outbound = sockets[id.index], outbound.id == id else { return nil }
        return outbound
    }

    private func dial(_ id: OutboundID, _ destination: Endpoint) {
        do {
            let source: IPAddress? =
                destination.address.isIPv4
                ? configuration.dial.sourceIPv4.map(IPAddress.v4) : configuration.dial.sourceIPv6.map(IPAddress.v6)
            let socket = try TCPSocket.dial(destination, from: source)
            let outbound = OutboundSocket(id: id, socket: socket, program: self)
            while sockets.count <= id.index { sockets.append(nil) }
            sockets[id.index] = outbound
            try loop.add(socket.descriptor, outbound)
        } catch {
            logger.debug("dial failed", metadata: ["destination": "\(destination)", "error": "\(error)"])
            engine.dialFailed(id, DialFailure(NetworkFailure(errno: error.code)), now: MonotonicClock.now)
        }
    }

    func dialSucceeded(_ outbound: OutboundSocket) {
        engine.dialSucceeded(outbound.id, bound: outbound.socket.local, now: MonotonicClock.now)
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
        sockets[outbound.id.index] = nil
        if reset {
            outbound.socket.reset()
        } else {
            outbound.socket.close()
        }
    }

    // MARK: - Statistics

    private func logStatistics() {
        let counters = engine.counters
        let datagrams = engine.datagramCounters
        let totals = engine.connectionTotals
        let endpoint = engine.endpointCounters
        logger.info(
            "statistics",
            metadata: [
                "migrations": "\(totals.migrations)", "paths_failed": "\(totals.pathsFailed)",
                "key_updates": "\(totals.keyUpdates)", "tokens_given": "\(totals.tokensGiven)",
                "tokens_known": "\(endpoint.knownTokens)", "retries_sent": "\(endpoint.retriesSent)",
                "resets_sent": "\(endpoint.statelessResetsSent)", "refused": "\(endpoint.refused)",
                "rare_frames": "\(totals.rareFramesReceived)", "library_bytes": "\(totals.libraryMemory)",
                "quic_lost": "\(totals.lostPackets)", "flows_abandoned": "\(counters.flowsAbandoned)",
                "connections_open": "\(counters.connectionsOpen)",
                "connections_accepted": "\(counters.connectionsAccepted)",
                "authentication_failures": "\(counters.authenticationFailures)",
                "flows_open": "\(counters.flowsOpen)", "flows_opened": "\(counters.flowsOpened)",
                "dials": "\(counters.dials)", "dials_succeeded": "\(counters.dialsSucceeded)",
                "dials_failed": "\(counters.dialsFailed)", "dials_denied": "\(counters.dialsDenied)",
                "flows_reset": "\(counters.flowsReset)", "bytes_sealed": "\(counters.bytesSealed)",
                "bytes_opened": "\(counters.bytesOpened)", "sealing_failures": "\(counters.sealingFailures)",
                "blocks": "\(engine.pool.outstanding)",
                "associations_open": "\(datagrams.associationsOpen)",
                "associations_opened": "\(datagrams.associationsOpened)",
                "associations_expired": "\(datagrams.associationsExpired)",
                "associations_refused": "\(datagrams.associationsRefusedByLimit)",
                "datagrams_sent": "\(datagrams.sent)", "datagrams_received": "\(datagrams.received)",
                "datagrams_streamed": "\(datagrams.streamed)", "datagrams_denied": "\(datagrams.denied)",
                "datagrams_failed": "\(datagrams.failures)",
                "datagrams_dropped":
                    "\(datagrams.droppedForOutbox + datagrams.droppedForStream + engine.datagramsDroppedForPath)",
                "datagrams_without_association": "\(datagrams.withoutAssociation)",
                "datagrams_unsealable": "\(datagrams.unsealable)", "datagrams_replayed": "\(datagrams.replayed)",
            ])
        var shown = 0
        engine.forEachConnection { client, statistics in
            shown += 1
            guard shown <= Self.listedConnections else { return }
            logger.info("connection", metadata: ["client": "\(client)", "figures": "\(statistics)"])
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

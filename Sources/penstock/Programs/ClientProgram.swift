import ArgumentParser
import Client
import Configuration
import FlowNAT
import LinuxIO
import Logging
import Packets
import Primitives
import QuicTransport

/// The running client: a client engine between a TUN device and a UDP socket.
final class ClientProgram {
    /// Datagrams taken from the socket before the others get their turn.
    private static let budget = 256
    /// Bytes taken from the TUN before what they became leaves: a small request behind them waits for no more than that.
    private static let tunBudget = 256 << 10
    /// What a small packet counts for: its headers cost as much as a kilobyte of payload.
    private static let smallestCharge = 1_024
    /// Packets that may wait in the TUN device. The kernel's 500 are 12 ms of 400 Mbit/s in datagrams of 1 200 bytes; a client
    /// that shares its processor is away for longer at times, and empties the queue at once when it is back.
    private static let tunQueueLength = 4_096
    /// Flows that one listing shows. It is written at once, and nothing else is done meanwhile.
    private static let listedFlows = 1_000

    private var configuration: ClientConfiguration
    /// What SIGHUP does.
    var reloading: Reloading<ClientConfiguration>?
    private let logger = Logger(label: "client")
    private let loop: EventLoop
    private let tun: TunDevice
    private let routing: ClientRouting
    private let engine: ClientEngine
    private let locator: ServerLocator
    private let sender = DatagramSender()
    private let packet = PacketBuffer()
    private let vectors = IOVectors(capacity: PacketBuffer.maximumRegions + 1)
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: TunDevice.maximumPacket, alignment: 16)
    private let sockets: ServerSockets
    private var uplink: UplinkWatch?
    private var remote: Endpoint?
    private var tunHasMore = false
    private var socketHasMore = false
    private var hasRoutes = false
    private var hasCheckedBuffers = false
    /// Set when the client stops: how long the last datagrams may wait for the socket.
    private var stopDeadline: Instant?
    /// Why the client stops, when nobody asked for it.
    private var failure: RunError?

    /// - Parameter qlog: the folder for qlogs, if any are wanted.
    init(_ configuration: ClientConfiguration, qlog: String? = nil) throws {
        self.configuration = configuration
        do {
            raiseDescriptorLimit()
            loop = try EventLoop()
            tun = try TunDevice(name: configuration.tun.name, offload: configuration.tun.offload == .auto)
            routing = try Self.prepare(tun, configuration)
            locator = ServerLocator(server: configuration.server, loop: loop)
        } catch {
            throw RunError("\(error)")
        }
        sockets = ServerSockets(loop: loop) { (local) throws(SystemError) in
            try UDPSocket(
                bind: local, mark: configuration.routes.mark, offload: configuration.quic.offload.offload)
        }
        let pool = BlockPool(byteLimit: configuration.limits.memory)
        var settings = Self.settings(configuration, tun.offload)
        settings.transport.qlog = qlogMaker(qlog, side: "client")
        engine = ClientEngine(
            settings: settings, pool: pool, random: SystemRandom(), now: MonotonicClock.now)
    }

    deinit { input.deallocate() }

    private static func prepare(_ tun: TunDevice, _ configuration: ClientConfiguration) throws -> ClientRouting {
        let netlink = try Netlink()
        let index = try netlink.interfaceIndex(tun.name)
        for address in configuration.tun.addresses where address.address.isIPv4 || ipv6IsAvailable() {
            try netlink.addAddress(address.address, prefixLength: address.prefixLength, index: index)
        }
        try netlink.setUp(index, mtu: configuration.tun.mtu, queueLength: Self.tunQueueLength)
        let routes = configuration.routes
        return try ClientRouting(
            netlink: netlink, interface: index, capture: routes.capture, exclude: routes.exclude, table: routes.table,
            mark: routes.mark, rulePriority: routes.priority)
    }

    private static func settings(
        _ configuration: ClientConfiguration, _ offload: TunOffload
    ) -> ClientSettings {
        let trust: ServerTrust =
            switch configuration.trust {
            case .authority(let file): .authorities(pem: file.contents, serverName: configuration.serverName)
            case .pin(let digest): .pinnedKey(sha256: digest)
            }
        var settings = ClientSettings(
            trust: trust, serverKey: configuration.serverKey, keyPair: configuration.keyPair)
        settings.identity = configuration.identity
        settings.user = configuration.login
        settings.rekeyInterval = configuration.rekey.interval
        settings.rekeyBytes = UInt64(configuration.rekey.bytes)
        settings.cipher = configuration.cipher.cipher
        settings.software = "penstock \(penstockVersion)"
        settings.flows.maximumFlows = configuration.limits.flows
        settings.flows.mtu = configuration.tun.mtu
        settings.flows.offload = offload.contains(.tso4)
        settings.flows.udpOffload = offload.contains(.uso4)
        settings.flows.maximumAssociations = configuration.limits.associations
        settings.flows.maximumAssociationsPerSource = configuration.limits.associations
        // As much as one reading of the socket brings.
        settings.flows.maximumQueuedDatagrams = 4_096
        settings.flows.maximumQueuedDatagramBytes = 1 << 20
        settings.firstReconnectDelay = configuration.reconnect.firstDelay
        settings.maximumReconnectDelay = configuration.reconnect.maximumDelay
        configuration.quic.apply(to: &settings.transport)
        settings.transport.keepAlive = configuration.quic.keepAlive
        return settings
    }

    // MARK: - Running

    func run() throws {
        do {
            try loop.onSignal([Signals.interrupt, Signals.terminate]) { [unowned self] _ in stop() }
            try loop.onSignal([Signals.user1]) { [unowned self] _ in logStatistics() }
            try loop.onSignal([Signals.hangup]) { [unowned self] _ in reload() }
            try loop.onSignal([Signals.user2]) { [unowned self] _ in logFlows() }
            sockets.onReadable = { [unowned self] in readSockets() }
            uplink = try UplinkWatch(loop: loop, mark: configuration.routes.mark) { [unowned self] in uplinkChanged($0)
            }
            try loop.add(tun.descriptor, Handler { [unowned self] _ in readTun() }, interest: .readable)
        } catch {
            throw RunError("\(error)")
        }
        logger.info(
            "ready", metadata: ["tun": "\(tun.name)", "server": "\(configuration.server)", "offload": "\(offloads)"])
        for interface in strictReversePathFilter(["all", "default"]) {
            logger.warning(
                "strict reverse path filtering drops the server's answers; set net.ipv4.conf.\(interface).rp_filter to 2"
            )
        }
        loop.run { [self] in turn() }
        logStatistics()
        do {
            try routing.remove()
        } catch {
            logger.error("routes and rules were not all removed: \(error)")
        }
        logger.info("stopped")
        if let failure { throw failure }
    }

    private var offloads: String { tun.offload.contains(.tso4) ? "on" : "off" }

    /// Everything that is to be done before the loop may sleep; answers when it must wake.
    private func turn() -> Instant? {
        if tunHasMore { readTun() }
        if socketHasMore { readSockets() }
        let now = MonotonicClock.now
        if let deadline = engine.nextDeadline, deadline <= now { engine.handleTimeout(now: now) }
        sockets.expire(now: now)
        carryOutEvents()
        writeTun(now: now)
        flushSocket(now: now)
        // Sending reopens windows, which makes more packets for the TUN.
        writeTun(now: now)
        carryOutEvents()
        if let stopDeadline {
            // The socket may be full, and the server is still to be told.
            if sender.isBlocked && now < stopDeadline { return stopDeadline }
            loop.stop()
        }
        loop.moderation = engine.moderation
        if tunHasMore || socketHasMore { return now }
        return earliest(engine.nextDeadline, sockets.nextDeadline)
    }

    private func stop() {
        guard stopDeadline == nil else { return }
        let now = MonotonicClock.now
        stopDeadline = now + stopGrace
        logger.info("stopping")
        engine.stop(now: now)
    }

    private func reload() {
        guard let reloading else {
            return logger.notice("nothing to reload: this client runs by a link, without a file")
        }
        reloading.reload(logger) { new in
            let settings = Self.settings(new, tun.offload)
            try routing.change(capture: new.routes.capture, exclude: new.routes.exclude)
            engine.reconfigure(settings)
            configuration.routes = new.routes
        }
    }

    // MARK: - TUN

    private func readTun() {
        tunHasMore = false
        let now = MonotonicClock.now
        do {
            var left = Self.tunBudget
            while left > 0 {
                guard let (count, header) = try tun.read(into: input) else { return }
                engine.handlePacket(UnsafeRawBufferPointer(rebasing: input[..<count]), offload: header, now: now)
                left -= max(count, Self.smallestCharge)
                if engine.datagramsAreMany { flushSocket(now: now) }
            }
            tunHasMore = true
        } catch {
            // The device is gone: somebody deleted it.
            loop.remove(tun.descriptor)
            failure = RunError("the TUN device \(tun.name) cannot be read any more: \(error)")
            stop()
        }
    }

    private func writeTun(now: Instant) {
        while engine.nextPacket(into: packet, now: now) {
            vectors.clear()
            _ = vectors.add(packet.headBytes)
            for region in packet.regions { _ = vectors.add(region) }
            // What the device does not take is lost as on any link; TCP sends it again.
            _ = tun.write(header: packet.offload, vectors: vectors.vectors)
        }
    }

    // MARK: - The server

    private func readSockets() {
        let now = MonotonicClock.now
        socketHasMore = sockets.receive(budget: Self.budget) { datagram, from, to, ecn in
            engine.handleDatagram(datagram, from: from, to: to, ecn: ecn, now: now)
        }
    }

    private func flushSocket(now: Instant) {
        guard let socket = sockets.current else { return }
        sender.send(on: socket, loop: loop, usesLocalAddress: false) { engine.nextBatch(into: $0, now: now) }
        if let error = sender.takeError() { engine.sendFailed(error, now: now) }
    }

    private func carryOutEvents() {
        while let event = engine.nextEvent() {
            switch event {
            case .connectionWanted:
                connect()
            case .connected(let software):
                locator.connected()
                logger.info("connected", metadata: ["server": "\(configuration.server)", "software": "\(software)"])
                releaseProgramPages()
            case .moved:
                sockets.forgetFormer()
                logger.info("moved", metadata: ["to": "\(uplink?.route?.text ?? "?")"])
            case .anotherSocketWanted:
                move(now: MonotonicClock.now)
            case .disconnected(let reason, let delay):
                locator.cancel()
                logger.error("no tunnel: \(reason)", metadata: ["next-attempt-in": "\(milliseconds(delay))"])
            case .notice(let text):
                logger.notice("\(text)")
            }
        }
    }

    private func milliseconds(_ delay: Interval) -> String { "\(delay.nanoseconds / 1_000_000)ms" }

    private func connect() {
        locator.next { [unowned self] result in
            switch result {
            case .success(let remote):
                if installRoutes() { connect(to: remote) }
            case .failure(let error):
                engine.connectFailed("\(error)", now: MonotonicClock.now)
            }
        }
    }

    /// Leads traffic into the tunnel, once. Not before the server's name was looked up: the tunnel would take the
    /// question, and is not there yet to carry it.
    private func installRoutes() -> Bool {
        guard !hasRoutes else { return true }
        do {
            try routing.install()
            hasRoutes = true
            return true
        } catch {
            failure = RunError("\(error)")
            stop()
            return false
        }
    }

    private func connect(to remote: Endpoint) {
        let now = MonotonicClock.now
        sender.clear()
        socketHasMore = false
        self.remote = remote
        uplink?.follow(remote.address, others: locator.addresses)
        do {
            let socket = try sockets.replace(from: source(towards: remote))
            if !hasCheckedBuffers {
                hasCheckedBuffers = true
                for warning in socketBufferWarnings(socket) { logger.warning("\(warning)") }
            }
            logger.debug("connecting", metadata: ["to": "\(remote)"])
            engine.connect(to: remote, local: socket.local, isLastAddress: locator.isExhausted, now: now)
        } catch {
            engine.connectFailed("\(error)", isLastAddress: locator.isExhausted, now: now)
        }
    }

    /// The network below has changed: the connection goes on over a socket of its own there.
    private func uplinkChanged(_ change: UplinkWatch.Change) {
        guard let remote, stopDeadline == nil else { return }
        let now = MonotonicClock.now
        switch change {
        case .moved(let route):
            logger.info("the network has changed", metadata: ["way": "\(route.text)"])
            move(now: now)
        case .onlyElsewhere:
            engine.abandonPath("the server's address \(remote.address) cannot be reached any more", now: now)
        }
    }

    private func move(now: Instant) {
        guard let remote else { return }
        do {
            // What waits in the full socket is lost, as it would be on the former path.
            sender.clear()
            let socket = try sockets.move(to: source(towards: remote), now: now)
            engine.migrate(to: socket.local, now: now)
        } catch {
            engine.abandonPath("\(error)", now: now)
        }
    }

    /// The address that packets leave from. Not a wildcard where it is known: then the kernel would use the address of another
    /// network as soon as it routes there, which the server takes for a move of its own.
    private func source(towards remote: Endpoint) -> IPAddress {
        if let source = uplink?.route?.source { return source }
        return remote.address.isIPv4 ? .v4(IPv4Address(0)) : .v6(IPv6Address(high: 0, low: 0))
    }

    // MARK: - Statistics

    private func logStatistics() {
        let counters = engine.counters
        let flows = engine.flowCounters
        let datagrams = engine.datagramCounters
        let connection = engine.connectionStatistics
        logger.info(
            "statistics",
            metadata: [
                "flows_open": "\(counters.flowsOpen)", "flows_opened": "\(counters.flowsOpened)",
                "flows_connected": "\(counters.flowsConnected)", "flows_refused": "\(counters.flowsRefused)",
                "flows_reset": "\(counters.flowsReset)", "streams_opened": "\(counters.streamsOpened)",
                "bytes_sealed": "\(counters.bytesSealed)", "bytes_opened": "\(counters.bytesOpened)",
                "sealing_failures": "\(counters.sealingFailures)", "connects": "\(counters.connects)",
                "logins_refused": "\(counters.loginsRefused)", "rekeys": "\(counters.rekeys)",
                "dropped_without_tunnel": "\(counters.droppedWithoutTunnel)",
                "packets_in": "\(flows.packetsIn)", "packets_out": "\(flows.packetsOut)",
                "retransmissions": "\(flows.retransmissions)", "out_of_order": "\(flows.outOfOrder)",
                "unsupported": "\(flows.unsupportedProtocol)", "blocks": "\(engine.pool.outstanding)",
                "rtt_us": "\((connection?.smoothedRTT.nanoseconds ?? 0) / 1_000)",
                "quic_lost": "\(connection?.lostPackets ?? 0)", "migrations": "\(connection?.migrations ?? 0)",
                "black_holes": "\(connection?.blackHoles ?? 0)",
                "key_updates": "\(connection?.keyUpdates ?? 0)",
                "associations_open": "\(engine.associationCount)",
                "associations_opened": "\(datagrams.associationsOpened)",
                "associations_refused": "\(datagrams.associationsRefused)",
                "datagrams_sent": "\(datagrams.sent)", "datagrams_streamed": "\(datagrams.streamed)",
                "datagrams_received": "\(datagrams.received)", "datagrams_failed": "\(datagrams.failures)",
                "datagrams_dropped":
                    "\(datagrams.droppedForStream + (connection?.datagramsDropped ?? 0) + flows.datagramsDropped)",
                "datagrams_without_tunnel": "\(datagrams.droppedWithoutTunnel)",
                "datagrams_unsealable": "\(datagrams.unsealable)", "datagrams_replayed": "\(datagrams.replayed)",
            ])
        if let connection { logger.info("connection", metadata: ["figures": "\(connection)"]) }
    }

    /// A line for each flow, for each UDP association, for each counter of FlowNAT that is not zero, and for each gauge.
    private func logFlows() {
        var shown = 0
        engine.forEachFlow(now: MonotonicClock.now) { flow in
            if shown < Self.listedFlows { logger.info("flow \(flow)") }
            shown += 1
        }
        engine.forEachAssociation(now: MonotonicClock.now) { association in
            if shown < Self.listedFlows { logger.info("flow \(association)") }
            shown += 1
        }
        if shown > Self.listedFlows { logger.info("flows not shown: \(shown - Self.listedFlows)") }
        for counter in engine.flowCounters.list where counter.value != 0 {
            logger.info("counter \(counter.name) \(counter.value)")
        }
        for gauge in engine.flowGauges.list { logger.info("gauge \(gauge.name) \(gauge.value)") }
    }
}

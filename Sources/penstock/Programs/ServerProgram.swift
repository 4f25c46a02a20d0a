import Configuration
import LinuxIO
import Logging
import Primitives
import QuicTransport
import Sealing
import Server
import Synchronization
import UserStore

extension Mailbox.Topic {
    fileprivate static let settings = Self(1)
    fileprivate static let identity = Self(2)
    fileprivate static let ownAddresses = Self(3)
    fileprivate static let drain = Self(4)
    fileprivate static let stop = Self(5)
    fileprivate static let ended = Self(6)
    fileprivate static let figures = Self(7)
}

/// The running server: as many loops as the configuration says, each with a thread, a socket of the same port, and an
/// engine of its own. They share nothing; the kernel takes each datagram to the loop that its connection ID names.
final class ServerProgram {
    /// A loop in the hands of its own thread: the others only post jobs to it.
    private struct Remote: @unchecked Sendable {
        private let loop: ServerLoop
        private let mailbox: Mailbox

        init(_ loop: ServerLoop) {
            self.loop = loop
            mailbox = loop.loop.mailbox
        }

        /// - Returns: false when the loop has as many jobs as may wait.
        func post(_ job: @escaping @Sendable (ServerLoop) -> Void) -> Bool { mailbox.post { [self] in job(loop) } }

        /// Never lost: a newer job of the same topic says all that the former one said.
        func post(_ topic: Mailbox.Topic, _ job: @escaping @Sendable (ServerLoop) -> Void) {
            mailbox.post(newest: { [self] in job(loop) }, of: topic)
        }

        func noteEnded() {
            loop.others.wrappingSubtract(1, ordering: .releasing)
            // Wakes it, so that it looks.
            post(.ended) { _ in }
        }

        func run() { loop.run() }
    }

    private var configuration: ServerConfiguration
    /// What SIGHUP does.
    var reloading: Reloading<ServerConfiguration>?
    /// The revocation list as it was last read.
    private var revocationStamp: FileStatus?
    private let logger = Logger(label: "server")
    private let pin: [UInt8]
    private let secret: [UInt8]
    private let sockets: [UDPSocket]
    /// The first one runs on the main thread and takes the signals.
    private let loops: [ServerLoop]
    /// Where clients log in that the configuration does not list; nil without a database of users.
    private let desk: LoginDesk?
    private var isStopping = false

    /// - Parameter qlog: the folder for qlogs, if any are wanted.
    init(_ configuration: ServerConfiguration, qlog: String? = nil) throws {
        self.configuration = configuration
        do {
            revocationStamp = configuration.clientCertificates.revocationFile.flatMap { FileStatus(path: $0) }
            let identity = configuration.identity
            pin = identity.pin
            // Without a place to keep a secret, one that hangs on the private key stands in.
            secret =
                if let directory = configuration.stateDirectory { try ServerSecret.load(directory: directory) } else {
                    configuration.machineSecret
                }
            let count = configuration.loops ?? processorCount
            var settings = Self.settings(configuration, identity, secret: secret, loops: count)
            raiseDescriptorLimit()
            sockets = try UDPSocket.steered(
                bind: configuration.listen, count: count, offload: configuration.quic.offload.offload)
            let desk = try configuration.users.map { try LoginDesk($0) }
            self.desk = desk
            loops = try sockets.enumerated().map { index, socket in
                settings.loop = UInt8(index)
                // Each loop has its own: it is for one thread.
                settings.transport.qlog = qlogMaker(qlog, side: "server")
                return try ServerLoop(
                    configuration, settings, socket: socket, memory: configuration.limits.memory / count, desk: desk)
            }
        } catch let error as RunError {
            throw error
        } catch {
            throw RunError("\(error)")
        }
    }

    private static func settings(
        _ configuration: ServerConfiguration, _ identity: ServerIdentity, secret: [UInt8], loops: Int
    ) -> ServerSettings {
        var settings = ServerSettings(
            identity: identity, keyPair: configuration.key, resetKey: DerivedSecret.resetKey(from: secret))
        settings.tokenSecret = DerivedSecret.tokenSecret(from: secret)
        settings.ciphers = configuration.ciphers.map(\.cipher)
        settings.software = "penstock \(penstockVersion)"
        settings.policy = DialPolicy(
            allow: configuration.dial.allow, deny: configuration.dial.deny, rules: configuration.dial.rules)
        configuration.names.apply(to: &settings.names)
        settings.maximumFlowsPerConnection = configuration.limits.flowsPerConnection
        settings.dialTimeout = configuration.dial.timeout
        settings.maximumAssociationsPerConnection = configuration.limits.associationsPerConnection
        settings.associationTimeout = configuration.udp.idleTimeout
        settings.nameLookupTimeout = configuration.udp.nameLookupTimeout
        settings.alwaysRetry = configuration.alwaysRetry
        configuration.quic.apply(to: &settings.transport)
        settings.maximumConnections = configuration.limits.connections
        settings.maximumAssociations = configuration.limits.associations
        settings.share(among: loops)
        return settings
    }

    // MARK: - Running

    func run() throws {
        let first = loops[0]
        let others = loops.dropFirst().map(Remote.init)
        var threads: [LoopThread] = []
        do {
            try first.loop.onSignal([Signals.interrupt]) { [unowned self] _ in stop(others) }
            try first.loop.onSignal([Signals.terminate]) { [unowned self] _ in drain(others) }
            try first.loop.onSignal([Signals.user1]) { [unowned self] _ in logStatistics(others) }
            try first.loop.onSignal([Signals.hangup]) { [unowned self] _ in reload(others) }
            first.onWatch = { [unowned self] in checkRevocations(others) }
            first.others.store(others.count, ordering: .relaxed)
            let main = Remote(first)
            // Before the first client can ask for anything.
            first.ownAddresses = try OwnAddressWatch(loop: first.loop) { addresses in
                first.setOwnAddresses(addresses)
                for other in others { other.post(.ownAddresses) { $0.setOwnAddresses(addresses) } }
            }
            let all = [main] + others
            try desk?.start(loops: all.map { loop in { order in loop.post { $0.carryOut(order) } } })
            desk?.check(configuration.clients)
            for (index, other) in others.enumerated() {
                let thread = try LoopThread(name: "penstock-\(index + 1)") {
                    other.run()
                    main.noteEnded()
                }
                threads.append(thread)
            }
        } catch {
            throw RunError("\(error)")
        }
        logger.info(
            "listening",
            metadata: [
                "address": "\(configuration.listen)", "pin": "\(pinText(pin))", "loops": "\(loops.count)",
                "offload": "\(sockets[0].usesSegmentation ? "on" : "off")",
            ])
        for warning in socketBufferWarnings(sockets[0]) { logger.warning("\(warning)") }
        releaseProgramPages()
        first.run()
        for thread in threads { thread.join() }
        desk?.stop()
        var figures = ServerFigures()
        for loop in loops { figures.add(loop.figures) }
        figures.log(to: logger)
        logger.info("stopped")
    }

    /// The first time, flows may go on for a while; the second time ends them.
    private func drain(_ others: [Remote]) {
        guard configuration.drainTime > .zero, loops[0].drain() else { return stop(others) }
        logger.info("draining", metadata: ["flows": "\(loops[0].figures.counters.flowsOpen)"])
        for other in others { other.post(.drain) { _ = $0.drain() } }
    }

    private func stop(_ others: [Remote]) {
        guard !isStopping else { return }
        isStopping = true
        logger.info("stopping")
        loops[0].stop()
        for other in others { other.post(.stop) { $0.stop() } }
    }

    // MARK: - Changes

    private func reload(_ others: [Remote]) {
        reloading?.reload(logger) { new in
            let settings = Self.settings(new, new.identity, secret: secret, loops: loops.count)
            configuration = new
            desk?.check(new.clients)
            loops[0].reconfigure(new, settings)
            for other in others { other.post(.settings) { $0.reconfigure(new, settings) } }
        }
    }

    /// Reads the revocation list anew when its file was changed. A list that cannot be used changes nothing.
    private func checkRevocations(_ others: [Remote]) {
        guard let path = configuration.clientCertificates.revocationFile else { return }
        let stamp = FileStatus(path: path)
        guard stamp != revocationStamp else { return }
        revocationStamp = stamp
        do {
            let identity = try configuration.identity.replacingRevocations(readFile(path, limit: 1 << 20))
            configuration.identity = identity
            loops[0].replaceIdentity(identity)
            for other in others { other.post(.identity) { $0.replaceIdentity(identity) } }
            logger.notice("revocation list read", metadata: ["file": "\(path)"])
        } catch {
            logger.error("the revocation list was not read, and the former one stays: \(path): \(error)")
        }
    }

    // MARK: - Statistics

    /// Asks the other loops one after the other, then writes the sum.
    private func logStatistics(_ others: [Remote]) {
        desk?.logFigures()
        Self.collect(Remote(loops[0]), others, loops[0].figures, logger)
    }

    private static func collect(
        _ main: Remote, _ others: [Remote], _ figures: ServerFigures, _ logger: Logger
    ) {
        guard let next = others.first else { return figures.log(to: logger) }
        let rest = Array(others.dropFirst())
        next.post(.figures) { loop in
            var sum = figures
            sum.add(loop.figures)
            let known = sum
            main.post(.figures) { _ in collect(main, rest, known, logger) }
        }
    }
}

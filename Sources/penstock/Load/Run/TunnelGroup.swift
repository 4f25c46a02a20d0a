import Configuration
import LinuxIO
import Load
import Logging
import Primitives
import QuicTransport

/// The links of a run that speaks the tunnel's protocol: brings them up, keeps them moving, and says when one is lost.
final class TunnelGroup {
    enum State {
        case connecting
        case ready(TunnelCarrier)
        case lost(String)
    }

    private(set) var state = State.connecting
    private let configuration: ClientConfiguration
    private let count: Int
    /// Flows that the run has open at once.
    private let flows: Int
    private let loop: EventLoop
    private let locator: ServerLocator
    private let pool: BlockPool
    private let logger = Logger(label: "load")
    private var sockets: [TunnelSocket] = []
    /// Addresses of the server that were given up.
    private var attempt = 0

    init(_ configuration: ClientConfiguration, count: Int, flows: Int, loop: EventLoop) {
        self.configuration = configuration
        self.count = count
        self.flows = flows
        self.loop = loop
        locator = ServerLocator(server: configuration.server, loop: loop)
        pool = BlockPool(byteLimit: configuration.limits.memory)
    }

    func start() {
        locator.next { [unowned self] result in
            switch result {
            case .success(let remote): connect(to: remote)
            case .failure(let error): state = .lost("\(error)")
            }
        }
    }

    private func connect(to remote: Endpoint) {
        let now = MonotonicClock.now
        do {
            let settings = settings()
            sockets = try (0..<count).map { _ in
                try TunnelSocket(
                    to: remote, mark: configuration.routes.mark, offload: configuration.quic.offload.offload,
                    settings: settings, pool: pool, loop: loop, now: now)
            }
            for socket in sockets { try socket.watch() }
        } catch {
            lose("\(error)")
        }
    }

    private func settings() -> TunnelSettings {
        let trust: ServerTrust =
            switch configuration.trust {
            case .authority(let file): .authorities(pem: file.contents, serverName: configuration.serverName)
            case .pin(let digest): .pinnedKey(sha256: digest)
            }
        var settings = TunnelSettings(
            trust: trust, serverKey: configuration.serverKey, keyPair: configuration.keyPair)
        settings.identity = configuration.identity
        settings.user = configuration.login
        settings.cipher = configuration.cipher.cipher
        settings.software = "penstock load \(penstockVersion)"
        configuration.quic.apply(to: &settings.transport)
        settings.transport.keepAlive = configuration.quic.keepAlive
        return settings
    }

    // MARK: - Turns

    var hasMore: Bool { sockets.contains(where: \.hasMore) }
    var isBlocked: Bool { sockets.contains(where: \.isBlocked) }

    var nextDeadline: Instant? {
        var next: Instant?
        for socket in sockets { next = earliest(next, socket.link.nextDeadline) }
        return next
    }

    func turn(now: Instant) {
        for socket in sockets where socket.hasMore { socket.read() }
        for socket in sockets {
            if let deadline = socket.link.nextDeadline, deadline <= now { socket.link.handleTimeout(now: now) }
        }
        carryOutEvents()
    }

    func flush(now: Instant) {
        for socket in sockets { socket.flush(now: now) }
        carryOutEvents()
    }

    func stop(now: Instant) {
        for socket in sockets { socket.link.stop(now: now) }
    }

    private func carryOutEvents() {
        let current = attempt
        for socket in sockets {
            // What the others at an address that was given up have to say is of no use any more.
            while attempt == current, let event = socket.link.nextEvent() { carryOut(event) }
        }
    }

    private func carryOut(_ event: TunnelEvent) {
        switch event {
        case .connected(let software, let maximumFlows):
            logger.debug("connected", metadata: ["server": "\(configuration.server)", "software": "\(software)"])
            guard case .connecting = state else { return }
            // Flows are dealt out evenly.
            let needed = (flows + count - 1) / count
            if needed > maximumFlows {
                let enough = (flows + max(maximumFlows, 1) - 1) / max(maximumFlows, 1)
                state = .lost(
                    "this run has \(flows) flows at once, and the server allows \(maximumFlows) a connection; "
                        + "raise its limits.flows-per-connection, or give --connections \(enough)")
                return
            }
            let carrier = TunnelCarrier(links: sockets.map(\.link))
            if carrier.isReady {
                locator.connected()
                state = .ready(carrier)
            }
        case .lost(let reason):
            lose(reason)
        case .notice(let text):
            logger.notice("\(text)")
        }
    }

    private func lose(_ reason: String) {
        if case .connecting = state, !locator.isExhausted {
            logger.debug("next address: \(reason)")
            sockets = []
            attempt += 1
            return start()
        }
        state = .lost(reason)
    }
}

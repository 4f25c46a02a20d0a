import Configuration
import LinuxIO
import Load
import Logging
import Primitives
import Tunnel

/// What carries the flows, as `--via` says.
enum LoadVia: Hashable, Sendable {
    /// The tunnel's protocol, spoken to the server directly.
    case quic
    /// Sockets, which take the way that this machine's routes say.
    case tcp
    /// Sockets to a SOCKS5 proxy.
    case socks5(HostAndPort)
}

extension LoadVia: CustomStringConvertible {
    var description: String {
        switch self {
        case .quic: "quic"
        case .tcp: "tcp"
        case .socks5(let proxy): "socks5://\(proxy)"
        }
    }
}

/// A run of load, from the look-up of names to its results.
final class LoadProgram {
    /// Ended by a person, a run still waits so long for what is under way.
    private static let stopDrain = Interval.seconds(2)
    private static let watchInterval = Interval.milliseconds(500)
    /// Descriptors kept for other things than flows.
    private static let reservedDescriptors = 64

    struct Options {
        var via: LoadVia
        var target: HostAndPort
        var workloads: [WorkloadPlan]
        /// Of the client; there where the tunnel is spoken.
        var client: ClientConfiguration?
        /// QUIC connections.
        var connections = 1
        var watched: [ProcessWatch.Subject] = []
        var isQuiet = false
    }

    /// What came of a run.
    struct Outcome {
        var seconds: Double
        var interrupted: Bool
        var workloads: [WorkloadResult]
        var processes: [ProcessResult]
    }

    private let options: Options
    private let loop: EventLoop
    private let resolver = Resolver()
    private var tunnel: TunnelGroup?
    private var sockets: SocketCarrier?
    private var plainDatagrams: PlainDatagramCarrier?
    private var engine: LoadEngine?
    private var watches: [ProcessWatch] = []
    private var nextWatch: Instant?
    private var live: LiveLine?
    private var failure: RunError?
    /// The run is over: how long the last datagrams may wait for the socket.
    private var stopDeadline: Instant?

    init(_ options: Options) throws {
        self.options = options
        do {
            loop = try EventLoop()
        } catch {
            throw RunError("\(error)")
        }
        let plan = LoadPlan(workloads: options.workloads, target: .endpoint(.unspecified))
        let limit = raiseDescriptorLimit()
        let needed = options.via == .quic ? options.connections : options.workloads.reduce(0) { $0 + $1.workload.flows }
        guard needed + Self.reservedDescriptors <= limit else {
            throw RunError(
                "this run has \(needed) sockets, and this process may open \(limit) descriptors; "
                    + "raise the limit (ulimit -n, LimitNOFILE), or choose fewer flows")
        }
        if options.via == .quic, let client = options.client {
            tunnel = TunnelGroup(client, count: options.connections, flows: plan.flows, loop: loop)
        }
    }

    // MARK: - Running

    func run() throws -> Outcome {
        do {
            try loop.onSignal([Signals.interrupt, Signals.terminate]) { [unowned self] _ in interrupt() }
        } catch {
            throw RunError("\(error)")
        }
        if let tunnel { tunnel.start() } else { lookUp() }
        loop.run { [self] in turn() }
        if let live, !options.isQuiet { printProgress(live.end) }
        if let failure { throw failure }
        guard let engine else { throw RunError("ended before the load began") }
        let now = MonotonicClock.now
        return Outcome(
            seconds: engine.elapsed(now: now).seconds, interrupted: engine.wasStopped,
            workloads: engine.results(now: now), processes: watches.map(\.result))
    }

    private func turn() -> Instant? {
        let now = MonotonicClock.now
        tunnel?.turn(now: now)
        sockets?.turn(now: now)
        plainDatagrams?.turn(now: now)
        followTunnel(now: now)
        if let engine {
            if let deadline = engine.nextDeadline, deadline <= now { engine.handleTimeout(now: now) }
            observe(engine, now: now)
            if engine.isOver { end(now: now) }
        }
        tunnel?.flush(now: now)
        if let stopDeadline {
            // The socket may be full, and the server is still to be told.
            if tunnel?.isBlocked == true, now < stopDeadline { return stopDeadline }
            loop.stop()
        }
        if tunnel?.hasMore == true || sockets?.hasMore == true || plainDatagrams?.hasMore == true { return now }
        var deadline = earliest(engine?.nextDeadline, tunnel?.nextDeadline)
        if engine != nil { deadline = earliest(deadline, earliest(nextWatch, options.isQuiet ? nil : live?.next)) }
        return deadline
    }

    private func interrupt() {
        let now = MonotonicClock.now
        guard let engine else { return end(now: now) }
        // Asked a second time, it does not wait.
        engine.stop(drain: engine.wasStopped ? .zero : Self.stopDrain, now: now)
    }

    private func end(now: Instant) {
        guard stopDeadline == nil else { return }
        for index in watches.indices { watches[index].sample() }
        stopDeadline = now + stopGrace
        tunnel?.stop(now: now)
    }

    // MARK: - Beginning

    /// Looks up what is to be dialled: the proxy, or the target itself.
    private func lookUp() {
        let wanted: HostAndPort
        switch options.via {
        case .socks5(let proxy): wanted = proxy
        case .tcp, .quic: wanted = options.target
        }
        resolver.resolve(host: wanted.host.description, port: wanted.port, loop: loop) { [unowned self] result in
            switch result {
            case .success(let endpoints): beginOnSockets(endpoints[0])
            case .failure(let error): fail("\(error)")
            }
        }
    }

    private func beginOnSockets(_ found: Endpoint) {
        let proxy: Endpoint? = if case .socks5 = options.via { found } else { nil }
        let sockets = SocketCarrier(loop: loop, proxy: proxy)
        self.sockets = sockets
        if proxy == nil { plainDatagrams = PlainDatagramCarrier(loop: loop) }
        begin(on: sockets, plainDatagrams, target: proxy == nil ? .endpoint(found) : nil)
    }

    /// - Parameter found: the target, where it was looked up here; else the other end looks up the name.
    private func begin(
        on carrier: any FlowCarrier, _ datagrams: (any DatagramCarrier)?, target found: DestinationAddress?
    ) {
        let target: DestinationAddress
        do {
            target = try found ?? DestinationAddress(host: options.target.host.description, port: options.target.port)
        } catch {
            return fail("the target's name cannot be used: \(error)")
        }
        let now = MonotonicClock.now
        watch()
        nextWatch = now + Self.watchInterval
        let plan = LoadPlan(workloads: options.workloads, target: target)
        live = LiveLine(duration: plan.duration, now: now)
        engine = LoadEngine(plan: plan, carrier: carrier, datagrams: datagrams, random: SystemRandom(), now: now)
    }

    private func fail(_ reason: String) {
        failure = RunError(reason)
        end(now: MonotonicClock.now)
    }

    private func followTunnel(now: Instant) {
        guard let tunnel, stopDeadline == nil else { return }
        switch tunnel.state {
        case .connecting: break
        case .ready(let carrier): if engine == nil { begin(on: carrier, carrier, target: nil) }
        case .lost(let reason):
            guard let engine else { return fail("no tunnel: \(reason)") }
            // What was measured so far is told; the flows that broke are counted in it.
            if !engine.wasStopped { printError("the tunnel is lost: \(reason)") }
            engine.stop(drain: .zero, now: now)
        }
    }

    // MARK: - Looking on

    private func watch() {
        let own = ProcessWatch.Subject(name: "load", pid: ownProcessID)
        for subject in [own] + options.watched {
            if let watch = ProcessWatch(subject) {
                watches.append(watch)
            } else {
                fail("there is no process \(subject.pid) to watch as '\(subject.name)'")
            }
        }
    }

    private func observe(_ engine: LoadEngine, now: Instant) {
        if let time = nextWatch, time <= now {
            for index in watches.indices { watches[index].sample() }
            nextWatch = now + Self.watchInterval
        }
        if !options.isQuiet, let time = live?.next, time <= now, let text = live?.update(engine.totals, now: now) {
            printProgress(text)
        }
    }
}

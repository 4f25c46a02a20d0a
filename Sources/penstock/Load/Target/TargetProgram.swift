import LinuxIO
import Load
import Logging
import Primitives

/// What runs load against: echo, sink, source and requests, each on a port of its own.
final class TargetProgram {
    /// Bytes read at once.
    private static let readSize = 256 << 10
    /// Memory of all echoes together.
    private static let echoMemory = 1 << 30
    /// Connections or datagrams taken from one descriptor before the others get their turn.
    private static let acceptBudget = 64
    private static let datagramBudget = 1_024
    /// Descriptors kept for other things than connections.
    private static let reservedDescriptors = 64
    /// When there was no descriptor for a connection, accepting goes on after this time.
    private static let acceptRetry = Interval.milliseconds(100)

    struct Counters {
        var connections = 0
        var connectionsOpen = 0
        /// Connections that were reset because the target has as many as it takes.
        var connectionsRefused = 0
        var bytesReceived: UInt64 = 0
        var bytesSent: UInt64 = 0
    }

    private struct Port {
        let service: TargetService
        let listener: TCPListener
    }

    private struct DatagramPort {
        let socket: UDPSocket
        let target: DatagramTarget
        var hasMore = false
    }

    var counters = Counters()
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: readSize, alignment: 16)

    private let logger = Logger(label: "load")
    private let loop: EventLoop
    private let maximumConnections: Int
    private let ports: [Port]
    private var datagramPorts: [DatagramPort]
    private let pattern = Pattern()
    private let pool = BlockPool(byteLimit: echoMemory)
    private var random = SystemRandom()
    private var sockets: [TargetSocket] = []
    /// Connections that have spent their budget, and ports with more to accept.
    private var again: [TargetSocket] = []
    private var portsAgain: Set<Int> = []
    private var acceptAt: Instant?

    init(listen: Endpoint) throws {
        do {
            maximumConnections = max(raiseDescriptorLimit() - Self.reservedDescriptors, 1)
            loop = try EventLoop()
            ports = try TargetService.allCases.map { service in
                Port(
                    service: service,
                    listener: try TCPListener(bind: Endpoint(listen.address, listen.port + service.rawValue)))
            }
            let pattern = pattern
            datagramPorts = try [TargetService.echo, .sink].map { service in
                DatagramPort(
                    // An echo is as large as what came, whatever the path takes in one piece.
                    socket: try UDPSocket(
                        bind: Endpoint(listen.address, listen.port + service.rawValue), fragments: true),
                    target: DatagramTarget(isEcho: service == .echo, pattern: pattern))
            }
        } catch {
            throw RunError("\(error)")
        }
    }

    deinit { input.deallocate() }

    func run() throws {
        do {
            try loop.onSignal([Signals.interrupt, Signals.terminate]) { [unowned self] _ in loop.stop() }
            try loop.onSignal([Signals.user1]) { [unowned self] _ in logStatistics() }
            for (index, port) in ports.enumerated() {
                try loop.add(
                    port.listener.descriptor, Handler { [unowned self] _ in portsAgain.insert(index) },
                    interest: .readable)
            }
            for index in datagramPorts.indices {
                try loop.add(
                    datagramPorts[index].socket.descriptor,
                    Handler { [unowned self] _ in datagramPorts[index].hasMore = true }, interest: .readable)
            }
        } catch {
            throw RunError("\(error)")
        }
        let addresses = ports.map { "\($0.service)=\($0.listener.local)" }
        logger.info("listening \(addresses.joined(separator: " "))")
        loop.run { [self] in turn() }
        logStatistics()
    }

    private func turn() -> Instant? {
        let waiting = again
        again = []
        for socket in waiting { socket.proceed() }
        for index in datagramPorts.indices where datagramPorts[index].hasMore { receive(index) }
        let now = MonotonicClock.now
        if let time = acceptAt, time <= now {
            acceptAt = nil
            portsAgain.formUnion(ports.indices)
        }
        for index in portsAgain { accept(index, now: now) }
        if !again.isEmpty || !portsAgain.isEmpty || datagramPorts.contains(where: \.hasMore) { return now }
        return acceptAt
    }

    // MARK: - Connections

    private func accept(_ index: Int, now: Instant) {
        let port = ports[index]
        do {
            for _ in 0..<Self.acceptBudget {
                guard let (socket, _) = try port.listener.accept() else {
                    portsAgain.remove(index)
                    return
                }
                try take(socket, port.service)
            }
        } catch {
            logger.warning("connections wait to be accepted: \(error)")
            portsAgain.remove(index)
            acceptAt = now + Self.acceptRetry
        }
    }

    private func take(_ socket: TCPSocket, _ service: TargetService) throws {
        guard sockets.count < maximumConnections else {
            counters.connectionsRefused += 1
            return socket.reset()
        }
        let flow = TargetFlow(
            service, pattern: pattern, place: random.next() % UInt64(Pattern.period), pool: pool)
        let target = TargetSocket(socket: socket, flow: flow, program: self)
        try loop.add(socket.descriptor, target)
        target.listIndex = sockets.count
        sockets.append(target)
        counters.connections += 1
        counters.connectionsOpen += 1
    }

    func comeBack(to socket: TargetSocket) { again.append(socket) }

    func close(_ target: TargetSocket, reset: Bool) {
        loop.remove(target.socket.descriptor)
        if reset { target.socket.reset() } else { target.socket.close() }
        let last = sockets.removeLast()
        if last !== target {
            sockets[target.listIndex] = last
            last.listIndex = target.listIndex
        }
        counters.connectionsOpen -= 1
        wrongBytes += target.flow.wrongBytes
    }

    private var wrongBytes: UInt64 = 0

    // MARK: - Datagrams

    private func receive(_ index: Int) {
        let socket = datagramPorts[index].socket
        let target = datagramPorts[index].target
        datagramPorts[index].hasMore = socket.receive(
            { datagram, from, to, _ in
                guard let answer = target.receive(UnsafeRawBufferPointer(datagram)), !answer.isEmpty else { return }
                // What does not fit into the socket's buffer is lost, as on any way.
                _ = try? socket.send(answer, segmentSize: answer.count, to: from, from: to, ecn: 0)
            }, budget: Self.datagramBudget)
    }

    // MARK: - Statistics

    private func logStatistics() {
        let datagrams = datagramPorts.reduce(0) { $0 + $1.target.datagrams }
        let wrong = wrongBytes + datagramPorts.reduce(0) { $0 + $1.target.wrongBytes }
        logger.info(
            "statistics",
            metadata: [
                "connections": "\(counters.connections)", "connections_open": "\(counters.connectionsOpen)",
                "connections_refused": "\(counters.connectionsRefused)",
                "bytes_received": "\(counters.bytesReceived)", "bytes_sent": "\(counters.bytesSent)",
                "datagrams": "\(datagrams)", "wrong_bytes": "\(wrong)",
            ])
    }
}

import Configuration
import LinuxIO
import Primitives
import Server

/// The UDP socket of one association, and its place in the loop.
final class AssociationSocket: EventHandler {
    let id: OutboundID
    let socket: DatagramSocket
    /// In the list of those that have more to read.
    var isUnfinished = false
    private unowned let sockets: AssociationSockets

    init(id: OutboundID, socket: DatagramSocket, sockets: AssociationSockets) {
        self.id = id
        self.socket = socket
        self.sockets = sockets
    }

    func ready(_ readiness: Readiness) {
        if readiness.contains(.error) { sockets.readFailures(self) }
        if !readiness.isDisjoint(with: [.readable, .hangup]) { sockets.read(self) }
    }
}

/// The sockets of all UDP associations: what the server engine wants of them, and what they have for it.
final class AssociationSockets {
    /// System calls on one socket before the others get their turn; one brings up to 512 datagrams.
    private static let callBudget = 4

    /// Called after each system call that has brought datagrams, so that they leave before their queue is full.
    var flush: () -> Void = {}

    private let engine: ServerEngine
    private let loop: EventLoop
    private let receiver: DatagramReceiver
    private var sourceIPv4: IPAddress
    private var sourceIPv6: IPAddress
    private var interface: String?
    private var sockets: [AssociationSocket?] = []
    private var unfinished: [AssociationSocket] = []

    init(engine: ServerEngine, loop: EventLoop, dial: ServerConfiguration.Dial) throws(SystemError) {
        self.engine = engine
        self.loop = loop
        sourceIPv4 = .v4(dial.sourceIPv4 ?? IPv4Address(0))
        sourceIPv6 = .v6(dial.sourceIPv6 ?? IPv6Address(high: 0, low: 0))
        interface = dial.interface
        receiver = try DatagramReceiver()
    }

    /// Where new sockets send from.
    func setSources(_ dial: ServerConfiguration.Dial) {
        sourceIPv4 = .v4(dial.sourceIPv4 ?? IPv4Address(0))
        sourceIPv6 = .v6(dial.sourceIPv6 ?? IPv6Address(high: 0, low: 0))
        interface = dial.interface
    }

    /// Sockets wait to be read on.
    var hasUnfinished: Bool { !unfinished.isEmpty }

    private func find(_ id: OutboundID) -> AssociationSocket? {
        guard id.index < sockets.count, let socket = sockets[id.index], socket.id == id else { return nil }
        return socket
    }

    /// Opens a socket and tells the engine how that went.
    func open(_ id: OutboundID, isIPv4: Bool, now: Instant) {
        do {
            let socket = try DatagramSocket(source: isIPv4 ? sourceIPv4 : sourceIPv6, interface: interface)
            let association = AssociationSocket(id: id, socket: socket, sockets: self)
            // Never watched for writing: what does not fit into its buffer is lost.
            try loop.add(socket.descriptor, association, interest: .readable)
            while sockets.count <= id.index { sockets.append(nil) }
            sockets[id.index] = association
            engine.datagramSocketOpened(id, bound: socket.local, now: now)
        } catch {
            engine.dialFailed(id, DialFailure(NetworkFailure(errno: error.code)), now: now)
        }
    }

    func close(_ id: OutboundID) {
        guard let association = find(id) else { return }
        loop.remove(association.socket.descriptor)
        sockets[id.index] = nil
        if association.isUnfinished { unfinished.removeAll { $0 === association } }
    }

    /// Sends all that clients have for the sockets.
    func sendAll(now: Instant) {
        while let datagrams = engine.nextDatagrams() {
            guard let association = find(datagrams.id) else { continue }
            let result = association.socket.send(
                datagrams.bytes, segmentSize: datagrams.segmentSize, to: datagrams.destination
            ) { fail(association, $0, now: now) }
            if case .refused(let code) = result {
                let reason = DialFailure(NetworkFailure(errno: code))
                engine.datagramFailed(association.id, to: datagrams.destination, reason, now: now)
            }
        }
    }

    /// Goes on with the sockets that used up their budget.
    func readUnfinished() {
        guard !unfinished.isEmpty else { return }
        let associations = unfinished
        unfinished.removeAll(keepingCapacity: true)
        for association in associations {
            association.isUnfinished = false
            if find(association.id) != nil { read(association) }
        }
    }

    fileprivate func read(_ association: AssociationSocket) {
        guard !association.isUnfinished else { return }
        let now = MonotonicClock.now
        for _ in 0..<Self.callBudget {
            let hasMore = association.socket.receive(with: receiver) { datagram, remote in
                engine.datagramReceived(association.id, from: remote, datagram, now: now)
            }
            flush()
            guard hasMore, find(association.id) != nil else { return }
        }
        association.isUnfinished = true
        unfinished.append(association)
    }

    fileprivate func readFailures(_ association: AssociationSocket) {
        let now = MonotonicClock.now
        while let failure = association.socket.nextFailure() { fail(association, failure, now: now) }
    }

    private func fail(_ association: AssociationSocket, _ failure: DatagramSocket.Failure, now: Instant) {
        engine.datagramFailed(association.id, to: failure.destination, DialFailure(failure.reason), now: now)
    }
}

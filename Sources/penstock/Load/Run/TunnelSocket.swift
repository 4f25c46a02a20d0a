import LinuxIO
import Load
import Primitives

/// A link to the server on a UDP socket of its own.
final class TunnelSocket {
    /// Datagrams taken from the socket before others get their turn.
    private static let budget = 256

    let link: TunnelLink
    private let socket: UDPSocket
    private let loop: EventLoop
    private let sender = DatagramSender()
    private(set) var hasMore = false

    /// - Parameter mark: leads the datagrams past a TUN client's routes on the same machine; left away where this process
    ///   may not set it, since there may be no such client.
    init(
        to remote: Endpoint, mark: UInt32, offload: Offload, settings: TunnelSettings, pool: BlockPool, loop: EventLoop,
        now: Instant
    ) throws {
        self.loop = loop
        socket = try Self.openSocket(to: remote, mark: mark, offload: offload)
        link = try TunnelLink(
            to: remote, local: socket.local, settings: settings, pool: pool, random: SystemRandom(), now: now)
    }

    private static func openSocket(to remote: Endpoint, mark: UInt32, offload: Offload) throws -> UDPSocket {
        let any: IPAddress = remote.address.isIPv4 ? .v4(IPv4Address(0)) : .v6(IPv6Address(high: 0, low: 0))
        do {
            return try UDPSocket(bind: Endpoint(any, 0), mark: mark, offload: offload)
        } catch {
            guard error.isNotPermitted else { throw error }
            return try UDPSocket(bind: Endpoint(any, 0), offload: offload)
        }
    }

    /// Listens to the server from here on.
    func watch() throws {
        try loop.add(
            socket.descriptor,
            // Writable needs nothing here: every turn flushes.
            Handler { [unowned self] in if $0 != .writable { read() } }, interest: .readable)
    }

    deinit { loop.remove(socket.descriptor) }

    var isBlocked: Bool { sender.isBlocked }

    func read() {
        let now = MonotonicClock.now
        let local = socket.local
        hasMore = socket.receive(
            { datagram, from, _, ecn in
                link.handleDatagram(UnsafeRawBufferPointer(datagram), from: from, to: local, ecn: ecn, now: now)
            }, budget: Self.budget)
    }

    func flush(now: Instant) {
        sender.send(on: socket, loop: loop, usesLocalAddress: false) { link.nextBatch(into: $0, now: now) }
        if let error = sender.takeError() { link.sendFailed(error, now: now) }
    }
}

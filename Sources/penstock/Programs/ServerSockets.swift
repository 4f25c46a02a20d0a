import LinuxIO
import Primitives

/// The client's UDP sockets towards the server: the one it sends on, and, for a while after the network has changed, the
/// one before it, on which the server's last datagrams over the former path may still come.
final class ServerSockets {
    /// How long the former socket is kept, unless the new path is known to work before.
    private static let formerLifetime = Interval.seconds(5)

    private let loop: EventLoop
    private let open: (Endpoint) throws(SystemError) -> UDPSocket
    /// Something waits on one of the sockets.
    var onReadable: () -> Void = {}
    private(set) var current: UDPSocket?
    private var former: (socket: UDPSocket, until: Instant)?

    /// - Parameter open: gives a socket bound to this endpoint.
    init(loop: EventLoop, open: @escaping (Endpoint) throws(SystemError) -> UDPSocket) {
        self.loop = loop
        self.open = open
    }

    /// When `expire` is to be called.
    var nextDeadline: Instant? { former?.until }

    /// A socket for a new connection, in place of all others.
    func replace(from source: IPAddress) throws(SystemError) -> UDPSocket {
        forgetFormer()
        if let current { loop.remove(current.descriptor) }
        current = nil
        return try begin(source)
    }

    /// Another socket for the same connection.
    func move(to source: IPAddress, now: Instant) throws(SystemError) -> UDPSocket {
        forgetFormer()
        guard let old = current else { return try begin(source) }
        let socket = try begin(source)
        former = (old, now + Self.formerLifetime)
        return socket
    }

    func forgetFormer() {
        if let former { loop.remove(former.socket.descriptor) }
        former = nil
    }

    func expire(now: Instant) {
        if let former, former.until <= now { forgetFormer() }
    }

    /// Reads both; the arguments are those of `UDPSocket.receive`.
    /// - Returns: whether more may wait.
    func receive(
        budget: Int, _ body: (UnsafeMutableRawBufferPointer, _ from: Endpoint, _ to: Endpoint, _ ecn: UInt8) -> Void
    ) -> Bool {
        let hasMore = Self.receive(current, budget, body)
        guard let former else { return hasMore }
        return Self.receive(former.socket, budget, body) || hasMore
    }

    /// On a wildcard socket each datagram tells where it was sent to; the connection knows the socket's own endpoint.
    private static func receive(
        _ socket: UDPSocket?, _ budget: Int, _ body: (UnsafeMutableRawBufferPointer, Endpoint, Endpoint, UInt8) -> Void
    ) -> Bool {
        guard let socket else { return false }
        let local = socket.local
        return socket.receive({ body($0, $1, local, $3) }, budget: budget)
    }

    private func begin(_ source: IPAddress) throws(SystemError) -> UDPSocket {
        let socket = try open(Endpoint(source, 0))
        // Writable needs nothing here: every turn flushes.
        let handler = Handler { [unowned self] in if $0 != .writable { onReadable() } }
        try loop.add(socket.descriptor, handler, interest: .readable)
        current = socket
        return socket
    }
}

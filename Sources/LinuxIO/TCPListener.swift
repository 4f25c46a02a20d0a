import CLinux
import Glibc
import Primitives

/// Accepts TCP connections.
public final class TCPListener {
    public static let backlog: Int32 = 1024

    private let socket: Descriptor
    public let local: Endpoint

    public init(bind endpoint: Endpoint) throws(SystemError) {
        let isIPv6 = !endpoint.address.isIPv4
        socket = try Descriptor(clinux_socket(isIPv6 ? 1 : 0, CLINUX_STREAM), "open a TCP socket")
        try checked(clinux_set(socket.number, CLINUX_REUSE_ADDRESS, 1), "set SO_REUSEADDR")
        if isIPv6 { try checked(clinux_set(socket.number, CLINUX_IPV6_ONLY, 0), "make a dual-stack socket") }
        try LinuxIO.bind(socket.number, to: endpoint, ipv6: isIPv6)
        try checked(clinux_listen(socket.number, Self.backlog), "listen on \(endpoint)")
        local = try localEndpoint(of: socket.number)
    }

    public var descriptor: Int32 { socket.number }

    /// The next connection and its peer, or nil when none is waiting.
    /// - Throws: EMFILE and its like; the connection stays in the backlog.
    public func accept() throws(SystemError) -> (socket: TCPSocket, peer: Endpoint)? {
        var peer = clinux_endpoint()
        let result = clinux_accept(socket.number, &peer)
        if result == -EAGAIN { return nil }
        let connection = TCPSocket(try Descriptor(result, "accept on \(local)"))
        _ = clinux_set(connection.descriptor, CLINUX_TCP_NODELAY, 1)
        return (connection, Endpoint(peer))
    }
}

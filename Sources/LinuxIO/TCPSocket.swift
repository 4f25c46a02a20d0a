import CLinux
import Glibc
import Primitives

/// What a read or a write on a stream socket did.
public enum IOResult: Equatable, Sendable {
    /// At least one byte, unless the caller offered none.
    case bytes(Int)
    /// The peer has shut down its sending side.
    case end
    case wouldBlock
    case failed(errno: Int32)
}

/// A non-blocking TCP connection. Closed with the object, if not before.
public final class TCPSocket {
    /// Quiet for so long, the peer is asked whether it is still there; one that vanished without a word must not hold a
    /// flow for ever. How long a living peer stays quiet is not limited.
    static let keepAliveSeconds: Int32 = 600

    private var socket: Descriptor?
    /// The descriptor, which stays readable as a number after closing, so that it can be removed from the loop.
    public let descriptor: Int32

    /// Starts a connection; it is made, or has failed, when the socket becomes writable.
    /// - Parameters:
    ///   - source: the local address, or nil for the kernel's choice.
    ///   - interface: the only one to use; nil for the one that the routes name.
    ///   - mark: for policy routing; needs CAP_NET_ADMIN.
    /// - Throws: what the kernel knows at once, such as ENETUNREACH.
    public static func dial(
        _ to: Endpoint, from source: IPAddress? = nil, interface: String? = nil, mark: UInt32? = nil
    ) throws(SystemError) -> TCPSocket {
        let isIPv6 = !to.address.isIPv4
        let connection = TCPSocket(try Descriptor(clinux_socket(isIPv6 ? 1 : 0, CLINUX_STREAM), "open a TCP socket"))
        let descriptor = connection.descriptor
        _ = clinux_set(descriptor, CLINUX_TCP_NODELAY, 1)
        _ = clinux_set(descriptor, CLINUX_KEEP_ALIVE, 1)
        _ = clinux_set(descriptor, CLINUX_TCP_KEEP_IDLE, keepAliveSeconds)
        try setMark(mark, on: descriptor)
        try LinuxIO.bind(descriptor, toInterface: interface)
        if let source {
            // The port is chosen by connect, which may share it between destinations.
            _ = clinux_set(descriptor, CLINUX_BIND_WITHOUT_PORT, 1)
            try LinuxIO.bind(descriptor, to: Endpoint(source, 0), ipv6: isIPv6)
        }
        var raw = to.raw
        let code = clinux_connect(descriptor, isIPv6 ? 1 : 0, &raw)
        if code != 0 && code != -EINPROGRESS { throw SystemError(code: -code, operation: "connect to \(to)") }
        return connection
    }

    init(_ socket: consuming Descriptor) {
        descriptor = socket.number
        self.socket = consume socket
    }

    public var isOpen: Bool { socket != nil }

    public var local: Endpoint? { isOpen ? try? localEndpoint(of: descriptor) : nil }

    /// How the dial ended, once the socket is writable: 0 when connected, else the errno. Reading clears it.
    public func connectResult() -> Int32 {
        guard isOpen else { return EBADF }
        var code: Int32 = 0
        let failure = clinux_get(descriptor, CLINUX_PENDING_ERROR, &code)
        return failure < 0 ? -failure : code
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult {
        guard isOpen else { return .failed(errno: EBADF) }
        let count = clinux_read(descriptor, buffer.baseAddress, buffer.count)
        if count == 0 && !buffer.isEmpty { return .end }
        return Self.result(count)
    }

    /// Writes from several regions, in order; may take less than all.
    public func write(vectors: UnsafeBufferPointer<iovec>) -> IOResult {
        guard isOpen else { return .failed(errno: EBADF) }
        return Self.result(clinux_sendv(descriptor, vectors.baseAddress, Int32(min(vectors.count, 1024))))
    }

    public func write(_ bytes: UnsafeRawBufferPointer) -> IOResult {
        var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        return withUnsafePointer(to: &vector) { write(vectors: UnsafeBufferPointer(start: $0, count: 1)) }
    }

    private static func result(_ count: Int) -> IOResult {
        if count >= 0 { return .bytes(count) }
        return count == -Int(EAGAIN) ? .wouldBlock : .failed(errno: Int32(-count))
    }

    /// Sends FIN after what was written; reading goes on.
    /// - Returns: 0 or the errno, ENOTCONN when the peer has already reset.
    @discardableResult
    public func shutdownWrite() -> Int32 { isOpen ? -clinux_shutdown_write(descriptor) : EBADF }

    /// Sends RST and closes; what was written and not yet sent is lost (SO_LINGER 0).
    public func reset() {
        guard isOpen else { return }
        _ = clinux_linger_zero(descriptor)
        close()
    }

    /// Closes both directions. Take the descriptor out of the loop first.
    public func close() { socket = nil }
}

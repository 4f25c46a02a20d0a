import CLinux
import Glibc
import Primitives

/// Memory for datagrams that are being read. One serves all sockets of a thread.
public final class DatagramReceiver {
    /// Messages fetched by one recvmmsg. With UDP_GRO each holds up to 64 datagrams of one size.
    static let batch = 8
    private static let messageSize = 65_536

    let receiver: OpaquePointer
    let messages: UnsafePointer<clinux_message>

    public init() throws(SystemError) {
        guard let receiver = clinux_receiver_create(Int32(Self.batch), Self.messageSize) else {
            throw SystemError(code: ENOMEM, operation: "allocate receive buffers")
        }
        self.receiver = receiver
        messages = clinux_receiver_messages(receiver)
    }

    deinit { clinux_receiver_destroy(receiver) }
}

/// What became of datagrams that were given to a `DatagramSocket`.
public enum DatagramSendResult: Equatable, Sendable {
    case sent
    /// The socket's buffer is full. As on any link, what did not fit is lost.
    case full
    /// The kernel refuses datagrams to this destination, for this errno.
    case refused(errno: Int32)
}

/// A non-blocking, unconnected UDP socket of one family for somebody's traffic: datagrams of any size to and from
/// anybody, many in one call where the kernel can, and the network's errors with the destination that each is about.
///
/// The kernel fragments what is larger than the path's MTU, as for any program.
public final class DatagramSocket {
    public struct Counters: Equatable, Sendable {
        public var receivedDatagrams = 0
        public var sentDatagrams = 0
        /// Datagrams that did not fit into the socket's buffer.
        public var sendsFull = 0
        public var errors = 0
    }

    /// An error of the network, or of the kernel, about a datagram that was sent.
    public struct Failure: Equatable, Sendable {
        public let destination: Endpoint
        public let reason: NetworkFailure
    }

    /// The socket buffers asked for, in bytes: some 80 ms of 400 Mbit/s, since every datagram counts for twice its size. The
    /// kernel takes memory only for what waits, and has a limit for all sockets together (udp_mem).
    static let bufferSize = 4 << 20
    /// The most datagrams of one send: UDP_MAX_SEGMENTS of older kernels (linux/udp.h).
    public static let maximumSegments = 64

    public let local: Endpoint
    public private(set) var counters = Counters()
    private let socket: Descriptor
    private let isIPv6: Bool
    private var usesSegmentation: Bool

    /// - Parameters:
    ///   - source: the local address; unspecified for the kernel's choice with each datagram. The port is the kernel's
    ///     choice.
    ///   - interface: the only one to use; nil for those that the routes name.
    public init(source: IPAddress, interface: String? = nil) throws(SystemError) {
        isIPv6 = !source.isIPv4
        socket = try Descriptor(clinux_socket(isIPv6 ? 1 : 0, CLINUX_DATAGRAM), "open a UDP socket")
        let descriptor = socket.number
        if isIPv6 {
            try checked(clinux_set(descriptor, CLINUX_IPV6_ONLY, 1), "make a socket of IPv6 alone")
            try checked(clinux_set(descriptor, CLINUX_IPV6_RECEIVE_ERRORS, 1), "set IPV6_RECVERR")
        } else {
            try checked(clinux_set(descriptor, CLINUX_IPV4_RECEIVE_ERRORS, 1), "set IP_RECVERR")
        }
        for (option, force) in [
            (CLINUX_RECEIVE_BUFFER, CLINUX_FORCE_RECEIVE_BUFFER), (CLINUX_SEND_BUFFER, CLINUX_FORCE_SEND_BUFFER),
        ] where clinux_set(descriptor, force, Int32(Self.bufferSize)) != 0 {
            _ = clinux_set(descriptor, option, Int32(Self.bufferSize))
        }
        // Size 0 sets nothing, but a kernel without the option refuses it.
        usesSegmentation = clinux_set(descriptor, CLINUX_UDP_SEGMENT, 0) == 0
        _ = clinux_set(descriptor, CLINUX_UDP_GRO, 1)
        try LinuxIO.bind(descriptor, toInterface: interface)
        try LinuxIO.bind(descriptor, to: Endpoint(source, 0), ipv6: isIPv6)
        local = try localEndpoint(of: descriptor)
    }

    public var descriptor: Int32 { socket.number }

    // MARK: Receiving

    /// Reads waiting datagrams with one system call, and calls `body` with each and its sender. Their memory is good
    /// during the call.
    /// - Returns: false when nothing was left waiting.
    public func receive(
        with receiver: DatagramReceiver, _ body: (UnsafeRawBufferPointer, _ from: Endpoint) -> Void
    ) -> Bool {
        let count = Int(clinux_receive(socket.number, receiver.receiver, Int32(DatagramReceiver.batch)))
        // An error of the network that waits is told once by whatever is called next; `nextFailure` tells more of it.
        guard count >= 0 else { return count != -Int(EAGAIN) }
        for index in 0..<count { deliver(receiver.messages[index], body) }
        return count == DatagramReceiver.batch
    }

    @inline(__always)
    private func deliver(_ message: clinux_message, _ body: (UnsafeRawBufferPointer, Endpoint) -> Void) {
        let from = Endpoint(message.from)
        let length = Int(message.length)
        let segment = max(Int(message.segment), 1)
        var offset = 0
        repeat {
            let count = min(segment, length - offset)
            body(UnsafeRawBufferPointer(start: message.bytes + offset, count: count), from)
            offset += segment
            counters.receivedDatagrams += 1
        } while offset < length
    }

    /// The next error about what was sent; nil when there is none.
    public func nextFailure() -> Failure? {
        var error = clinux_datagram_error()
        while clinux_receive_error(socket.number, &error) > 0 {
            counters.errors += 1
            // The kernel has learnt the path's MTU, and fragments the next one.
            if error.code == EMSGSIZE || error.code == 0 { continue }
            return Failure(
                destination: Endpoint(error.to),
                reason: error.is_prohibited != 0 ? .notAllowed : NetworkFailure(errno: error.code))
        }
        return nil
    }

    // MARK: Sending

    /// Sends datagrams that lie end to end.
    /// - Parameters:
    ///   - segmentSize: bytes of each; the last may be shorter. With 0, `bytes` is one datagram.
    ///   - failed: called with errors about earlier datagrams that this call came upon.
    public func send(
        _ bytes: UnsafeRawBufferPointer, segmentSize: Int, to destination: Endpoint, failed: (Failure) -> Void
    ) -> DatagramSendResult {
        var raw = destination.raw
        var rest = bytes
        var mayTryAgain = true
        while true {
            let sent = sendSome(rest, segmentSize, &raw)
            if sent >= 0 {
                counters.sentDatagrams += segmentSize == 0 ? 1 : (sent + segmentSize - 1) / segmentSize
                rest = UnsafeRawBufferPointer(rebasing: rest[min(sent, rest.count)...])
                if rest.isEmpty { return .sent }
                continue
            }
            let code = Int32(-sent)
            if code == EAGAIN || code == ENOBUFS {
                counters.sendsFull += 1
                return .full
            }
            // An error that waits is told by whatever is called next, be it about another destination: take those, and
            // try once more.
            guard mayTryAgain else { return .refused(errno: code) }
            mayTryAgain = false
            while let failure = nextFailure() { failed(failure) }
        }
    }

    /// One system call: the bytes that went out, whole datagrams, or a negative errno.
    private func sendSome(
        _ bytes: UnsafeRawBufferPointer, _ segmentSize: Int, _ to: UnsafePointer<clinux_endpoint>
    ) -> Int {
        let family: Int32 = isIPv6 ? 1 : 0
        guard segmentSize > 0, bytes.count > segmentSize else {
            return clinux_send(socket.number, family, bytes.baseAddress, bytes.count, 0, to, nil, 0)
        }
        if usesSegmentation {
            let count = min(bytes.count, Self.maximumSegments * segmentSize)
            let sent = clinux_send(
                socket.number, family, bytes.baseAddress, count, UInt16(segmentSize), to, nil, 0)
            // EINVAL and EMSGSIZE: a segment is larger than the path takes, and would have to be fragmented. EIO: the
            // device cannot make checksums.
            guard sent == -Int(EIO) || sent == -Int(EINVAL) || sent == -Int(EMSGSIZE) else { return sent }
            if sent == -Int(EIO) { usesSegmentation = false }
        }
        let sent = clinux_send_each(
            socket.number, family, bytes.baseAddress, bytes.count, segmentSize, to, nil, 0)
        return sent < 0 ? Int(sent) : min(bytes.count, Int(sent) * segmentSize)
    }
}

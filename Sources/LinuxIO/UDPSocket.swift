import CLinux
import Glibc
import Primitives

/// Whether a socket or device uses the kernel's segmentation offloads.
public enum Offload: Equatable, Sendable {
    /// Where the kernel has them.
    case auto
    case off
}

/// What became of a batch of datagrams.
public enum SendResult: Equatable, Sendable {
    case sent
    /// The socket's buffer is full. The first `sent` bytes, whole datagrams, are on their way; offer the rest again
    /// when the socket is writable.
    case wouldBlock(sent: Int)
    /// The network took the batch, or the rest of it, no farther than this errno. The socket stays usable.
    case dropped(errno: Int32)
}

/// A non-blocking UDP socket that sends and receives batches: UDP_SEGMENT and UDP_GRO where the kernel has them,
/// sendmmsg and recvmmsg where not.
///
/// It carries ECN both ways (RFC 3168), tells the local address of each datagram on a wildcard socket, and sets
/// "don't fragment" unless it is told otherwise, since QUIC finds the path's MTU by itself (RFC 9000, section 14). `[::]`
/// also takes IPv4, whose addresses are reported as IPv4.
public final class UDPSocket {
    public struct Counters: Equatable, Sendable {
        public var receivedDatagrams = 0
        public var receivedBytes = 0
        public var receiveCalls = 0
        /// Received messages larger than the memory for one; thrown away.
        public var truncated = 0
        public var receiveErrors = 0
        public var sentDatagrams = 0
        public var sentBytes = 0
        public var sendCalls = 0
        /// Sends that found the socket's buffer full.
        public var blocked = 0
        /// Datagrams that the network refused at once, such as too large ones or those without a route.
        public var dropped = 0
        /// Times that segmentation offload failed and was switched off.
        public var segmentationFailures = 0
    }

    /// The socket buffers asked for, in bytes.
    public static let bufferSize = 4 << 20
    /// The largest datagram that is received without GRO, in bytes.
    public static let maximumDatagram = 16_384
    /// The most segments in one send with UDP_SEGMENT: UDP_MAX_SEGMENTS of older kernels (linux/udp.h).
    public static let maximumSegments = 64
    /// The most bytes in one send with UDP_SEGMENT: an IP packet less the IPv6 and UDP headers.
    static let maximumBatch = 65_535 - 48

    /// Messages fetched by one recvmmsg: half a megabyte of memory either way.
    private static let batchWithOffload = 8
    private static let batchWithoutOffload = 32

    /// What the socket is bound to; the address may be a wildcard.
    public let local: Endpoint
    public private(set) var usesSegmentation: Bool
    public let usesReceiveOffload: Bool
    /// The receive and send buffers that the kernel granted, in bytes of its own accounting halved, which is the
    /// unit of asking (socket(7)).
    public let receiveBuffer: Int
    public let sendBuffer: Int
    public private(set) var counters = Counters()

    private let socket: Descriptor
    private let isIPv6: Bool
    private let receiver: OpaquePointer
    private let messages: UnsafePointer<clinux_message>
    private let batch: Int

    /// - Parameters:
    ///   - sharesPort: joins a socket that is bound to the same endpoint and has allowed it (SO_REUSEPORT).
    ///   - fragments: datagrams that are larger than the path takes are sent in fragments.
    public init(
        bind endpoint: Endpoint, mark: UInt32? = nil, offload: Offload = .auto, sharesPort: Bool = false,
        fragments: Bool = false
    ) throws(SystemError) {
        isIPv6 = !endpoint.address.isIPv4
        socket = try Descriptor(clinux_socket(isIPv6 ? 1 : 0, CLINUX_DATAGRAM), "open a UDP socket")
        let descriptor = socket.number
        try setMark(mark, on: descriptor)
        if sharesPort { try checked(clinux_set(descriptor, CLINUX_REUSE_PORT, 1), "set SO_REUSEPORT") }
        try Self.configure(descriptor, isIPv6: isIPv6, isWildcard: endpoint.address.isUnspecified)
        try Self.configure(descriptor, isIPv6: isIPv6, fragments: fragments)
        receiveBuffer = Self.enlarge(descriptor, CLINUX_RECEIVE_BUFFER, force: CLINUX_FORCE_RECEIVE_BUFFER)
        sendBuffer = Self.enlarge(descriptor, CLINUX_SEND_BUFFER, force: CLINUX_FORCE_SEND_BUFFER)
        // Size 0 sets nothing, but a kernel without the option refuses it.
        usesSegmentation = offload == .auto && clinux_set(descriptor, CLINUX_UDP_SEGMENT, 0) == 0
        usesReceiveOffload = offload == .auto && clinux_set(descriptor, CLINUX_UDP_GRO, 1) == 0
        try LinuxIO.bind(descriptor, to: endpoint, ipv6: isIPv6)
        local = try localEndpoint(of: descriptor)

        batch = usesReceiveOffload ? Self.batchWithOffload : Self.batchWithoutOffload
        let size = usesReceiveOffload ? 65_536 : Self.maximumDatagram
        guard let receiver = clinux_receiver_create(Int32(batch), size) else {
            throw SystemError(code: ENOMEM, operation: "allocate receive buffers")
        }
        self.receiver = receiver
        messages = clinux_receiver_messages(receiver)
    }

    deinit { clinux_receiver_destroy(receiver) }

    public var descriptor: Int32 { socket.number }

    private static func configure(_ descriptor: Int32, isIPv6: Bool, isWildcard: Bool) throws(SystemError) {
        if isIPv6 {
            try checked(clinux_set(descriptor, CLINUX_IPV6_ONLY, 0), "make a dual-stack socket")
            try checked(clinux_set(descriptor, CLINUX_IPV6_RECEIVE_TCLASS, 1), "set IPV6_RECVTCLASS")
            if isWildcard { try checked(clinux_set(descriptor, CLINUX_IPV6_PACKET_INFO, 1), "set IPV6_RECVPKTINFO") }
        }
        // On a dual-stack socket this holds for the IPv4 peers.
        try checked(clinux_set(descriptor, CLINUX_IPV4_RECEIVE_TOS, 1), "set IP_RECVTOS")
        if isWildcard && !isIPv6 { try checked(clinux_set(descriptor, CLINUX_IPV4_PACKET_INFO, 1), "set IP_PKTINFO") }
    }

    private static func configure(_ descriptor: Int32, isIPv6: Bool, fragments: Bool) throws(SystemError) {
        let discovery = fragments ? CLINUX_MTU_DISCOVER_DONT : CLINUX_MTU_DISCOVER_PROBE
        if isIPv6 { try checked(clinux_set(descriptor, CLINUX_IPV6_MTU_DISCOVER, discovery), "set IPV6_MTU_DISCOVER") }
        // On a dual-stack socket this holds for the IPv4 peers.
        try checked(clinux_set(descriptor, CLINUX_IPV4_MTU_DISCOVER, discovery), "set IP_MTU_DISCOVER")
    }

    /// Root may exceed net.core.rmem_max and wmem_max; others get what these allow.
    private static func enlarge(_ descriptor: Int32, _ option: clinux_option, force: clinux_option) -> Int {
        if clinux_set(descriptor, force, Int32(bufferSize)) != 0 {
            _ = clinux_set(descriptor, option, Int32(bufferSize))
        }
        var granted: Int32 = 0
        _ = clinux_get(descriptor, option, &granted)
        return Int(granted) / 2
    }

    // MARK: Receiving

    /// Reads waiting datagrams and calls `body` with each.
    /// - Parameters:
    ///   - body: the datagram, valid and writable during the call; where it came from; the local address it was sent
    ///     to; its two ECN bits.
    ///   - budget: datagrams after which to stop; one merged message may go beyond.
    /// - Returns: false when nothing was left waiting; true when the budget ended it, and more may wait.
    public func receive(
        _ body: (UnsafeMutableRawBufferPointer, _ from: Endpoint, _ to: Endpoint, _ ecn: UInt8) -> Void, budget: Int
    ) -> Bool {
        var left = budget
        while left > 0 {
            let asked = min(batch, left)
            counters.receiveCalls += 1
            let count = Int(clinux_receive(socket.number, receiver, Int32(asked)))
            if count < 0 {
                if count == -Int(EAGAIN) { return false }
                // An error that an earlier send left on the socket; reading has cleared it.
                counters.receiveErrors += 1
                left -= 1
                continue
            }
            for index in 0..<count { left -= deliver(messages[index], body) }
            // Fewer than asked: the queue was found empty, and what comes later is a new edge.
            if count < asked { return false }
        }
        return true
    }

    /// Cuts one message into its datagrams; returns how many.
    @inline(__always)
    private func deliver(
        _ message: clinux_message, _ body: (UnsafeMutableRawBufferPointer, Endpoint, Endpoint, UInt8) -> Void
    ) -> Int {
        if message.truncated != 0 {
            counters.truncated += 1
            return 1
        }
        let from = Endpoint(message.from)
        let to =
            message.has_to == 0
            ? local : Endpoint(IPAddress(high: message.to.high, low: message.to.low), local.port)
        let length = Int(message.length)
        let segment = Int(message.segment)
        var offset = 0
        var datagrams = 0
        repeat {
            let n = min(segment, length - offset)
            body(UnsafeMutableRawBufferPointer(start: message.bytes + offset, count: n), from, to, message.ecn)
            offset += n
            datagrams += 1
        } while offset < length
        counters.receivedDatagrams += datagrams
        counters.receivedBytes += length
        return datagrams
    }

    // MARK: Sending

    /// Sends a batch of datagrams that lie one behind the other.
    /// - Parameters:
    ///   - segmentSize: bytes of each datagram; the last one may be shorter.
    ///   - from: the local address to send from, as `receive` told it; its port does not matter. Nil: the kernel's
    ///     choice.
    ///   - ecn: the two ECN bits.
    public func send(
        _ bytes: UnsafeRawBufferPointer, segmentSize: Int, to: Endpoint, from: Endpoint?, ecn: UInt8
    ) throws(SystemError) -> SendResult {
        precondition(segmentSize > 0, "a datagram has at least one byte")
        var destination = to.raw
        var source = clinux_endpoint()
        let hasSource = from.map { !$0.address.isUnspecified } ?? false
        if hasSource, let from { source = from.raw }
        var offset = 0
        while offset < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            let sent = withUnsafePointer(to: &source) { source in
                sendSome(rest, segmentSize, &destination, hasSource ? source : nil, ecn)
            }
            counters.sendCalls += 1
            if sent >= 0 {
                counters.sentDatagrams += (sent + segmentSize - 1) / segmentSize
                counters.sentBytes += sent
                offset += sent
                continue
            }
            let code = Int32(-sent)
            if code == EAGAIN {
                counters.blocked += 1
                return .wouldBlock(sent: offset)
            }
            guard Self.isOfTheNetwork(code) else { throw SystemError(code: code, operation: "send to \(to)") }
            counters.dropped += (rest.count + segmentSize - 1) / segmentSize
            return .dropped(errno: code)
        }
        return .sent
    }

    /// One system call: the bytes that went out, whole datagrams, or a negative errno.
    private func sendSome(
        _ bytes: UnsafeRawBufferPointer, _ segmentSize: Int, _ to: UnsafePointer<clinux_endpoint>,
        _ from: UnsafePointer<clinux_endpoint>?, _ ecn: UInt8
    ) -> Int {
        let family: Int32 = isIPv6 ? 1 : 0
        guard bytes.count > segmentSize else {
            return clinux_send(socket.number, family, bytes.baseAddress, bytes.count, 0, to, from, ecn)
        }
        guard usesSegmentation, segmentSize * 2 <= Self.maximumBatch else {
            return sendEach(bytes, segmentSize, to, from, ecn)
        }
        let segments = min(Self.maximumSegments, Self.maximumBatch / segmentSize)
        let count = min(bytes.count, segments * segmentSize)
        let sent = clinux_send(
            socket.number, family, bytes.baseAddress, count, UInt16(segmentSize), to, from, ecn)
        guard sent == -Int(EIO) || sent == -Int(EINVAL) else { return sent }
        // The device cannot do it (EIO, no checksum offload), or the datagrams themselves are refused: sending them
        // without offload tells which.
        let retried = sendEach(bytes, segmentSize, to, from, ecn)
        if retried >= 0 {
            usesSegmentation = false
            counters.segmentationFailures += 1
        }
        return retried
    }

    private func sendEach(
        _ bytes: UnsafeRawBufferPointer, _ segmentSize: Int, _ to: UnsafePointer<clinux_endpoint>,
        _ from: UnsafePointer<clinux_endpoint>?, _ ecn: UInt8
    ) -> Int {
        let sent = clinux_send_each(
            socket.number, isIPv6 ? 1 : 0, bytes.baseAddress, bytes.count, segmentSize, to, from, ecn)
        return sent < 0 ? Int(sent) : min(bytes.count, Int(sent) * segmentSize)
    }

    /// Errors of a route, a firewall or a path, which other datagrams on the same socket need not meet.
    private static func isOfTheNetwork(_ code: Int32) -> Bool {
        switch code {
        case EMSGSIZE, ENETUNREACH, EHOSTUNREACH, ENETDOWN, EHOSTDOWN, ECONNREFUSED, EPERM, EACCES, EADDRNOTAVAIL,
            EINVAL, ENOBUFS, ENOMEM, EAFNOSUPPORT, ENODEV, ENONET, EIO, EPROTO, ETIMEDOUT:
            true
        default: false
        }
    }
}

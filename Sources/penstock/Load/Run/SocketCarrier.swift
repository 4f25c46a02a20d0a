import LinuxIO
import Load
import Primitives
import Tunnel

/// Carries flows on TCP sockets, each dialled to the target or through a SOCKS5 proxy.
final class SocketCarrier: FlowCarrier {
    /// Bytes read at once.
    private static let readSize = 256 << 10

    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: readSize, alignment: 16)
    private let loop: EventLoop
    /// Nil: flows go straight to their destination.
    private let proxy: Endpoint?
    /// Channels that go on at the next turn.
    private var again: [SocketChannel] = []

    init(loop: EventLoop, proxy: Endpoint?) {
        self.loop = loop
        self.proxy = proxy
    }

    deinit { input.deallocate() }

    func open(_ flow: LoadFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> any FlowChannel
    {
        let endpoint: Endpoint
        switch (proxy, destination) {
        case (let proxy?, _): endpoint = proxy
        case (nil, .endpoint(let target)): endpoint = target
        // Names are looked up before a run begins.
        case (nil, .name): throw .other
        }
        do throws(SystemError) {
            let socket = try TCPSocket.dial(endpoint)
            let channel = SocketChannel(
                flow: flow, socket: socket, carrier: self, handshake: proxy.map { _ in SocksHandshake(to: destination) }
            )
            try loop.add(socket.descriptor, channel)
            return channel
        } catch {
            throw FlowFailure(errno: error.code)
        }
    }

    func close(_ channel: SocketChannel, reset: Bool) {
        loop.remove(channel.socket.descriptor)
        if reset { channel.socket.reset() } else { channel.socket.close() }
    }

    // MARK: - Turns

    func comeBack(to channel: SocketChannel) { again.append(channel) }

    /// There is work that no socket will report.
    var hasMore: Bool { !again.isEmpty }

    func turn(now: Instant) {
        let waiting = again
        again = []
        for channel in waiting { channel.goOn(now: now) }
    }
}

extension FlowFailure {
    init(errno code: Int32) {
        self =
            switch NetworkFailure(errno: code) {
            case .refused: .refused
            case .networkUnreachable: .networkUnreachable
            case .hostUnreachable: .hostUnreachable
            case .timedOut: .timedOut
            case .notAllowed: .notAllowed
            case .outOfResources: .outOfResources
            case .other: .other
            }
    }
}

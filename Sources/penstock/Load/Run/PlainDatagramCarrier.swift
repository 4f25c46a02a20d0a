import LinuxIO
import Load
import Primitives
import Tunnel

/// Carries datagrams on UDP sockets of this machine: through the TUN where routes lead there, else directly.
final class PlainDatagramCarrier: DatagramCarrier {
    /// Datagrams taken from one socket before the others get their turn.
    private static let budget = 1_024

    private let loop: EventLoop
    private var sockets: [PlainDatagramChannel] = []

    init(loop: EventLoop) { self.loop = loop }

    func open(_ flow: DatagramFlow, to destination: DestinationAddress, now: Instant) throws(FlowFailure)
        -> any DatagramFlowChannel
    {
        guard case .endpoint(let endpoint) = destination else { throw .other }
        do throws(SystemError) {
            let any: IPAddress = endpoint.address.isIPv4 ? .v4(IPv4Address(0)) : .v6(IPv6Address(high: 0, low: 0))
            let channel = PlainDatagramChannel(
                flow: flow, socket: try UDPSocket(bind: Endpoint(any, 0)), remote: endpoint)
            try loop.add(
                channel.socket.descriptor, Handler { [unowned channel] _ in channel.hasMore = true },
                interest: .readable)
            channel.carrier = self
            sockets.append(channel)
            return channel
        } catch {
            throw FlowFailure(errno: error.code)
        }
    }

    func remove(_ channel: PlainDatagramChannel) {
        loop.remove(channel.socket.descriptor)
        sockets.removeAll { $0 === channel }
    }

    var hasMore: Bool { sockets.contains(where: \.hasMore) }

    func turn(now: Instant) {
        for socket in sockets where socket.hasMore { socket.receive(budget: Self.budget, now: now) }
    }
}

final class PlainDatagramChannel: DatagramFlowChannel {
    let socket: UDPSocket
    private let flow: DatagramFlow
    private let remote: Endpoint
    weak var carrier: PlainDatagramCarrier?
    var hasMore = false

    init(flow: DatagramFlow, socket: UDPSocket, remote: Endpoint) {
        self.flow = flow
        self.socket = socket
        self.remote = remote
    }

    func send(_ bytes: UnsafeRawBufferPointer, size: Int, now: Instant) throws(FlowFailure) -> Int {
        do throws(SystemError) {
            switch try socket.send(bytes, segmentSize: size, to: remote, from: nil, ecn: 0) {
            case .sent: return bytes.count / size
            case .wouldBlock(let sent): return sent / size
            case .dropped(let code): throw SystemError(code: code, operation: "send to \(remote)")
            }
        } catch {
            throw error.isTooLarge ? .tooLarge : FlowFailure(errno: error.code)
        }
    }

    func receive(budget: Int, now: Instant) {
        hasMore = socket.receive(
            { datagram, from, _, _ in
                if from == remote { flow.channelReceived(UnsafeRawBufferPointer(datagram), now: now) }
            }, budget: budget)
    }

    func close() { carrier?.remove(self) }
}

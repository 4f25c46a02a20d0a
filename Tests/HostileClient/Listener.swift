import LinuxIO
import Primitives
import QuicTransport

/// The QUIC end of a server with somebody else's certificate: a socket, and the connections that come to it.
final class Listener {
    let pool = BlockPool(byteLimit: 64 << 20)
    private let endpoint: QuicEndpoint
    private let socket: UDPSocket
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

    init(_ options: ListenOptions) throws(Failure) {
        do {
            socket = try UDPSocket(bind: options.listen)
            endpoint = QuicEndpoint(
                identity: try ServerIdentity(
                    certificateChainPEM: options.certificate, privateKeyPEM: options.privateKey),
                resetKey: [UInt8](repeating: 0, count: 32), pool: pool, random: SystemRandom())
        } catch {
            throw .trouble("\(error)")
        }
    }

    deinit { buffer.deallocate() }

    var descriptor: Int32 { socket.descriptor }
    var nextDeadline: Instant? { endpoint.connections.reduce(nil) { earliest($0, $1.nextDeadline) } }

    /// - Parameter accept: gives a new connection its owner.
    func read(accept: (QuicConnection) -> Void) {
        let now = MonotonicClock.now
        _ = socket.receive(
            { datagram, from, to, ecn in
                _ = endpoint.handle(UnsafeRawBufferPointer(datagram), from: from, to: to, ecn: ecn, now: now)
                while let connection = endpoint.nextAccepted() { accept(connection) }
            }, budget: .max)
        for connection in endpoint.connections {
            if let deadline = connection.nextDeadline, deadline <= now { connection.handleTimeout(now: now) }
            while connection.nextEvent() != nil {}
        }
    }

    func flush() {
        let now = MonotonicClock.now
        for connection in endpoint.connections {
            while let batch = connection.nextBatch(into: buffer, now: now) {
                // What the network does not take, QUIC sends again.
                _ = try? socket.send(
                    UnsafeRawBufferPointer(rebasing: buffer[..<batch.count]), segmentSize: batch.segmentSize,
                    to: batch.remote, from: batch.local, ecn: batch.ecn)
            }
            if connection.state == .closed { endpoint.remove(connection) }
        }
    }
}

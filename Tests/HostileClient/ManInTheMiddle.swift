import LinuxIO
import Primitives
import QuicTransport

/// Stands between a client and its server with the server's certificate and its TLS key, and passes on every byte of every stream
/// both ways: what whoever has broken TLS would do, as long as it does not have the key of the tunnel.
final class ManInTheMiddle: Party, QuicConnectionOwner {
    private struct Way {
        let client: QuicStream
        /// Nil as long as the connection to the server is not up.
        var server: QuicStream?
        /// The client's bytes that were not passed on yet.
        var waiting: [UInt8] = []
        /// How many of the server's bytes were.
        var passed = 0
    }

    /// A client's connection, and the one to the server that goes with it.
    private final class Pair {
        let client: QuicConnection
        let server: Connection
        /// In the order in which the client has opened its streams, so that each has the same number at the server.
        var ways: [Way] = []
        var isOver = false

        init(_ client: QuicConnection, _ server: Connection) {
            self.client = client
            self.server = server
        }
    }

    private let options: MiddleOptions
    private let listener: Listener
    private let network: Network
    private var pairs: [Pair] = []

    init(_ options: MiddleOptions, network: Network) throws(Failure) {
        self.options = options
        self.network = network
        listener = try Listener(options.listener)
    }

    // MARK: - Party

    var descriptor: Int32 { listener.descriptor }
    var nextDeadline: Instant? { listener.nextDeadline }

    func read() {
        listener.read { connection in
            guard let server = try? Connection(options.server, pool: listener.pool) else { return }
            connection.owner = self
            connection.context = pairs.count
            pairs.append(Pair(connection, server))
            network.add(server)
        }
    }

    func flush() {
        for pair in pairs where !pair.isOver { passOn(pair) }
        listener.flush()
    }

    func close() {}

    // MARK: - Passing on

    private func passOn(_ pair: Pair) {
        if let reason = pair.server.closed {
            pair.isOver = true
            if case .peerClosed(let code, application: true, _) = reason {
                pair.client.close(code: code, message: "", now: MonotonicClock.now)
            }
            return
        }
        guard pair.server.isEstablished else { return }
        for index in pair.ways.indices {
            guard let server = pair.ways[index].server ?? pair.server.connection.openStream() else { return }
            pair.ways[index].server = server
            server.append(pair.ways[index].waiting)
            pair.ways[index].waiting = []
            let arrived = pair.server.arrivals(on: server).bytes
            pair.ways[index].client.append(Array(arrived[pair.ways[index].passed...]))
            pair.ways[index].passed = arrived.count
        }
    }

    // MARK: - QuicConnectionOwner

    func connection(_ connection: QuicConnection, opened stream: QuicStream) {
        let pair = pairs[connection.context]
        stream.context = pair.ways.count
        pair.ways.append(Way(client: stream))
    }

    func connection(_ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream) {
        connection.extendCredit(on: stream, by: bytes.count)
        pairs[connection.context].ways[stream.context].waiting += bytes
    }

    func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream) {}
    func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64) {}
    func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64) {}
    func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream) {}
    func connection(_ connection: QuicConnection, closed stream: QuicStream) {}
    func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer) {}
    func connectionCanOpenStreams(_ connection: QuicConnection) {}
}

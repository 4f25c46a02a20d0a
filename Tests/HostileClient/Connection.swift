import LinuxIO
import Primitives
import QuicTransport
import Tunnel

/// One QUIC connection to the server on a socket of its own, and everything that came on it, as it came.
final class Connection: Party, QuicConnectionOwner {
    /// What came on one stream.
    struct Arrivals {
        var bytes: [UInt8] = []
        var isFinished = false
        /// The code of RESET_STREAM.
        var reset: UInt64?
        /// The code of STOP_SENDING.
        var stopped: UInt64?
    }

    let connection: QuicConnection
    private(set) var isEstablished = false
    private(set) var closed: CloseReason?
    private(set) var datagrams: [[UInt8]] = []
    private var streams: [StreamID: Arrivals] = [:]
    private let socket: UDPSocket
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

    init(_ server: ServerOptions, pool: BlockPool) throws(Failure) {
        var settings = TransportSettings()
        settings.maximumStreams = 0
        do {
            let any = server.address.address.isIPv4 ? Endpoint("0.0.0.0:0") : Endpoint("[::]:0")
            socket = try UDPSocket(bind: any!)
            connection = try QuicConnection.client(
                to: server.address, local: socket.local,
                trust: .authorities(pem: server.authority, serverName: server.name), settings: settings,
                pool: pool, random: SystemRandom(), now: MonotonicClock.now)
        } catch {
            throw .trouble("\(error)")
        }
        connection.owner = self
    }

    deinit { buffer.deallocate() }

    func arrivals(on stream: QuicStream) -> Arrivals { streams[stream.id] ?? Arrivals() }

    func openStream() throws(Failure) -> QuicStream {
        guard let stream = connection.openStream() else { throw .trouble("the server allows no stream") }
        return stream
    }

    /// Queues bytes as they are.
    func write(_ bytes: [UInt8], on stream: QuicStream) throws(Failure) {
        guard stream.append(bytes) else { throw .trouble("no memory to write to") }
    }

    func send(datagram: [UInt8]) throws(Failure) {
        let isQueued = datagram.withUnsafeBytes { connection.sendDatagram($0, now: MonotonicClock.now) }
        guard isQueued else { throw .trouble("a datagram cannot be sent") }
    }

    // MARK: - Party

    var descriptor: Int32 { socket.descriptor }
    var nextDeadline: Instant? { connection.nextDeadline }

    func read() {
        let now = MonotonicClock.now
        _ = socket.receive(
            { datagram, from, _, ecn in
                connection.handle(UnsafeRawBufferPointer(datagram), from: from, to: socket.local, ecn: ecn, now: now)
            }, budget: .max)
        if let deadline = connection.nextDeadline, deadline <= now { connection.handleTimeout(now: now) }
        noteEvents()
    }

    func flush() {
        while let batch = connection.nextBatch(into: buffer, now: MonotonicClock.now) {
            // What the network does not take, QUIC sends again.
            _ = try? socket.send(
                UnsafeRawBufferPointer(rebasing: buffer[..<batch.count]), segmentSize: batch.segmentSize,
                to: batch.remote, from: nil, ecn: batch.ecn)
        }
        noteEvents()
    }

    func close() {
        connection.close(code: TunnelErrorCode.noError.rawValue, message: "", now: MonotonicClock.now)
        flush()
    }

    private func noteEvents() {
        while let event = connection.nextEvent() {
            switch event {
            case .established: isEstablished = true
            case .closed(let reason): closed = reason
            case .pathValidated, .pathFailed: break
            }
        }
    }

    // MARK: - QuicConnectionOwner

    func connection(_ connection: QuicConnection, opened stream: QuicStream) {}

    func connection(_ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream) {
        streams[stream.id, default: Arrivals()].bytes += bytes
        connection.extendCredit(on: stream, by: bytes.count)
    }

    func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream) {
        streams[stream.id, default: Arrivals()].isFinished = true
    }

    func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64) {
        streams[stream.id, default: Arrivals()].reset = code
    }

    func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64) {
        streams[stream.id, default: Arrivals()].stopped = code
    }

    func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream) {}
    func connection(_ connection: QuicConnection, closed stream: QuicStream) {}

    func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer) {
        datagrams.append(Array(bytes))
    }

    func connectionCanOpenStreams(_ connection: QuicConnection) {}
}

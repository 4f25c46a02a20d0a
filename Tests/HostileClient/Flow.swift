import Primitives
import QuicTransport
import Sealing
import Tunnel

/// One TCP connection through the tunnel, whose sealed bytes the attack holds in its hands before they are sent.
final class Flow {
    let link: Connection
    let stream: QuicStream
    private let sealed: FlowStream
    private let network: Network
    private var queue: BlockQueue
    private var taken = 0
    /// The server's answer to the request.
    private(set) var reply: FlowReplyCode?
    /// What the destination has sent back.
    private(set) var echo: [UInt8] = []

    /// Takes a stream; nothing is sent.
    init(_ session: Session, network: Network) throws(Failure) {
        link = session.link
        stream = try link.openStream()
        sealed = FlowStream(keys: session.keys, stream: stream.id.rawValue, role: .client)
        queue = BlockQueue(pool: session.pool)
        self.network = network
    }

    // MARK: - Sealing

    func sealedRequest(to destination: Endpoint) throws(Failure) -> [UInt8] {
        let output = SealedBytes()
        guard sealed.send(message: FlowRequest(.connect, to: .endpoint(destination)).encode(), to: output) else {
            throw .trouble("a request could not be sealed")
        }
        return output.bytes
    }

    /// One chunk.
    func sealedChunk(_ text: [UInt8]) throws(Failure) -> [UInt8] {
        let output = SealedBytes()
        guard text.withUnsafeBytes({ sealed.seal($0, to: output) }) == text.count,
            output.bytes.count == text.count + ChunkSealer.overhead
        else { throw .trouble("a chunk could not be sealed") }
        return output.bytes
    }

    func write(_ bytes: [UInt8]) throws(Failure) { try link.write(bytes, on: stream) }

    func finish() { link.connection.finish(stream) }

    // MARK: - What came

    var arrivals: Connection.Arrivals { link.arrivals(on: stream) }

    func awaitReply() throws(Failure) {
        try network.need("the server's reply") { () throws(Failure) in
            try take()
            return reply != nil
        }
        guard reply == .succeeded else { throw .trouble("the server replied \(reply!)") }
    }

    func awaitEcho(of count: Int) throws(Failure) {
        try network.need("an echo of \(count) bytes") { () throws(Failure) in
            try take()
            return echo.count >= count
        }
    }

    /// Opens what has come since.
    private func take() throws(Failure) {
        let arrivals = arrivals
        if let code = arrivals.reset { throw .trouble("an honest flow was reset: \(TunnelErrorCode.describe(code))") }
        if let closed = link.closed { throw .trouble("the connection is over: \(closed)") }
        let new = arrivals.bytes[taken...]
        taken = arrivals.bytes.count
        guard !new.isEmpty else { return }
        do throws(OpenError) {
            try new.withUnsafeBytesTyped { (bytes) throws(OpenError) in
                guard let message = try sealed.open(bytes, into: &queue) else { return }
                reply = (try? FlowReply(parsing: message))?.code
            }
        } catch {
            throw .trouble("what the server sealed does not open: \(error)")
        }
        queue.forEachRegion {
            echo += $0
            return true
        }
        queue.consume(queue.count)
    }
}

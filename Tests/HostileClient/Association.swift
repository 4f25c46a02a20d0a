import Primitives
import QuicTransport
import Sealing
import Tunnel

/// One UDP association through the tunnel, whose sealed datagrams the attack holds in its hands before they are sent.
final class Association {
    let link: Connection
    let stream: QuicStream
    private let destination: Endpoint
    private let sealed: FlowStream
    private let channel: DatagramChannel
    private let network: Network
    private var queue: BlockQueue
    private var taken = 0
    private var datagramsTaken = 0
    private(set) var reply: FlowReplyCode?
    /// The payloads that the destination has sent back.
    private(set) var echoes: [[UInt8]] = []

    /// Takes a stream; nothing is sent.
    init(_ session: Session, to destination: Endpoint, network: Network) throws(Failure) {
        link = session.link
        stream = try link.openStream()
        self.destination = destination
        sealed = FlowStream(keys: session.keys, stream: stream.id.rawValue, role: .client)
        channel = DatagramChannel(
            keys: session.keys, stream: stream.id.rawValue, role: .client, requested: destination)
        queue = BlockQueue(pool: session.pool)
        self.network = network
    }

    func open() throws(Failure) {
        let output = SealedBytes()
        guard sealed.send(message: FlowRequest(.udp, to: .endpoint(destination)).encode(), to: output) else {
            throw .trouble("a request could not be sealed")
        }
        try link.write(output.bytes, on: stream)
        try network.need("the server's reply") { () throws(Failure) in
            try takeReply()
            return reply != nil
        }
        guard reply == .succeeded else { throw .trouble("the server replied \(reply!)") }
    }

    func sealedDatagram(_ text: [UInt8]) throws(Failure) -> [UInt8] {
        var output = [UInt8](repeating: 0, count: channel.sealedSize(text.count, destination))
        let count = text.withUnsafeBytes { text in
            output.withUnsafeMutableBytes { channel.seal(text, destination, into: $0) }
        }
        guard count == output.count else { throw .trouble("a datagram could not be sealed") }
        return output
    }

    func awaitEchoes(_ count: Int) throws(Failure) {
        try network.need("echo number \(count) of a datagram") { () throws(Failure) in
            takeDatagrams()
            return echoes.count >= count
        }
    }

    private func takeReply() throws(Failure) {
        let arrived = link.arrivals(on: stream).bytes
        let new = arrived[taken...]
        taken = arrived.count
        guard !new.isEmpty else { return }
        do throws(OpenError) {
            try new.withUnsafeBytesTyped { (bytes) throws(OpenError) in
                guard let message = try sealed.open(bytes, into: &queue) else { return }
                reply = (try? FlowReply(parsing: message))?.code
            }
        } catch {
            throw .trouble("what the server sealed does not open: \(error)")
        }
    }

    private func takeDatagrams() {
        for datagram in link.datagrams[datagramsTaken...] {
            var clear = [UInt8](repeating: 0, count: datagram.count)
            let count = datagram.withUnsafeBytes { sealed in
                clear.withUnsafeMutableBytes { clear in (try? channel.open(sealed, into: clear))??.count }
            }
            if let count { echoes.append(Array(clear[..<count])) }
        }
        datagramsTaken = link.datagrams.count
    }
}

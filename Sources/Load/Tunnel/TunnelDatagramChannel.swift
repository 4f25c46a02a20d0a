import Primitives
import QuicTransport
import Sealing
import Tunnel

/// An association of the load on a stream of a link: its datagrams travel as those of Penstock's client do.
final class TunnelDatagramChannel: DatagramFlowChannel {
    /// What `QuicStream.context` is for the streams of associations, where flows have their place.
    static let context = -2
    /// Bytes of records that may wait on the stream; what comes beyond that is lost.
    static let maximumStreamed = 64 << 10

    private enum Phase {
        /// The server has not answered: datagrams go over the stream, right behind the request.
        case opening
        case open
        case over(FlowFailure)
    }

    private unowned let link: TunnelLink
    private var flow: DatagramFlow?
    let stream: QuicStream
    private let sealed: FlowStream
    private let channel: DatagramChannel
    /// The far end of all datagrams. Where the request names it, only the server knows its address; messages do not need it.
    private let destination: Endpoint
    private var queue: BlockQueue
    private var phase = Phase.opening

    init(flow: DatagramFlow, link: TunnelLink, keys: SessionKeys, stream: QuicStream, destination: DestinationAddress) {
        self.flow = flow
        self.link = link
        self.stream = stream
        self.destination =
            switch destination {
            case .endpoint(let endpoint): endpoint
            case .name(_, let port): Endpoint(Endpoint.unspecified.address, port)
            }
        sealed = FlowStream(keys: keys, stream: stream.id.rawValue, role: .client)
        channel = DatagramChannel(keys: keys, stream: stream.id.rawValue, role: .client, requested: self.destination)
        queue = BlockQueue(pool: link.pool)
        stream.context = Self.context
        // Without memory for the request nothing is ever answered.
        _ = sealed.send(message: FlowRequest(.udp, to: destination).encode(), to: stream)
    }

    // MARK: - From the flow

    func send(_ bytes: UnsafeRawBufferPointer, size: Int, now: Instant) throws(FlowFailure) -> Int {
        if case .over(let failure) = phase { throw failure }
        guard size <= DatagramMessage.maximumPayload else { throw .tooLarge }
        var sent = 0
        for start in stride(from: 0, to: bytes.count, by: size) {
            guard send(UnsafeRawBufferPointer(rebasing: bytes[start..<start + size]), now: now) else { break }
            sent += 1
        }
        return sent
    }

    private func send(_ payload: UnsafeRawBufferPointer, now: Instant) -> Bool {
        if case .open = phase, let space = link.connection.datagramSpace(channel.sealedSize(payload.count, destination))
        {
            guard let count = channel.seal(payload, destination, into: space) else { return false }
            link.connection.sendDatagram(count, now: now)
            return true
        }
        let waiting = stream.buffered
        guard stream.isWritable, waiting == 0 || waiting + payload.count <= Self.maximumStreamed else { return false }
        let count = channel.writeRecord(payload, destination, to: link.datagramMemory)
        let record = UnsafeRawBufferPointer(rebasing: link.datagramMemory[..<count])
        // Half a record would make nonsense of all that follow.
        guard sealed.seal(record, to: stream) == count else {
            fail(.outOfResources)
            return false
        }
        return true
    }

    func close() {
        if case .over = phase {} else { link.connection.finish(stream) }
        phase = .over(.other)
        flow = nil
        link.forget(self)
    }

    // MARK: - From the link

    /// A QUIC datagram of this association.
    func receive(datagram: UnsafeRawBufferPointer) {
        // One that was changed, or comes twice, is as good as lost.
        guard let opened = try? channel.open(datagram, into: link.datagramMemory) else { return }
        deliver(opened.message, opened.count)
    }

    /// Bytes of the stream: the answer to the request, then records.
    func receive(_ bytes: UnsafeRawBufferPointer) {
        do throws(OpenError) {
            if let message = try sealed.open(bytes, into: &queue) { answer(message) }
        } catch {
            return fail(error == .outOfMemory ? .outOfResources : .badAnswer)
        }
        do throws(MessageError) {
            records: while case .open = phase {
                switch try channel.nextRecord(from: &queue, into: link.datagramMemory) {
                case .incomplete: break records
                case .unknown: continue
                case .message(let message, let count): deliver(message, count)
                }
            }
        } catch {
            return fail(.badAnswer)
        }
        let credit = sealed.newCredit(held: queue.count + queue.staged)
        if credit > 0 { link.connection.extendCredit(on: stream, by: credit) }
    }

    private func answer(_ message: [UInt8]) {
        guard let reply = try? FlowReply(parsing: message) else { return fail(.badAnswer) }
        if let failure = FlowFailure(reply.code) { return fail(failure) }
        phase = .open
    }

    private func deliver(_ message: DatagramMessage, _ count: Int) {
        switch message {
        case .payload:
            flow?.channelReceived(UnsafeRawBufferPointer(rebasing: link.datagramMemory[..<count]), now: link.last)
        case .failure(_, let code): flow?.channelFailed(FlowFailure(code) ?? .other)
        }
    }

    /// The server has ended the stream, or reset it.
    func streamEnded() { fail(.endedEarly) }

    /// The association is over: the flow learns it with the next datagrams that it sends.
    func fail(_ failure: FlowFailure) {
        if case .over = phase { return }
        phase = .over(failure)
        link.connection.reset(stream, code: TunnelErrorCode.flowReset.rawValue)
        link.connection.stopReceiving(stream, code: TunnelErrorCode.flowReset.rawValue)
    }
}

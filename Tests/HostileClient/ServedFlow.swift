import LinuxIO
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// What an honest flow was sent last, to be sent again on another.
final class Recording {
    var flow: [UInt8] = []
}

/// One flow or association of the real client: good lines come back as they are, and any other one makes the server play the trick
/// that the port of the destination stands for.
final class ServedFlow {
    private let connection: QuicConnection
    private let stream: QuicStream
    private let recording: Recording
    private let sealed: FlowStream
    private let keys: SessionKeys
    private var queue: BlockQueue
    private var trick: Trick?
    private var channel: DatagramChannel?
    /// Everything that was sent on the stream, sealed.
    private var sent: [UInt8] = []
    /// The chunk or the datagram that was sent last.
    private(set) var last: [UInt8] = []
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: DatagramChannel.maximumRecord, alignment: 16)

    init(
        _ connection: QuicConnection, _ stream: QuicStream, keys: SessionKeys, pool: BlockPool, recording: Recording
    ) {
        self.connection = connection
        self.stream = stream
        self.keys = keys
        self.recording = recording
        sealed = FlowStream(keys: keys, stream: stream.id.rawValue, role: .server)
        queue = BlockQueue(pool: pool)
    }

    deinit { memory.deallocate() }

    // MARK: - What tricks are made of

    /// The next chunk, not sent.
    func sealedChunk(_ text: [UInt8]) -> [UInt8] {
        let output = SealedBytes()
        _ = text.withUnsafeBytes { sealed.seal($0, to: output) }
        return output.bytes
    }

    /// The next datagram of this association, not sent.
    func sealedDatagram(_ text: [UInt8]) -> [UInt8] {
        guard let channel else { return [] }
        var output = [UInt8](repeating: 0, count: channel.sealedSize(text.count, channel.requested))
        _ = text.withUnsafeBytes { text in
            output.withUnsafeMutableBytes { channel.seal(text, channel.requested, into: $0) }
        }
        return output
    }

    /// What another flow was sent.
    var recorded: [UInt8] { recording.flow }

    // MARK: - The client's bytes

    func receive(_ bytes: UnsafeRawBufferPointer) {
        do {
            if let message = try sealed.open(bytes, into: &queue) { begin(try FlowRequest(parsing: message)) }
            if channel != nil { return try receiveRecords() }
        } catch {
            return connection.reset(stream, code: TunnelErrorCode.sealingFailed.rawValue)
        }
        var text: [UInt8] = []
        queue.forEachRegion {
            text += $0
            return true
        }
        guard !text.isEmpty else { return }
        queue.consume(queue.count)
        answer(text)
    }

    private func begin(_ request: FlowRequest) {
        guard case .endpoint(let destination) = request.destination else { return }
        trick = Trick.at(destination.port)
        if request.command == .udp {
            channel = DatagramChannel(
                keys: keys, stream: stream.id.rawValue, role: .server, requested: destination)
        }
        let output = SealedBytes()
        _ = sealed.send(message: FlowReply(.succeeded).encode(), to: output)
        if let trick, trick.place == .reply { play(trick, output.bytes) } else { send(output.bytes) }
    }

    private func answer(_ text: [UInt8]) {
        if text == Scene.good { return send(sealedChunk(text)) }
        guard let trick, trick.place == .chunk else { return }
        play(trick, last)
    }

    private func play(_ trick: Trick, _ bytes: [UInt8]) {
        stream.append(trick.make(self, bytes))
        if trick.isFinished { connection.finish(stream) }
    }

    private func send(_ bytes: [UInt8]) {
        last = bytes
        sent += bytes
        stream.append(bytes)
        if trick == nil { recording.flow = sent }
    }

    // MARK: - Datagrams

    func receive(datagram: UnsafeRawBufferPointer) {
        guard let (_, count) = try? channel?.open(datagram, into: memory) else { return }
        answerDatagram(Array(memory[..<count]))
    }

    private func receiveRecords() throws(MessageError) {
        while let channel {
            guard case .message(_, let count) = try channel.nextRecord(from: &queue, into: memory) else { return }
            answerDatagram(Array(memory[..<count]))
        }
    }

    private func answerDatagram(_ text: [UInt8]) {
        if text != Scene.good, let trick, trick.place == .datagram { send(datagram: trick.make(self, last)) }
        last = sealedDatagram(Scene.good)
        send(datagram: last)
    }

    private func send(datagram: [UInt8]) {
        _ = datagram.withUnsafeBytes { connection.sendDatagram($0, now: MonotonicClock.now) }
    }
}

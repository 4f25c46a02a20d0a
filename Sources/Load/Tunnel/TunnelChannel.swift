import Primitives
import QuicTransport
import Sealing
import Tunnel

/// A flow of the load on a stream of a link.
final class TunnelChannel: FlowChannel {
    /// Sealed bytes that may wait on a stream, however fast the path is: bytes that wait here have not been sent.
    static let unsentLimit = 512 << 10

    private unowned let link: TunnelLink
    private var flow: LoadFlow?
    private let destination: DestinationAddress
    private(set) var stream: QuicStream?
    private var sealed: FlowStream?
    private var queue: BlockQueue
    /// The server has said that its dial succeeded.
    private var isConnected = false
    private var isStreamOver = false
    /// The flow was told that there is no room.
    private var wantsRoom = false

    init(flow: LoadFlow, link: TunnelLink, destination: DestinationAddress) {
        self.flow = flow
        self.link = link
        self.destination = destination
        queue = BlockQueue(pool: link.pool)
    }

    var isOver: Bool { flow == nil }

    /// The link has a stream for this flow: the request goes out.
    func begin(_ stream: QuicStream, _ sealed: FlowStream) {
        self.stream = stream
        self.sealed = sealed
        let request = FlowRequest(.connect, to: destination)
        // Without memory for the request nothing is ever sent, and the flow ends unfinished.
        _ = sealed.send(message: request.encode(), to: stream)
    }

    // MARK: - From the flow

    func write(_ bytes: UnsafeRawBufferPointer, now: Instant) -> Int {
        guard let stream, let sealed, isConnected, !isStreamOver else { return 0 }
        let room = min(unsentLimit - stream.unsent, bytes.count)
        let taken = room > 0 ? sealed.seal(UnsafeRawBufferPointer(rebasing: bytes[..<room]), to: stream) : 0
        if taken < bytes.count, !wantsRoom {
            wantsRoom = true
            if taken < room { link.starve(self) }
        }
        return taken
    }

    func finish(now: Instant) {
        if let stream, !isStreamOver { link.connection.finish(stream) }
    }

    func close(reset: Bool, now: Instant) {
        guard flow != nil else { return }
        flow = nil
        if let stream, !isStreamOver {
            if reset {
                link.connection.reset(stream, code: TunnelErrorCode.flowReset.rawValue)
                link.connection.stopReceiving(stream, code: TunnelErrorCode.flowReset.rawValue)
            } else {
                link.connection.finish(stream)
                link.connection.stopReceiving(stream, code: TunnelErrorCode.notReading.rawValue)
            }
        }
        link.forget(self)
    }

    // MARK: - From the link

    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard let stream, let sealed, let flow else { return }
        let now = link.last
        do throws(OpenError) {
            if let message = try sealed.open(bytes, into: &queue) { answer(message, now: now) }
        } catch {
            return fail(error == .outOfMemory ? .outOfResources : .badAnswer)
        }
        if !queue.isEmpty {
            let count = queue.count
            queue.forEachRegion { region in
                flow.channelReceived(region, now: now)
                return !isOver
            }
            queue.consume(count)
        }
        guard !isOver else { return }
        let credit = sealed.newCredit(held: queue.count + queue.staged)
        if credit > 0 { link.connection.extendCredit(on: stream, by: credit) }
    }

    /// The server's answer to the request.
    private func answer(_ message: [UInt8], now: Instant) {
        guard let reply = try? FlowReply(parsing: message) else { return fail(.badAnswer) }
        if let failure = FlowFailure(reply.code) { return fail(failure) }
        isConnected = true
        flow?.channelOpened(now: now)
    }

    func receiveEnd() {
        guard isConnected, sealed?.isBetweenChunks == true else { return fail(.badAnswer) }
        flow?.channelEnded(now: link.last)
    }

    /// RESET_STREAM or STOP_SENDING.
    func receiveReset(code: UInt64) {
        switch TunnelErrorCode(rawValue: code) {
        case .resourceLimit: fail(isConnected ? .outOfResources : .tooManyFlows)
        case .policyDenied: fail(.notAllowed)
        case .shuttingDown, .kicked: fail(.tunnelLost)
        case .noError, .flowReset, .notReading, .authenticationFailed, .suiteNotAllowed, .protocolViolation,
            .sealingFailed, .flowIdle, .internalError, nil:
            fail(.reset)
        }
    }

    /// Sealed bytes have left in packets.
    func left(_ count: Int) {
        guard let stream, let sealed else { return }
        _ = sealed.left(count, remaining: stream.unsent)
        if wantsRoom, stream.unsent <= unsentLimit / 2 { makeWritable() }
    }

    /// What the path needs.
    private var unsentLimit: Int { min(Self.unsentLimit, link.connection.readyBytes) }

    func makeWritable() {
        wantsRoom = false
        flow?.channelWritable(now: link.last)
    }

    func streamClosed() { isStreamOver = true }

    func fail(_ failure: FlowFailure) { flow?.channelFailed(failure, now: link.last) }
}

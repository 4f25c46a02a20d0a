import Primitives

/// One bidirectional stream. Its owner writes through the connection and keeps what it likes in `context`.
///
/// Bytes given to the stream stay where they are until the peer has acknowledged them.
public final class QuicStream {
    /// What this side may still write.
    enum SendState {
        case open
        /// FIN follows what is queued.
        case finishing
        /// FIN has left.
        case finished
        /// RESET_STREAM was sent, by us or as the answer to STOP_SENDING; or the stream is over.
        case reset
    }

    /// What the peer may still write.
    enum ReceiveState {
        case open
        /// FIN, RESET_STREAM or our STOP_SENDING: no more bytes come.
        case ended
    }

    public let id: StreamID
    /// The owner's own slot.
    public var context = 0

    var queue: BlockQueue
    var sendState = SendState.open
    var receiveState = ReceiveState.open
    /// Bytes that the owner has received and not given back with `extendCredit`.
    var uncredited = 0
    /// The peer has asked us to stop sending, and the owner knows.
    var wasStopped = false

    // The links of the ready list, and the bytes sent that the owner was not told of yet.
    var isReady = false
    var isBlocked = false
    unowned(unsafe) var nextReady: QuicStream?
    unowned(unsafe) var previousReady: QuicStream?
    var justSent = 0

    /// Nil once the connection has ended.
    weak var connection: QuicConnection?

    init(id: StreamID, connection: QuicConnection, pool: BlockPool) {
        self.id = id
        self.connection = connection
        queue = BlockQueue(pool: pool)
    }

    deinit {
        // Bytes that nobody will pass on any more must not hold the connection's window.
        if uncredited > 0 { connection?.returnConnectionCredit(uncredited) }
    }

    /// Queued bytes that no packet has carried yet.
    public var unsent: Int { queue.unread }
    /// Queued bytes, and sent bytes that were not acknowledged yet.
    public var buffered: Int { queue.count }
    /// Whether bytes can still be appended.
    public var isWritable: Bool { sendState == .open }
    /// The connection has bytes or a FIN to send on this stream.
    var hasWork: Bool { sendState == .finishing || (sendState == .open && queue.unread > 0) }

    /// Forgets everything queued; ngtcp2 must not refer to it any more.
    func dropQueue() {
        queue.discardStaged()
        queue.consume(queue.count)
        queue.trim()
        sendState = .reset
    }
}

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
    @exclusivity(unchecked) public var context = 0

    /// No access to the queue is ever open while another starts: ngtcp2 is called between them, not within.
    @exclusivity(unchecked) var queue: BlockQueue
    @exclusivity(unchecked) var sendState = SendState.open
    @exclusivity(unchecked) var receiveState = ReceiveState.open
    /// Bytes that the owner has received and not given back with `extendCredit`.
    @exclusivity(unchecked) var uncredited = 0
    /// How far the peer may send ahead.
    @exclusivity(unchecked) var window: ReceiveWindow
    /// The peer has asked us to stop sending, and the owner knows.
    @exclusivity(unchecked) var wasStopped = false

    /// The peer's window for this stream is used up.
    @exclusivity(unchecked) var isBlocked = false
    // What the send schedule keeps: the list and its links, bytes left of this turn, and whether there is work.
    @exclusivity(unchecked) var place = SendSchedule.Place.none
    @exclusivity(unchecked) var wantsTurn = false
    @exclusivity(unchecked) var deficit = 0
    unowned(unsafe) var nextInTurn: QuicStream?
    unowned(unsafe) var previousInTurn: QuicStream?
    /// Bytes sent that the owner was not told of yet, and the link of the list of such streams.
    @exclusivity(unchecked) var justSent = 0
    unowned(unsafe) var nextSent: QuicStream?

    let link: ConnectionLink

    init(id: StreamID, link: ConnectionLink, pool: BlockPool, tally: BlockTally, window: ReceiveWindow) {
        self.id = id
        self.link = link
        self.window = window
        queue = BlockQueue(pool: pool, tally: tally)
    }

    deinit {
        // Bytes that nobody will pass on any more must not hold the connection's window.
        if uncredited > 0 { link.connection?.returnConnectionCredit(uncredited) }
    }

    /// Queued bytes that no packet has carried yet.
    public var unsent: Int { queue.unread }
    /// Queued bytes, and sent bytes that were not acknowledged yet.
    public var buffered: Int { queue.count }
    /// Whether bytes can still be appended.
    public var isWritable: Bool { sendState == .open }
    /// The connection has bytes or a FIN to send on this stream.
    var hasWork: Bool { sendState == .finishing || (sendState == .open && queue.unread > 0) }

    /// Nothing more is sent. What has left and was not acknowledged stays until it is, or until the stream is closed:
    /// ngtcp2 0.12 may send lost bytes again even after RESET_STREAM.
    func abandonSending() {
        queue.discardUnread()
        sendState = .reset
    }

    /// The stream or the connection is over: ngtcp2 refers to nothing of it any more.
    func releaseQueue() {
        abandonSending()
        queue.consume(queue.count)
        queue.trim()
    }
}

/// The way from a stream back to its connection, which a stream may outlive. A weak reference would make each retain and
/// release of the connection slower.
final class ConnectionLink {
    /// Nil once the connection has ended.
    unowned(unsafe) var connection: QuicConnection?
}

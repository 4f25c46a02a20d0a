import CNgtcp2
import Primitives

// Commands of the owner on streams and datagrams.

extension QuicConnection {
    /// Opens a bidirectional stream.
    /// - Returns: nil before the handshake is complete, after the end, and while the peer allows no more streams:
    ///   `connectionCanOpenStreams` says when that changes.
    public func openStream() -> QuicStream? {
        guard isUsable else { return nil }
        var id: Int64 = -1
        guard ngtcp2_conn_open_bidi_stream(native, &id, nil) == 0 else { return nil }
        return adopt(id)
    }

    /// Contiguous memory at the tail of the stream's queue, at least `minimum` bytes (up to `BlockPool.capacity`).
    /// - Returns: nil when the pool is exhausted or the stream takes no more bytes.
    public func sendSpace(on stream: QuicStream, minimum: Int = 1) -> UnsafeMutableRawBufferPointer? {
        guard stream.sendState == .open else { return nil }
        return stream.queue.space(minimum: minimum)
    }

    /// Queues the first `count` bytes of the space that `sendSpace` has given.
    public func send(_ count: Int, on stream: QuicStream) {
        guard stream.sendState == .open, count > 0 else { return }
        stream.queue.stage(count)
        stream.queue.commit()
        makeReady(stream)
    }

    /// Ends this side's direction after what is queued.
    public func finish(_ stream: QuicStream) {
        guard stream.sendState == .open else { return }
        stream.sendState = .finishing
        stream.queue.trim()
        makeReady(stream)
    }

    /// Gives up sending: RESET_STREAM. What is queued and unsent is dropped.
    public func reset(_ stream: QuicStream, code: UInt64) {
        guard stream.sendState != .reset else { return }
        if isUsable, streams[stream.id.rawValue] != nil {
            _ = ngtcp2_conn_shutdown_stream_write(native, stream.id.rawValue, code & Self.maximumCode)
        }
        schedule.remove(stream)
        stream.abandonSending()
    }

    /// Asks the peer not to send more (STOP_SENDING). No more bytes of this stream are delivered, and the credit for
    /// those that were is given back.
    public func stopReceiving(_ stream: QuicStream, code: UInt64) {
        guard stream.receiveState == .open else { return }
        stream.receiveState = .ended
        if isUsable, streams[stream.id.rawValue] != nil {
            _ = ngtcp2_conn_shutdown_stream_read(native, stream.id.rawValue, code & Self.maximumCode)
        }
        returnConnectionCredit(stream.uncredited)
        stream.uncredited = 0
    }

    /// Lets the peer send `count` more bytes, on the stream and on the connection: the owner has really passed so many
    /// on. More than was received is not given. Works after the stream's end as well; what is left then goes back when
    /// the stream is released.
    public func extendCredit(on stream: QuicStream, by count: Int) {
        let count = min(count, stream.uncredited)
        guard count > 0 else { return }
        stream.uncredited -= count
        guard isUsable else { return }
        if stream.receiveState == .open {
            // No stream alone may use up what all of them share.
            stream.window.limit = min(settings.streamWindow, max(settings.startStreamWindow, window.size / 2))
            let grant = stream.window.passOn(count, now: latest) { roundTrip }
            _ = ngtcp2_conn_extend_max_stream_offset(native, stream.id.rawValue, UInt64(grant))
        }
        returnConnectionCredit(count)
    }

    /// Bounds what the peer may have on its way on all streams together, below the settings' `connectionWindow`. What it was
    /// granted before stays granted: the window becomes smaller as it is used. It never becomes smaller than it began.
    public func limitConnectionWindow(_ limit: Int) {
        window.limit = min(max(limit, settings.startConnectionWindow), settings.connectionWindow)
    }

    /// The smoothed one, or what a connection begins with before it is known.
    private var roundTrip: Interval {
        ngtcp2_conn_get_conn_stat(native, nativeStatistics)
        return .nanoseconds(Int64(clamping: nativeStatistics.pointee.smoothed_rtt))
    }

    /// Queues a datagram (RFC 9221). A full queue drops its oldest.
    /// - Returns: false when it cannot be sent: larger than `maximumDatagramSize`, or the connection is not established.
    public func sendDatagram(_ bytes: UnsafeRawBufferPointer, now: Instant) -> Bool {
        guard isUsable, bytes.count <= maximumDatagramSize else {
            counters.datagramsDropped += 1
            return false
        }
        datagrams.append(bytes, now: now)
        schedule.add(datagramTurn)
        return true
    }

    /// Memory for a datagram of at most `maximum` bytes, to be written in place and queued by `sendDatagram(_:now:)`
    /// before anything else is asked of this connection. A full queue drops its oldest.
    /// - Returns: nil when so large a datagram cannot be sent: see `maximumDatagramSize`.
    public func datagramSpace(_ maximum: Int) -> UnsafeMutableRawBufferPointer? {
        guard isUsable, maximum <= maximumDatagramSize else { return nil }
        return datagrams.space()
    }

    /// Queues the first `count` bytes of the memory that `datagramSpace` has given.
    public func sendDatagram(_ count: Int, now: Instant) {
        datagrams.commit(count, now: now)
        schedule.add(datagramTurn)
    }

    /// Many datagrams wait: call `nextBatch` before more are queued, or the oldest may be dropped.
    public var datagramsAreMany: Bool { datagrams.count > datagrams.limit / 2 }

    // MARK: Inside

    /// Error codes are 62-bit integers on the wire.
    static let maximumCode: UInt64 = 1 << 62 - 1

    var isUsable: Bool { state == .established && pendingClose == nil }

    func adopt(_ id: Int64) -> QuicStream {
        let stream = QuicStream(
            id: StreamID(rawValue: id), link: link, pool: pool, tally: queued,
            window: ReceiveWindow(initial: settings.startStreamWindow, limit: settings.streamWindow, now: latest))
        _ = ngtcp2_conn_set_stream_user_data(native, id, Unmanaged.passUnretained(stream).toOpaque())
        streams[id] = stream
        counters.streamsOpened += 1
        return stream
    }

    func makeReady(_ stream: QuicStream) {
        guard !stream.isBlocked || stream.queue.unread == 0 else { return }
        // A FIN alone needs no window, so it does not wait behind streams that do.
        if stream.queue.unread == 0 { schedule.addFirst(stream) } else { schedule.add(stream) }
    }

    /// Bytes have come that the owner may keep for long. When readers that sleep hold half of the window, the others need
    /// another one, as long as the limit allows.
    @inline(__always)
    func keep(_ count: Int) {
        kept += count
        guard kept > window.size / 2, isUsable else { return }
        let growth = window.makeRoom()
        if growth > 0 { ngtcp2_conn_extend_max_offset(native, UInt64(growth)) }
    }

    func returnConnectionCredit(_ count: Int) {
        kept -= count
        guard count > 0, isUsable else { return }
        let grant = window.passOn(count, now: latest) { roundTrip }
        ngtcp2_conn_extend_max_offset(native, UInt64(grant))
    }

    /// The connection ends: nothing is sent or delivered any more, and all memory goes back.
    func dropStreams() {
        for stream in streams.values {
            schedule.remove(stream)
            stream.releaseQueue()
            stream.receiveState = .ended
            stream.uncredited = 0
        }
        firstSent = nil
        link.connection = nil
        streams.removeAll()
        schedule.remove(datagramTurn)
        datagrams.removeAll()
    }
}

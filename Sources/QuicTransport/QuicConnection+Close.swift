import CNgtcp2
import Primitives

/// A close that was asked for and not carried out yet.
struct PendingClose {
    enum Frame {
        case application(code: UInt64)
        case transport(error: Int32)
        case alert(UInt8)
    }
    var frame: Frame
    var message: String
    var reason: CloseReason
}

/// What is left of a connection that was closed.
struct Farewell {
    /// The CONNECTION_CLOSE packet; empty when draining.
    var packet: [UInt8] = []
    var ecn: UInt8 = 0
    var isDue = false
    /// Datagrams that came in since, to answer ever fewer of them.
    var arrivals = 0
    var end: Instant
}

extension QuicConnection {
    /// The longest message of a CONNECTION_CLOSE, in bytes of UTF-8, so that the packet always fits.
    public static let maximumCloseMessage = 256

    /// Ends the connection and all its streams, with an application code and a text for the peer's log. The packet
    /// that says so comes from the next `nextBatch`.
    public func close(code: UInt64, message: String, now: Instant) {
        _ = advance(to: now)
        request(
            .application(code: code & Self.maximumCode), message: message,
            reason: .localClose(code: code, message: message))
        settleClose()
    }

    /// Ends the connection because ngtcp2 reports an error.
    func fail(_ result: Int32) {
        if let complaint = tls.complaint {
            return request(
                .alert(complaint.alert), message: "certificate refused: \(complaint.text)",
                reason: .certificateRejected(complaint.text))
        }
        let text = String(cString: ngtcp2_strerror(result))
        switch result {
        case NGTCP2_ERR_CRYPTO:
            let alert = ngtcp2_conn_get_tls_alert(native)
            // 120 is no_application_protocol (RFC 7301, section 3.2).
            let reason: CloseReason = alert == 120 ? .alpnMismatch : .protocolError("TLS alert \(alert)")
            request(.alert(alert), message: "", reason: reason)
        case NGTCP2_ERR_NOMEM, NGTCP2_ERR_CALLBACK_FAILURE, NGTCP2_ERR_INTERNAL, NGTCP2_ERR_PKT_NUM_EXHAUSTED:
            request(.transport(error: result), message: "", reason: .internalError(text))
        default:
            request(.transport(error: result), message: "", reason: .protocolError(text))
        }
    }

    func request(_ frame: PendingClose.Frame, message: String, reason: CloseReason) {
        guard pendingClose == nil, state == .handshaking || state == .established else { return }
        let short = String(decoding: message.utf8.prefix(Self.maximumCloseMessage), as: UTF8.self)
        pendingClose = PendingClose(frame: frame, message: short, reason: reason)
    }

    /// Carries out a requested close, once ngtcp2 is not on the stack.
    func settleClose() {
        guard !isInside, let close = pendingClose, state == .handshaking || state == .established else { return }
        var error = ngtcp2_connection_close_error()
        var packet = [UInt8](repeating: 0, count: settings.packetCapacity)
        var message = Array(close.message.utf8)
        let count = message.withUnsafeMutableBufferPointer { text in
            switch close.frame {
            case .application(let code):
                ngtcp2_connection_close_error_set_application_error(&error, code, text.baseAddress, text.count)
            case .transport(let result):
                ngtcp2_connection_close_error_set_transport_error_liberr(&error, result, text.baseAddress, text.count)
            case .alert(let alert):
                ngtcp2_connection_close_error_set_transport_error_tls_alert(&error, alert, text.baseAddress, text.count)
            }
            return ngtcp2_conn_write_connection_close(
                native, UnsafeMutableRawPointer(scratchPath).assumingMemoryBound(to: ngtcp2_path.self), packetInfo,
                &packet, packet.count, &error, latest.nanoseconds)
        }
        guard count > 0 else { return vanish(close.reason) }
        packet.removeLast(packet.count - count)
        farewell = Farewell(
            packet: packet, ecn: UInt8(packetInfo.pointee.ecn & 3), isDue: true, end: latest + closingPeriod)
        end(.closing, close.reason)
    }

    /// The peer has closed: CONNECTION_CLOSE or a stateless reset came in.
    func drain() {
        var error = ngtcp2_connection_close_error()
        ngtcp2_conn_get_connection_close_error(native, &error)
        if wasStatelesslyReset { return vanish(.statelessReset) }
        let text = UnsafeBufferPointer(
            start: UnsafePointer(error.reason), count: error.reason == nil ? 0 : error.reasonlen)
        let application = error.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION
        farewell = Farewell(end: latest + closingPeriod)
        if !application, error.error_code == 0x178 { return end(.draining, .alpnMismatch) }
        end(
            .draining,
            .peerClosed(
                code: error.error_code, application: application, message: String(decoding: text, as: UTF8.self)))
    }

    /// The end without a word to the peer.
    func vanish(_ reason: CloseReason) {
        end(.closed, reason)
    }

    /// The endpoint forgets the connection, whatever its state. From inside a callback of the owner the streams go a
    /// little later, when ngtcp2 has returned.
    func abandon() {
        let reason = CloseReason.localClose(code: 0, message: "the endpoint has dropped the connection")
        if isInside { return request(.application(code: 0), message: "", reason: reason) }
        end(.closed, reason)
        state = .closed
    }

    /// Answers a datagram during the closing period, but not each of them (RFC 9000, section 10.2.1).
    func answerFarewell(_ count: Int) {
        guard count > 0, farewell != nil else { return }
        farewell!.arrivals += 1
        // 1, 2, 4, 8, …
        if farewell!.arrivals & (farewell!.arrivals - 1) == 0 { farewell!.isDue = true }
    }

    private func end(_ state: State, _ reason: CloseReason) {
        guard self.state == .handshaking || self.state == .established else { return }
        let wasHandshaking = self.state == .handshaking
        self.state = state
        pendingClose = nil
        dropStreams()
        held.count = 0
        events.append(.closed(reason))
        if wasHandshaking { router?.handshakeEnded() }
    }

    /// Three probe timeouts (RFC 9000, section 10.2).
    private var closingPeriod: Interval {
        .nanoseconds(Int64(clamping: ngtcp2_conn_get_pto(native))) * 3
    }
}

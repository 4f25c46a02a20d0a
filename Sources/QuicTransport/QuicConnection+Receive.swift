import CNgtcp2
import Primitives

// Datagrams and time coming in.

extension QuicConnection {
    /// Takes one UDP payload. Whatever is in it, it does not trap.
    /// - Parameter ecn: the ECN codepoint it arrived with, 0 to 3.
    public func handle(
        _ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint, ecn: UInt8, now: Instant
    ) {
        let time = advance(to: now)
        switch state {
        case .handshaking, .established: break
        case .closing: return answerFarewell(datagram.count)
        case .draining, .closed: return
        }
        guard let base = datagram.baseAddress, datagram.count > 0 else { return }
        guard admits(from: remote, to: local) else { return }
        counters.packetsReceived += 1
        counters.bytesReceived += datagram.count
        arrivalPath.set(local: local, remote: remote)
        packetInfo.pointee.ecn = UInt32(ecn & 3)
        isInside = true
        let result = ngtcp2_conn_read_pkt(
            native, arrivalPath.pointer, packetInfo, base.assumingMemoryBound(to: UInt8.self), datagram.count, time)
        reportStops()
        isInside = false
        blackHole.acknowledged(justAcknowledged)
        justAcknowledged = 0
        if gateBefore != nil { settleGate() }
        if result != 0 { receivingFailed(result) }
        noteCurrentPath()
        checkLimits()
        updateKeysIfDue()
        settleClose()
    }

    /// Handles the timers that have run out.
    public func handleTimeout(now: Instant) {
        let time = advance(to: now)
        switch state {
        case .handshaking, .established:
            gate?.handleTimeout(now: latest, canWrite: ngtcp2_conn_get_cwnd_left(native) > 0)
            guard ngtcp2_conn_get_expiry(native) <= time else { return }
            isInside = true
            let result = ngtcp2_conn_handle_expiry(native, time)
            isInside = false
            switch result {
            case 0: break
            case NGTCP2_ERR_IDLE_CLOSE: vanish(.idleTimeout)
            case NGTCP2_ERR_HANDSHAKE_TIMEOUT: vanish(.handshakeTimeout)
            default: fail(result)
            }
            updateKeysIfDue()
            settleClose()
        case .closing, .draining:
            if let end = farewell?.end, end <= latest { state = .closed }
        case .closed: break
        }
    }

    /// Tells the owner of the STOP_SENDING frames in the datagram just read.
    private func reportStops() {
        var stops: UnsafePointer<cngtcp2_stop_sending>?
        let count = cngtcp2_take_stops(&stops)
        guard count > 0, let stops, isUsable else { return }
        for index in 0..<count {
            guard let stream = streams[stops[index].stream_id] else { continue }
            stop(stream, code: stops[index].code)
        }
    }

    /// ngtcp2 has sent RESET_STREAM already.
    func stop(_ stream: QuicStream, code: UInt64) {
        guard !stream.wasStopped, stream.sendState != .reset else { return }
        stream.wasStopped = true
        schedule.remove(stream)
        stream.abandonSending()
        owner?.connection(self, stopped: stream, code: code)
    }

    private func receivingFailed(_ result: Int32) {
        switch result {
        case NGTCP2_ERR_DRAINING:
            drain()
        case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
            vanish(.versionMismatch)
        case NGTCP2_ERR_DROP_CONN, NGTCP2_ERR_RETRY:
            // Only a server gets these, for a first packet that is no proper start.
            vanish(.protocolError("the first packet does not start a handshake"))
        case NGTCP2_ERR_INTERNAL where state == .established:
            // The library's limit on the pieces of a stream that wait for what is missing before them: some thousand.
            exceeded("too many gaps in a stream")
        default:
            fail(result)
        }
    }
}

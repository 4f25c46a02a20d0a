import CNgtcp2
import Primitives

// What ngtcp2 calls. The callbacks find the connection and the stream through the pointers they are given, without
// reference counting or look-ups.

extension QuicConnection {
    static func makeCallbacks(isServer: Bool) -> ngtcp2_callbacks {
        var callbacks = ngtcp2_callbacks()
        addCryptography(&callbacks, isServer: isServer)
        addIdentifiers(&callbacks)
        addStreams(&callbacks)
        addPaths(&callbacks)
        addTokens(&callbacks)
        addKeyUpdate(&callbacks)
        callbacks.handshake_completed = { _, user in withConnection(user) { $0.completeHandshake() } }
        callbacks.recv_stateless_reset = { _, _, user in
            withConnection(user) {
                $0.wasStatelesslyReset = true
                return 0
            }
        }
        callbacks.extend_max_local_streams_bidi = { _, _, user in
            withConnection(user) {
                if $0.isUsable { $0.owner?.connectionCanOpenStreams($0) }
                return 0
            }
        }
        callbacks.recv_datagram = { _, _, data, count, user in
            withConnection(user) {
                $0.counters.datagramsReceived += 1
                if $0.isUsable {
                    $0.owner?.connection($0, receivedDatagram: UnsafeRawBufferPointer(start: data, count: count))
                }
                return 0
            }
        }
        // Datagrams are numbered by their size.
        callbacks.ack_datagram = { _, size, user in
            withConnection(user) {
                $0.justAcknowledged += Int(clamping: size)
                return 0
            }
        }
        callbacks.lost_datagram = { _, _, user in
            withConnection(user) {
                $0.counters.datagramsLost += 1
                return 0
            }
        }
        return callbacks
    }

    private static func addCryptography(_ callbacks: inout ngtcp2_callbacks, isServer: Bool) {
        if isServer {
            callbacks.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb
        } else {
            callbacks.client_initial = ngtcp2_crypto_client_initial_cb
            callbacks.recv_retry = ngtcp2_crypto_recv_retry_cb
        }
        callbacks.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb
        callbacks.encrypt = ngtcp2_crypto_encrypt_cb
        callbacks.decrypt = cngtcp2_decrypt_cb
        callbacks.hp_mask = ngtcp2_crypto_hp_mask_cb
        callbacks.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb
        callbacks.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb
        callbacks.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb
        callbacks.version_negotiation = ngtcp2_crypto_version_negotiation_cb
        callbacks.rand = { destination, count, context in
            guard let handle = context?.pointee.native_handle else { return }
            Unmanaged<RandomSource>.fromOpaque(handle)._withUnsafeGuaranteedRef {
                $0.fill(UnsafeMutableRawBufferPointer(start: destination, count: count))
            }
        }
    }

    private static func addIdentifiers(_ callbacks: inout ngtcp2_callbacks) {
        callbacks.get_new_connection_id = { _, identifier, token, _, user in
            withConnection(user) { $0.makeIdentifier(identifier!, token: token!) }
        }
        callbacks.remove_connection_id = { _, identifier, user in
            withConnection(user) {
                $0.unroute(ConnectionID(identifier!.pointee))
                return 0
            }
        }
    }

    private static func addStreams(_ callbacks: inout ngtcp2_callbacks) {
        callbacks.stream_open = { _, id, user in withConnection(user) { $0.acceptStream(id) } }
        callbacks.recv_stream_data = { _, flags, _, _, data, count, user, stream in
            withStream(user, stream) { connection, stream in
                let isLast = flags & UInt32(NGTCP2_STREAM_DATA_FLAG_FIN) != 0
                connection.deliver(UnsafeRawBufferPointer(start: data, count: count), isLast: isLast, to: stream)
            }
        }
        callbacks.acked_stream_data_offset = { _, _, _, count, user, stream in
            withStream(user, stream) { connection, stream in
                connection.justAcknowledged += Int(clamping: count)
                stream.queue.consume(min(Int(clamping: count), stream.queue.count - stream.queue.unread))
            }
        }
        callbacks.extend_max_stream_data = { _, _, _, user, stream in
            withStream(user, stream) { connection, stream in
                stream.isBlocked = false
                if stream.hasWork { connection.makeReady(stream) }
            }
        }
        callbacks.stream_reset = { _, _, _, code, user, stream in
            withStream(user, stream) { connection, stream in
                guard stream.receiveState == .open else { return }
                stream.receiveState = .ended
                if connection.isUsable { connection.owner?.connection(connection, wasReset: stream, code: code) }
            }
        }
        callbacks.stream_close = { _, _, id, _, user, _ in withConnection(user) { $0.closeStream(id) } }
    }
}

@inline(__always)
private func withConnection(_ user: UnsafeMutableRawPointer?, _ body: (QuicConnection) -> Int32) -> Int32 {
    guard let user else { return NGTCP2_ERR_CALLBACK_FAILURE }
    return Unmanaged<QuicConnection>.fromOpaque(user)._withUnsafeGuaranteedRef { body($0) }
}

/// A stream that was refused has no object; what is said about it is dropped.
@inline(__always)
private func withStream(
    _ user: UnsafeMutableRawPointer?, _ stream: UnsafeMutableRawPointer?, _ body: (QuicConnection, QuicStream) -> Void
) -> Int32 {
    guard let user, let stream else { return 0 }
    Unmanaged<QuicConnection>.fromOpaque(user)._withUnsafeGuaranteedRef { connection in
        Unmanaged<QuicStream>.fromOpaque(stream)._withUnsafeGuaranteedRef { stream in body(connection, stream) }
    }
    return 0
}

extension QuicConnection {
    private func completeHandshake() -> Int32 {
        // GnuTLS lets a server pass that has ignored our offer.
        guard tls.agreedProtocol == settings.applicationProtocol else {
            request(.alert(120), message: "", reason: .alpnMismatch)
            return 0
        }
        guard tls.hasDemandedCertificate else {
            // certificate_required
            request(.alert(116), message: "", reason: .certificateRejected("none was shown"))
            return 0
        }
        guard state == .handshaking else { return 0 }
        state = .established
        ngtcp2_conn_extend_max_offset(
            native, UInt64(settings.startConnectionWindow - settings.firstConnectionWindow))
        events.append(.established)
        router?.handshakeEnded()
        leaveToken(for: arrivalPath.remote)
        provenRemote = arrivalPath.remote
        return 0
    }

    private func makeIdentifier(
        _ identifier: UnsafeMutablePointer<ngtcp2_cid>, token: UnsafeMutablePointer<UInt8>
    ) -> Int32 {
        let fresh = ConnectionID.random(loop: loop, using: random)
        identifier.pointee = fresh.native
        if let router {
            router.resetToken(for: identifier, into: token)
            route(fresh)
        } else {
            random.fill(UnsafeMutableRawBufferPointer(start: token, count: Int(NGTCP2_STATELESS_RESET_TOKENLEN)))
        }
        return 0
    }

    private func acceptStream(_ id: Int64) -> Int32 {
        guard isUsable, let owner else {
            _ = ngtcp2_conn_shutdown_stream(native, id, 0)
            return 0
        }
        owner.connection(self, opened: adopt(id))
        return 0
    }

    @inline(__always)
    private func deliver(_ bytes: UnsafeRawBufferPointer, isLast: Bool, to stream: QuicStream) {
        guard isUsable, stream.receiveState == .open else { return }
        if bytes.count > 0 {
            stream.uncredited += bytes.count
            keep(bytes.count)
            owner?.connection(self, received: bytes, on: stream)
        }
        if isLast, stream.receiveState == .open {
            stream.receiveState = .ended
            owner?.connection(self, finishedReceiving: stream)
        }
    }

    private func closeStream(_ id: Int64) -> Int32 {
        counters.lostPackets += ngtcp2_conn_get_stream_loss_count(native, id)
        // The peer may open another in its place.
        if ngtcp2_conn_is_local_stream(native, id) == 0 { ngtcp2_conn_extend_max_streams_bidi(native, 1) }
        guard let stream = streams.removeValue(forKey: id) else { return 0 }
        schedule.remove(stream)
        stream.releaseQueue()
        stream.receiveState = .ended
        if isUsable { owner?.connection(self, closed: stream) }
        return 0
    }

    // MARK: Routing

    func route(_ identifier: ConnectionID) {
        guard let router else { return }
        routedIDs.append(identifier)
        router.add(identifier, self)
    }

    func unroute(_ identifier: ConnectionID) {
        routedIDs.removeAll { $0 == identifier }
        router?.remove(identifier)
    }
}

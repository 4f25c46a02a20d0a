import CNgtcp2
import Primitives

// Key updates (RFC 9001, section 6).

extension QuicConnection {
    static func addKeyUpdate(_ callbacks: inout ngtcp2_callbacks) {
        callbacks.handshake_confirmed = { _, user in
            guard let user else { return 0 }
            Unmanaged<QuicConnection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.isConfirmed = true }
            return 0
        }
        // Asked for ahead: once after the handshake, and again when an update, ours or the peer's, has been confirmed.
        callbacks.update_key = { native, rx, tx, rxContext, rxIV, txContext, txIV, oldRX, oldTX, count, user in
            if let user {
                Unmanaged<QuicConnection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.keysPrepared += 1 }
            }
            return ngtcp2_crypto_update_key_cb(
                native, rx, tx, rxContext, rxIV, txContext, txIV, oldRX, oldTX, count, user)
        }
    }

    /// Key updates that are complete, whoever began them.
    var keyUpdates: Int { max(keysPrepared - 1, 0) }

    /// Begins a key update when the keys have done their share. Called after what came in and before what goes out; it is
    /// refused, and asked for again, while the update before is not over (section 6.5).
    func updateKeysIfDue() {
        guard isConfirmed || isServer, state == .established, pendingClose == nil else { return }
        let packets = counters.packetsSent - packetsAtKeyUpdate
        guard packets >= settings.keyUpdatePackets || latest - keysUsedSince >= settings.keyUpdateInterval else {
            return
        }
        guard ngtcp2_conn_initiate_key_update(native, latest.nanoseconds) == 0 else { return }
        packetsAtKeyUpdate = counters.packetsSent
        keysUsedSince = latest
        counters.keyUpdatesBegun += 1
    }
}

import CNgtcp2
import Primitives

// Tokens for later connections (NEW_TOKEN, RFC 9000, section 8.1.3).

extension QuicConnection {
    /// The longest token that a client keeps, in bytes: it has to fit into a first packet beside the handshake.
    static let maximumToken = 512

    static func addTokens(_ callbacks: inout ngtcp2_callbacks) {
        callbacks.recv_new_token = { _, token, user in
            guard let user, let token, token.pointee.len <= QuicConnection.maximumToken else { return 0 }
            let bytes = Array(UnsafeBufferPointer(start: UnsafePointer(token.pointee.base), count: token.pointee.len))
            Unmanaged<QuicConnection>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.addressToken = bytes }
            return 0
        }
    }

    /// Gives the client a token for the address at which it has just been proven to be.
    func leaveToken(for remote: Endpoint) {
        guard isServer, let token = router?.makeToken(for: remote, now: latest) else { return }
        if ngtcp2_conn_submit_new_token(native, token, token.count) == 0 { counters.tokensGiven += 1 }
    }
}

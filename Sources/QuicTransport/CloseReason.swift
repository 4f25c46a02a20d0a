import CNgtcp2
import Primitives

/// Why a connection ended.
public enum CloseReason: Hashable, Sendable {
    /// This side closed it.
    case localClose(code: UInt64, message: String)
    /// The peer closed it, with a code of its application or of QUIC (RFC 9000, section 20).
    case peerClosed(code: UInt64, application: Bool, message: String)
    /// Nothing came from the peer for the idle timeout.
    case idleTimeout
    /// The peer did not answer, or not to the end.
    case handshakeTimeout
    /// The peer no longer knows the connection (RFC 9000, section 10.3).
    case statelessReset
    /// This side does not trust the peer's certificate; the text says why.
    case certificateRejected(String)
    /// The peer does not speak this application protocol.
    case alpnMismatch
    /// The peer speaks no version of QUIC that this side speaks.
    case versionMismatch
    /// The peer broke the rules of TLS or QUIC.
    case protocolError(String)
    /// The peer went beyond a limit of this side; the text says which.
    case limitExceeded(String)
    /// This side could not go on, for want of memory or because a library failed.
    case internalError(String)
}

extension CloseReason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .localClose(_, let message):
            message.isEmpty ? "closed by this side" : "closed by this side: \(message)"
        case .peerClosed(let code, let application, let message):
            Self.describePeerClose(code: code, application: application, message: message)
        case .idleTimeout:
            "the other side fell silent: nothing arrived for the whole idle timeout"
        case .handshakeTimeout:
            "no answer: the handshake did not finish in time; is the address right, the server running, and UDP let through?"
        case .statelessReset:
            "the other side has forgotten this connection, most likely because it restarted"
        case .certificateRejected(let complaint):
            "the other side's certificate was refused: \(complaint)"
        case .alpnMismatch:
            "the other side does not speak this application's protocol"
        case .versionMismatch:
            "the other side does not speak QUIC version 1"
        case .protocolError(let detail):
            "the other side broke the protocol: \(detail)"
        case .limitExceeded(let detail):
            "the other side went beyond a limit: \(detail)"
        case .internalError(let detail):
            "this side cannot go on: \(detail)"
        }
    }

    private static func describePeerClose(code: UInt64, application: Bool, message: String) -> String {
        let suffix = message.isEmpty ? "" : ": \(message)"
        if application { return "closed by the other side with code \(code)\(suffix)" }
        if code == 0 { return "closed by the other side\(suffix)" }
        // TLS alerts are carried as 0x100 + alert (RFC 9001, section 4.8).
        if (0x100...0x1FF).contains(code) {
            let alert = gnutls_alert_get_name(gnutls_alert_description_t(UInt32(code - 0x100)))
            let name = alert.map { String(cString: $0) } ?? "TLS alert \(code - 0x100)"
            return "refused by the other side during the handshake (\(name))\(suffix)"
        }
        return "closed by the other side with QUIC error \(Self.transportErrorName(code))\(suffix)"
    }

    private static func transportErrorName(_ code: UInt64) -> String {
        let names = [
            "NO_ERROR", "INTERNAL_ERROR", "CONNECTION_REFUSED", "FLOW_CONTROL_ERROR", "STREAM_LIMIT_ERROR",
            "STREAM_STATE_ERROR", "FINAL_SIZE_ERROR", "FRAME_ENCODING_ERROR", "TRANSPORT_PARAMETER_ERROR",
            "CONNECTION_ID_LIMIT_ERROR", "PROTOCOL_VIOLATION", "INVALID_TOKEN", "APPLICATION_ERROR",
            "CRYPTO_BUFFER_EXCEEDED", "KEY_UPDATE_ERROR", "AEAD_LIMIT_REACHED", "NO_VIABLE_PATH",
        ]
        return code < UInt64(names.count) ? names[Int(code)] : "\(code)"
    }
}

/// What happened to a connection as a whole.
public enum ConnectionEvent: Hashable, Sendable {
    /// The handshake is complete: streams can be opened.
    case established
    /// A client has moved to this local address, and the path from there works both ways.
    case pathValidated(local: Endpoint)
    /// A client has moved to this local address, and nothing comes back on the path from there.
    case pathFailed(local: Endpoint)
    /// The connection is of no more use and all its streams are gone. It may still have a last packet to send, and
    /// reaches the state `closed` a little later.
    case closed(CloseReason)
}

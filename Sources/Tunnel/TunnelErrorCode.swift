/// Application error codes of QUIC (RFC 9000, section 20.2), in RESET_STREAM, STOP_SENDING and CONNECTION_CLOSE.
public enum TunnelErrorCode: UInt64, Sendable, CaseIterable {
    /// Nothing went wrong.
    case noError = 0x100
    /// The TCP connection behind the stream was reset.
    case flowReset = 0x101
    /// Nobody reads this direction any more, while the other goes on.
    case notReading = 0x102
    /// The key exchange failed, or the client is not let in.
    case authenticationFailed = 0x103
    /// A message that makes no sense, or not at this point.
    case protocolViolation = 0x104
    /// Sealed bytes were changed, repeated, moved or cut short.
    case sealingFailed = 0x105
    /// A limit on flows, memory or queues was reached.
    case resourceLimit = 0x106
    case shuttingDown = 0x107
    case policyDenied = 0x108
    /// An administrator ended the connection.
    case kicked = 0x109
    /// The flow was idle for longer than its limit.
    case flowIdle = 0x10A
    /// A fault of this end.
    case internalError = 0x10B
    /// The server does not take the client's cipher.
    case suiteNotAllowed = 0x10C
}

extension TunnelErrorCode: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noError: "no error"
        case .flowReset: "the connection was reset"
        case .notReading: "nobody reads this direction any more"
        case .authenticationFailed: "authentication failed"
        case .protocolViolation: "the other end broke the protocol"
        case .sealingFailed: "sealed bytes did not open"
        case .resourceLimit: "a limit was reached"
        case .shuttingDown: "shutting down"
        case .policyDenied: "not allowed by policy"
        case .kicked: "ended by an administrator"
        case .flowIdle: "the flow was idle for too long"
        case .internalError: "internal error"
        case .suiteNotAllowed: "the server does not take this cipher"
        }
    }

    /// Words for a code from the wire, known or not.
    public static func describe(_ code: UInt64) -> String {
        TunnelErrorCode(rawValue: code)?.description ?? "unknown error code 0x\(String(code, radix: 16))"
    }
}

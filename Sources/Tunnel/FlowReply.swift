import Primitives

/// How the server's dial ended: the codes of RFC 1928 section 6, and ours from 0x80 on.
public enum FlowReplyCode: UInt8, Sendable, CaseIterable {
    case succeeded = 0
    case generalFailure = 1
    case notAllowed = 2
    case networkUnreachable = 3
    case hostUnreachable = 4
    case connectionRefused = 5
    /// Nothing answered: the destination is filtered or down (RFC 1928: TTL expired).
    case timedOut = 6
    case commandNotSupported = 7
    case addressTypeNotSupported = 8
    /// As many flows of this client, or of the server, as are allowed.
    case tooManyFlows = 0x80
    /// The server lacks memory, descriptors or ports.
    case outOfResources = 0x81
    case shuttingDown = 0x82
}

extension FlowReplyCode: CustomStringConvertible {
    public var description: String {
        switch self {
        case .succeeded: "succeeded"
        case .generalFailure: "general failure"
        case .notAllowed: "not allowed by the server's policy"
        case .networkUnreachable: "network unreachable"
        case .hostUnreachable: "host unreachable"
        case .connectionRefused: "connection refused"
        case .timedOut: "timed out"
        case .commandNotSupported: "command not supported"
        case .addressTypeNotSupported: "address type not supported"
        case .tooManyFlows: "too many flows"
        case .outOfResources: "the server is out of resources"
        case .shuttingDown: "the server is shutting down"
        }
    }
}

/// The first chunk of a flow stream, server to client: sent when the dial has ended, well or badly.
public struct FlowReply: Hashable, Sendable {
    public var code: FlowReplyCode
    /// Linux's number of the error that ended the dial (ECONNREFUSED is 111), for logs; 0 for none.
    public var detail: UInt8
    /// The server's own end of the dialled connection; 0.0.0.0:0 where there is none.
    public var bound: Endpoint

    public init(_ code: FlowReplyCode, detail: UInt8 = 0, bound: Endpoint = .unspecified) {
        self.code = code
        self.detail = detail
        self.bound = bound
    }

    /// Version, code, detail, address: 10 or 22 bytes.
    public func encode() -> [UInt8] {
        var bytes = [TunnelProtocol.version, code.rawValue, detail]
        bound.append(to: &bytes)
        return bytes
    }

    /// A code that this version does not know is read as `generalFailure`.
    public init(parsing bytes: [UInt8]) throws(MessageError) {
        var reader = ByteReader(bytes)
        try reader.version()
        code = FlowReplyCode(rawValue: try reader.byte()) ?? .generalFailure
        detail = try reader.byte()
        bound = try Endpoint(from: &reader)
    }
}

extension Endpoint {
    /// 0.0.0.0:0
    public static let unspecified = Endpoint(.v4(IPv4Address(0)), 0)
}

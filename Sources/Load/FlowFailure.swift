import Tunnel

/// Why a flow of the load did not do what it should. The raw values stand in results.
public enum FlowFailure: String, Error, CaseIterable, Sendable {
    case refused
    case networkUnreachable = "network-unreachable"
    case hostUnreachable = "host-unreachable"
    /// Nobody answered the dial.
    case timedOut = "timed-out"
    /// The server's policy does not let the destination be dialled.
    case notAllowed = "not-allowed"
    /// The server, or the proxy, has as many flows as it takes.
    case tooManyFlows = "too-many-flows"
    /// Descriptors, ports or memory are used up, here or at the server.
    case outOfResources = "out-of-resources"
    /// The connection was reset.
    case reset
    /// The other end finished too early.
    case endedEarly = "ended-early"
    /// The answer makes no sense.
    case badAnswer = "bad-answer"
    /// Other bytes than the expected ones arrived, here or at the target.
    case wrongBytes = "wrong-bytes"
    /// What was under way when the time was over did not end in the time left for that.
    case unfinished
    /// It was due, but nothing was free to begin it before the end.
    case notStarted = "not-started"
    /// The tunnel broke down.
    case tunnelLost = "tunnel-lost"
    /// The proxy does not let this client in, or does not speak SOCKS5.
    case proxyRefused = "proxy-refused"
    /// Datagrams were sent, and none was answered.
    case noAnswer = "no-answer"
    /// Larger datagrams than the path carries.
    case tooLarge = "too-large"
    case other
}

extension FlowFailure {
    /// What a server of Penstock answered; nil for success.
    public init?(_ code: FlowReplyCode) {
        switch code {
        case .succeeded: return nil
        case .generalFailure, .commandNotSupported, .addressTypeNotSupported: self = .other
        case .notAllowed: self = .notAllowed
        case .networkUnreachable: self = .networkUnreachable
        case .hostUnreachable: self = .hostUnreachable
        case .connectionRefused: self = .refused
        case .timedOut: self = .timedOut
        case .tooManyFlows: self = .tooManyFlows
        case .outOfResources: self = .outOfResources
        case .shuttingDown: self = .tunnelLost
        }
    }
}

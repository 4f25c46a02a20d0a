import Primitives
import Tunnel

/// Names one outbound connection for as long as it lives. `index` is a small number that the program may use as a place
/// in a table; `generation` tells its successive users apart.
public struct OutboundID: Hashable, Sendable {
    public let index: Int
    let generation: UInt32
}

/// What a server engine asks the program to do.
public enum ServerAction: Equatable, Sendable {
    /// Dial; answer with `dialSucceeded` or `dialFailed`.
    case dial(OutboundID, Endpoint)
    /// There are bytes to write: `pendingRegions`, then `wrote`.
    case write(OutboundID)
    /// Everything was written and nothing more comes: shutdown(SHUT_WR).
    case finishWriting(OutboundID)
    /// There is room again: go on reading the socket.
    case read(OutboundID)
    /// Close the socket; with a RST where `reset` is set. The engine has forgotten it.
    case close(OutboundID, reset: Bool)
    /// Something worth a line in the log.
    case log(ServerNotice)
}

/// What a server's log should show.
public enum ServerNotice: Equatable, Sendable {
    case connected(Endpoint, software: String)
    case authenticationFailed(Endpoint)
    case disconnected(Endpoint, reason: String)
}

/// How a dial ended.
public enum DialFailure: Hashable, Sendable {
    case refused, networkUnreachable, hostUnreachable, timedOut, notAllowed, outOfResources, other

    var reply: FlowReplyCode {
        switch self {
        case .refused: .connectionRefused
        case .networkUnreachable: .networkUnreachable
        case .hostUnreachable: .hostUnreachable
        case .timedOut: .timedOut
        case .notAllowed: .notAllowed
        case .outOfResources: .outOfResources
        case .other: .generalFailure
        }
    }
}

/// What a server engine has done so far. Everything only grows, but for the numbers of what is open now.
public struct ServerCounters: Equatable, Sendable {
    public var connectionsOpen = 0
    public var connectionsAccepted = 0
    public var authenticationFailures = 0
    public var flowsOpen = 0
    public var flowsOpened = 0
    public var dials = 0
    public var dialsSucceeded = 0
    public var dialsFailed = 0
    public var dialsDenied = 0
    public var flowsReset = 0
    /// Flows that the client gave up before they were answered.
    public var flowsAbandoned = 0
    public var bytesSealed: UInt64 = 0
    public var bytesOpened: UInt64 = 0
    /// Flows ended because what the client sent did not open, or made no sense.
    public var sealingFailures = 0
    public var flowsRefusedByLimit = 0

    public init() {}
}

import Primitives
import Sealing
import Tunnel

/// Names one outbound connection for as long as it lives. `index` is a small number that the program may use as a place
/// in a table; `generation` tells its successive users apart.
///
/// A flow to a name may have several connections under way at once: its attempts. They have the same index; the flow goes
/// on under the identifier of the one that wins.
public struct OutboundID: Hashable, Sendable {
    public let index: Int
    let generation: UInt32
    /// From 1 for the attempts of a flow to a name; 0 for everything else.
    let attempt: UInt8

    init(index: Int, generation: UInt32, attempt: UInt8 = 0) {
        self.index = index
        self.generation = generation
        self.attempt = attempt
    }

    /// One of several attempts, of which others may be under way.
    public var isAttempt: Bool { attempt > 0 }

    func attempt(_ number: UInt8) -> OutboundID {
        OutboundID(index: index, generation: generation, attempt: number)
    }
}

/// What a server engine asks the program to do.
public enum ServerAction: Equatable, Sendable {
    /// Decide whether a client may come in; answer with `admit` or `refuse`, at once or later.
    case login(SessionID, LoginRequest)
    /// A client that was let in is gone.
    case loggedOut(SessionID)
    /// Dial; answer with `dialSucceeded` or `dialFailed`.
    case dial(OutboundID, Endpoint)
    /// Ask the name servers for the addresses of one family; answer with `resolved`.
    case resolve(NameQueryID, DomainName, NameFamily)
    /// Open a UDP socket for an association; answer with `datagramSocketOpened` or `dialFailed`.
    case openDatagramSocket(OutboundID, isIPv4: Bool)
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
    case connected(Endpoint, user: String, software: String)
    /// The client does not know the server's key, did not speak the protocol, or said nothing.
    case authenticationFailed(Endpoint)
    case loginRefused(Endpoint, LoginRefusal)
    case disconnected(Endpoint, reason: String)
    /// A client asked for what the policy does not allow; told for some of many.
    case denied(Endpoint, DestinationAddress, DialTransport, by: String)
    /// A connection was ended since its client's certificate is not good any more.
    case certificateRefused(Endpoint, name: String, reason: String)
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

/// What a server engine has done with UDP so far. Everything only grows, but for the number of what is open now.
public struct ServerDatagramCounters: Equatable, Sendable {
    public var associationsOpen = 0
    public var associationsOpened = 0
    public var associationsExpired = 0
    public var associationsRefusedByLimit = 0
    /// Datagrams of clients for the sockets, and of the sockets for clients: in QUIC datagrams, and over a stream.
    public var sent = 0
    public var received = 0
    public var streamed = 0
    /// Datagrams to or from where the policy does not allow.
    public var denied = 0
    /// Datagrams of addresses that the client has not sent to, dropped since its user has a quota.
    public var unsolicited = 0
    /// Datagrams that came to nothing, as the network or the kernel told.
    public var failures = 0
    /// Datagrams of clients dropped because as many as may waited for the program.
    public var droppedForOutbox = 0
    /// Datagrams, either way, dropped because they were beyond their user's rate.
    public var droppedForRate = 0
    /// Datagrams dropped because as much as may waited on the association's stream.
    public var droppedForStream = 0
    /// Datagrams for clients that their connections dropped, as the path did not take them in time; those of connections
    /// that have ended. See `ServerEngine.datagramsDroppedForPath`.
    var droppedForPath = 0
    /// QUIC datagrams of no association.
    public var withoutAssociation = 0
    /// QUIC datagrams that did not open.
    public var unsealable = 0
    /// Those that came a second time, or too late to tell.
    public var replayed = 0

    public init() {}

    /// Adds what another loop has counted.
    public mutating func add(_ other: ServerDatagramCounters) {
        associationsOpen += other.associationsOpen
        associationsOpened += other.associationsOpened
        associationsExpired += other.associationsExpired
        associationsRefusedByLimit += other.associationsRefusedByLimit
        sent += other.sent
        received += other.received
        streamed += other.streamed
        denied += other.denied
        unsolicited += other.unsolicited
        failures += other.failures
        droppedForOutbox += other.droppedForOutbox
        droppedForRate += other.droppedForRate
        droppedForStream += other.droppedForStream
        droppedForPath += other.droppedForPath
        withoutAssociation += other.withoutAssociation
        unsealable += other.unsealable
        replayed += other.replayed
    }

    mutating func note(_ refusal: DatagramRefusal) {
        switch refusal {
        case .malformed, .badTag: unsealable += 1
        case .replayed, .tooOld: replayed += 1
        }
    }
}

/// What a server engine has done so far. Everything only grows, but for the numbers of what is open now.
public struct ServerCounters: Equatable, Sendable {
    public var connectionsOpen = 0
    public var connectionsAccepted = 0
    /// Connections ended before they had logged in, as there were too many of those.
    public var newcomersDropped = 0
    /// Key exchanges that failed, and clients that said no hello.
    public var authenticationFailures = 0
    /// Connections ended since their clients' certificates were not good any more.
    public var certificatesRefused = 0
    /// Clients that the program was asked about, and what became of them.
    public var logins = 0
    public var loginsAdmitted = 0
    public var loginsRefused = 0
    public var loginsTimedOut = 0
    /// Clients that it was not asked about, since it had enough to decide.
    public var loginsRefusedByLimit = 0
    /// Key exchanges that followed the first of a connection.
    public var rekeys = 0
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
    /// Flows ended because what the client sent did not open, or made no sense, and connections whose control stream did not
    /// open.
    public var sealingFailures = 0
    public var flowsRefusedByLimit = 0
    /// Flows ended because their user had as many bytes in memory as may be.
    public var flowsCutByUserLimit = 0
    /// Flows ended because their user may not go there any more.
    public var flowsEndedByDestinations = 0
    /// How often a flow had to wait for its user's rate.
    public var rateWaits = 0
    /// Sessions ended because an administrator, or a limit, said so.
    public var sessionsKicked = 0

    public init() {}

    /// Adds what another loop has counted.
    public mutating func add(_ other: ServerCounters) {
        connectionsOpen += other.connectionsOpen
        connectionsAccepted += other.connectionsAccepted
        newcomersDropped += other.newcomersDropped
        authenticationFailures += other.authenticationFailures
        certificatesRefused += other.certificatesRefused
        logins += other.logins
        loginsAdmitted += other.loginsAdmitted
        loginsRefused += other.loginsRefused
        loginsTimedOut += other.loginsTimedOut
        loginsRefusedByLimit += other.loginsRefusedByLimit
        rekeys += other.rekeys
        flowsOpen += other.flowsOpen
        flowsOpened += other.flowsOpened
        dials += other.dials
        dialsSucceeded += other.dialsSucceeded
        dialsFailed += other.dialsFailed
        dialsDenied += other.dialsDenied
        flowsReset += other.flowsReset
        flowsAbandoned += other.flowsAbandoned
        bytesSealed += other.bytesSealed
        bytesOpened += other.bytesOpened
        sealingFailures += other.sealingFailures
        flowsRefusedByLimit += other.flowsRefusedByLimit
        flowsCutByUserLimit += other.flowsCutByUserLimit
        flowsEndedByDestinations += other.flowsEndedByDestinations
        rateWaits += other.rateWaits
        sessionsKicked += other.sessionsKicked
    }
}

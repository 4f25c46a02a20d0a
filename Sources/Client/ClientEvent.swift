import Primitives
import Sealing

/// What a client engine tells the program.
public enum ClientEvent: Sendable, Equatable {
    /// Resolve the server's name, open a socket, and call `connect`, or `connectFailed`.
    case connectionWanted
    /// The tunnel is up.
    case connected(software: String)
    /// The tunnel is down; another attempt follows after `delay`.
    case disconnected(reason: String, retryIn: Interval)
    /// The connection has moved to this local address, and the server is heard there; the former one is not needed any more.
    case moved(to: Endpoint)
    /// The connection has moved, and nothing comes back at its new address: open another socket on the same network, and call
    /// `migrate`.
    case anotherSocketWanted
    /// The server wants this client to know.
    case notice(String)
}

/// What a client engine has done so far. Everything only grows, but for the two numbers of what is open now.
public struct ClientCounters: Equatable, Sendable {
    public var flowsOpen = 0
    public var flowsOpened = 0
    public var flowsConnected = 0
    /// Flows whose dial failed, or that the server did not allow.
    public var flowsRefused = 0
    public var flowsReset = 0
    public var streamsOpened = 0
    /// SYNs that came while there was no tunnel, or no stream to be had: the application tries again.
    public var droppedWithoutTunnel = 0
    /// Clear bytes sealed towards the server and opened from it.
    public var bytesSealed: UInt64 = 0
    public var bytesOpened: UInt64 = 0
    /// Flows ended because what the server sent did not open, or made no sense.
    public var sealingFailures = 0
    public var connects = 0
    /// Logins that the server refused.
    public var loginsRefused = 0
    /// Key exchanges that followed the first of a connection.
    public var rekeys = 0

    public init() {}
}

/// What a client engine has done with UDP so far. Everything only grows.
public struct ClientDatagramCounters: Equatable, Sendable {
    /// Associations that the server was asked for, and those that it refused.
    public var associationsOpened = 0
    public var associationsRefused = 0
    /// Datagrams sealed into QUIC datagrams, and those that went over a stream.
    public var sent = 0
    public var streamed = 0
    /// Datagrams of the server's, whichever way they came.
    public var received = 0
    /// Datagrams of the application's that came to nothing, as the server told.
    public var failures = 0
    /// Dropped while there was no tunnel, or no stream to be had.
    public var droppedWithoutTunnel = 0
    /// Dropped because as much as may waited on the association's stream.
    public var droppedForStream = 0
    /// QUIC datagrams of no association.
    public var withoutAssociation = 0
    /// QUIC datagrams that did not open.
    public var unsealable = 0
    /// Those that came a second time, or too late to tell.
    public var replayed = 0

    public init() {}

    mutating func note(_ refusal: DatagramRefusal) {
        switch refusal {
        case .malformed, .badTag: unsealable += 1
        case .replayed, .tooOld: replayed += 1
        }
    }
}

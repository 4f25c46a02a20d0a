import Primitives

/// Figures of one connection at one moment.
public struct ConnectionStatistics: Equatable, Sendable {
    public var smoothedRTT: Interval = .zero
    public var latestRTT: Interval = .zero
    public var minimumRTT: Interval = .zero
    /// Bytes that congestion control allows in flight.
    public var congestionWindow = 0
    public var bytesInFlight = 0
    /// Bytes per second, as congestion control paces; 0 when it sets none.
    public var pacingRate = 0
    /// The largest UDP payload that the path was found to carry.
    public var pathPayload = 0

    public var packetsSent = 0
    public var bytesSent = 0
    public var packetsReceived = 0
    public var bytesReceived = 0
    /// Lost packets that carried stream data; a packet with data of two streams counts twice.
    public var lostPackets = 0
    /// Of the packets sent, those that the peer says a router has marked as having met congestion (ECN CE, RFC 3168).
    public var congestionMarks = 0

    /// Changes of the path: begun by this client, or followed by this server.
    public var migrations = 0
    /// Times that large packets were found not to arrive any more, and packets became small.
    public var blackHoles = 0
    /// Paths that were found to work both ways, and those that were not (RFC 9000, section 8.2).
    public var pathsValidated = 0
    public var pathsFailed = 0
    /// Datagrams dropped because the path had changed a moment before, to another than theirs.
    public var datagramsFromOtherPaths = 0

    /// Key updates that are complete, and those of them that this side began (RFC 9001, section 6).
    public var keyUpdates = 0
    public var keyUpdatesBegun = 0
    /// Tokens for later connections that this server gave.
    public var tokensGiven = 0

    /// PATH_CHALLENGE, NEW_CONNECTION_ID and RETIRE_CONNECTION_ID frames that came in, of which a peer has little need.
    public var rareFramesReceived = 0
    /// Whether this side closed the connection since the peer went beyond a limit: 0 or 1.
    public var limitsExceeded = 0
    /// Bytes that the library holds for this connection: streams, what is in flight, and what came out of order.
    public var libraryMemory = 0

    public var streamsOpen = 0
    public var streamsOpened = 0
    public var datagramsSent = 0
    /// Datagrams that left and were found lost; nobody sends them again.
    public var datagramsLost = 0
    public var datagramsReceived = 0
    /// Datagrams that did not leave: the queue was full, or they were larger than a packet.
    public var datagramsDropped = 0

    public init() {}
}

extension ConnectionStatistics {
    /// Adds the counters of another connection; the figures of the moment stay as they are.
    public mutating func add(_ other: ConnectionStatistics) {
        packetsSent += other.packetsSent
        bytesSent += other.bytesSent
        packetsReceived += other.packetsReceived
        bytesReceived += other.bytesReceived
        lostPackets += other.lostPackets
        congestionMarks += other.congestionMarks
        migrations += other.migrations
        blackHoles += other.blackHoles
        pathsValidated += other.pathsValidated
        pathsFailed += other.pathsFailed
        datagramsFromOtherPaths += other.datagramsFromOtherPaths
        keyUpdates += other.keyUpdates
        keyUpdatesBegun += other.keyUpdatesBegun
        tokensGiven += other.tokensGiven
        rareFramesReceived += other.rareFramesReceived
        limitsExceeded += other.limitsExceeded
        libraryMemory += other.libraryMemory
        streamsOpen += other.streamsOpen
        streamsOpened += other.streamsOpened
        datagramsSent += other.datagramsSent
        datagramsLost += other.datagramsLost
        datagramsReceived += other.datagramsReceived
        datagramsDropped += other.datagramsDropped
    }
}

import Primitives

/// Bounds of what the server does to dial names.
public struct NameSettings: Equatable, Sendable {
    /// How long an answer is good: as long as it says itself, within these bounds.
    public var minimumLifetime: Interval = .zero
    public var maximumLifetime: Interval = .seconds(3_600)
    /// How long it is believed that a name has no address (RFC 2308).
    public var negativeLifetime: Interval = .seconds(30)
    /// How long name servers that fail or are silent are not asked again about that name (RFC 9520: one second at least).
    public var failureLifetime: Interval = .seconds(5)
    /// Answers that are kept. A name has two: one for each family.
    public var maximumEntries = 8_192
    /// Questions under way at once, of all clients.
    public var maximumQueries = 1_024
    /// Flows of one client that wait for a name, or dial its addresses, at once: so that it cannot take all of the questions,
    /// and since each may have several sockets.
    public var maximumWaitingPerConnection = 256
    /// Addresses of one family of a name that are dialled; the rest are forgotten.
    public var maximumAddresses = 8
    /// Attempts to connect that one flow may have under way at once.
    public var maximumAttempts = 8
    /// How long the answer with IPv4 addresses waits for the one with IPv6 addresses (RFC 8305, section 8).
    public var resolutionDelay: Interval = .milliseconds(50)
    /// How long an attempt to connect has before the next one begins beside it (RFC 8305, section 8).
    public var attemptDelay: Interval = .milliseconds(250)

    public init() {}
}

/// The two kinds of question that are asked about a name: for AAAA and for A records.
public enum NameFamily: Hashable, Sendable, CaseIterable {
    case v6, v4
}

/// Names a question to the name servers.
public struct NameQueryID: Hashable, Sendable {
    public let number: UInt64
    public init(number: UInt64) { self.number = number }
}

/// How a question to the name servers ended.
public enum NameResult: Equatable, Sendable {
    /// The addresses, never none, and how long the answer is good.
    case addresses([IPAddress], lifetime: Interval)
    /// There is no such name, or it has no address of this family.
    case none
    /// No name server gave an answer.
    case failed
}

/// What a server engine has done to dial names. Everything only grows, but for the numbers of what is there now.
public struct NameCounters: Equatable, Sendable {
    /// Flows and associations that asked for a name.
    public var requests = 0
    /// Questions that went to the name servers; those that were answered from memory, or joined one that was under way.
    public var queries = 0
    public var hits = 0
    public var joined = 0
    /// Questions that were not asked because as many as may were under way.
    public var refusedByLimit = 0
    /// Flows refused because their client had as many waiting as it may.
    public var waitingRefusedByLimit = 0
    /// Names that had no address, and those about which no name server would say anything.
    public var unknown = 0
    public var failed = 0
    /// Answers forgotten before their time because others needed the room.
    public var evicted = 0
    /// Addresses that the policy did not allow.
    public var addressesDenied = 0
    /// Attempts to connect, and those that another one of the same flow has beaten.
    public var attempts = 0
    public var attemptsBeaten = 0
    /// Attempts that had to wait, since their client or its user had as many dials under way as may be.
    public var attemptsPutOff = 0
    /// Answers that are kept now, and questions under way now.
    public var entries = 0
    public var queriesOpen = 0

    public init() {}

    /// Adds what another loop has counted.
    public mutating func add(_ other: NameCounters) {
        requests += other.requests
        queries += other.queries
        hits += other.hits
        joined += other.joined
        refusedByLimit += other.refusedByLimit
        waitingRefusedByLimit += other.waitingRefusedByLimit
        unknown += other.unknown
        failed += other.failed
        evicted += other.evicted
        addressesDenied += other.addressesDenied
        attempts += other.attempts
        attemptsBeaten += other.attemptsBeaten
        attemptsPutOff += other.attemptsPutOff
        entries += other.entries
        queriesOpen += other.queriesOpen
    }
}

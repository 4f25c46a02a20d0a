/// What a user may have. Nil is no limit of the user's own; those of the server hold besides.
public struct UserLimits: Hashable, Sendable {
    /// Connections at once.
    public var sessions: Int?
    /// Flows at once, UDP associations included, over all sessions.
    public var flows: Int?
    /// Dials under way at once, over all sessions.
    public var halfOpen: Int?
    /// UDP associations at once, over all sessions.
    public var associations: Int?
    /// Bytes of memory that hold payload at the server, either way, over all sessions.
    public var bufferedBytes: Int?
    /// Bits per second of payload, from the user and to the user, over all sessions.
    public var rateUp: Int?
    public var rateDown: Int?
    /// Bytes of payload in a calendar month (UTC), both directions together.
    public var monthlyQuota: Int?
    /// Where the user may go; anywhere when empty. The server's policy holds besides.
    public var destinations: [DestinationRule] = []

    /// What can be set, and nothing above: it is added up without a trap.
    public static let counts = 1...1_000_000
    /// The least is 64 blocks of the server's memory: each flow at work holds one at least, either way.
    public static let bytes = (1 << 20)...(1 << 40)
    public static let quotas = 1...(1 << 60)
    public static let maximumDestinations = 256

    public init() {}
}

/// A user as the database knows them, without the password's hash.
public struct User: Hashable, Sendable {
    /// Never used again, not even for a new user of the same name.
    public let id: Int64
    public var name: UserName
    /// Public keys (X25519), any of which is theirs; 32 bytes each, in the order in which they were added.
    public var keys: [[UInt8]]
    public var hasPassword: Bool
    public var isDisabled: Bool
    /// From this moment on there is no login and no session; seconds since 1970, UTC.
    public var expires: Int64?
    public var limits: UserLimits
    /// Goes up with each kick.
    public var kicks: Int
    /// Seconds since 1970, UTC.
    public var created: Int64

    public static let keySize = 32
    public static let maximumKeys = 16

    public init(
        id: Int64, name: UserName, keys: [[UInt8]] = [], hasPassword: Bool = false, isDisabled: Bool = false,
        expires: Int64? = nil, limits: UserLimits = UserLimits(), kicks: Int = 0, created: Int64 = 0
    ) {
        self.id = id
        self.name = name
        self.keys = keys
        self.hasPassword = hasPassword
        self.isDisabled = isDisabled
        self.expires = expires
        self.limits = limits
        self.kicks = kicks
        self.created = created
    }

    public func isExpired(at unixSeconds: Int64) -> Bool { expires.map { $0 <= unixSeconds } ?? false }
}

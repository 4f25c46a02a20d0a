import Users

/// Something by which a client shows who it is.
public enum LoginFactor: String, CaseIterable, Hashable, Sendable {
    /// The private key to a public key of the user, shown in the inner key exchange.
    case key
    case password
    /// A TLS client certificate that names the user.
    case certificate
}

/// What every user must show: one of each set, and all by the same user. Where there are no sets, one of any kind is enough.
public struct LoginRequirement: Hashable, Sendable {
    public let sets: [Set<LoginFactor>]

    public init(_ sets: [Set<LoginFactor>] = []) { self.sets = sets }

    func isMet(by shown: Set<LoginFactor>) -> Bool {
        !shown.isEmpty && sets.allSatisfy { !$0.isDisjoint(with: shown) }
    }
}

/// What a client has shown.
public struct LoginClaim: Sendable {
    /// The client's static public key of the inner key exchange, whether or not anybody knows it.
    public var key: [UInt8]?
    /// The name as it was sent; it may be none.
    public var name: String?
    public var password: Password?
    /// The name in the certificate, which TLS has verified.
    public var certificate: String?

    public init(key: [UInt8]? = nil, name: String? = nil, password: Password? = nil, certificate: String? = nil) {
        self.key = key
        self.name = name
        self.password = password
        self.certificate = certificate
    }
}

/// Decides who a client is by what it has shown. The order is the same for all: what could tell strangers whether a user exists, or is
/// disabled, comes after all that was asked for has been shown.
public struct Authenticator: Sendable {
    public enum Verdict: Hashable, Sendable {
        case accepted(User)
        case wrongCredentials
        /// These are the user's own, who has shown everything.
        case disabled(UserName)
        case expired(UserName)
    }

    private let store: UserStore
    private let required: LoginRequirement
    private let dummy: PasswordHash
    /// How often a password was hashed: the same for users who exist and for others.
    public private(set) var hashes = 0

    /// - Parameter random: fit for keys.
    public init(store: UserStore, required: LoginRequirement, random: inout some RandomNumberGenerator) {
        self.store = store
        self.required = required
        dummy = .dummy(random: &random)
    }

    /// Takes as long as hashing a password takes, where the client has sent one.
    /// - Parameter now: seconds since 1970, UTC.
    public mutating func decide(_ claim: LoginClaim, now: Int64) throws(UserStoreError) -> Verdict {
        var shown: Set<LoginFactor> = []
        var user: User?
        if let password = claim.password {
            let name = claim.name.flatMap(UserName.init)
            var hash: PasswordHash?
            if let name { hash = try store.passwordHash(of: name) }
            hashes += 1
            guard let matches = (hash ?? dummy).matches(password) else {
                throw .failed("no memory to check a password")
            }
            guard matches, hash != nil, let name, let owner = try store.user(name) else { return .wrongCredentials }
            user = owner
            shown.insert(.password)
        }
        if let key = claim.key, let owner = try store.user(key: key), user == nil || user?.id == owner.id {
            user = owner
            shown.insert(.key)
        }
        if let name = claim.certificate.flatMap(UserName.init), let owner = try store.user(name),
            user == nil || user?.id == owner.id
        {
            user = owner
            shown.insert(.certificate)
        }
        guard let user, required.isMet(by: shown) else { return .wrongCredentials }
        // A name that was sent and is not the one that was shown is a mistake that its sender should hear of.
        if let name = claim.name, name != user.name.text { return .wrongCredentials }
        if user.isDisabled { return .disabled(user.name) }
        if user.isExpired(at: now) { return .expired(user.name) }
        return .accepted(user)
    }
}

import Users

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
        /// What was shown belongs to a row that is damaged. Strangers are to hear what they hear of wrong credentials.
        case damaged(DamagedUser)
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
        do throws(UserStoreError) {
            return try judge(claim, now)
        } catch {
            guard case .damagedUser(let row) = error else { throw error }
            return .damaged(row)
        }
    }

    private mutating func judge(_ claim: LoginClaim, _ now: Int64) throws(UserStoreError) -> Verdict {
        var shown: Set<LoginFactor> = []
        var user: User?
        if let password = claim.password {
            var stored: StoredPassword?
            if let name = claim.name.flatMap(UserName.init) { stored = try store.password(of: name) }
            let hash = stored?.hash
            hashes += 1
            guard let matches = (hash ?? dummy).matches(password) else {
                throw .failed("no memory to check a password")
            }
            // That took a tenth of a second. It counts for the row that the hash was read from, while this has it: not for another
            // user of the same name, nor after the password was changed. A hash that is none is found out there, too.
            guard let stored, matches || hash == nil, let owner = try store.user(with: stored), matches else {
                return .wrongCredentials
            }
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

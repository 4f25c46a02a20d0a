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

    /// Whether this is enough: one of each set.
    public func isMet(by shown: Set<LoginFactor>) -> Bool {
        !shown.isEmpty && sets.allSatisfy { !$0.isDisjoint(with: shown) }
    }
}

import Users

/// A row of the table of users, whatever it says.
public enum StoredUser: Hashable, Sendable {
    case good(User)
    case damaged(DamagedUser)
}

/// A row that is no user, such as one that was edited by hand. Nobody logs in by it: what it should have limited is not known.
public struct DamagedUser: Hashable, Sendable {
    public let id: Int64
    /// As it stands there: any text.
    public let name: String
    /// What is wrong with it.
    public let reason: String

    public init(id: Int64, name: String, reason: String) {
        self.id = id
        self.name = name
        self.reason = reason
    }
}

/// Which row an administrator means: by number where its name is none, so that this row can be taken away, too.
public enum UserReference: Hashable, Sendable {
    case name(UserName)
    case number(Int64)
}

extension UserReference: LosslessStringConvertible {
    /// `anna` or `#7`; no name has a `#`.
    public init?(_ text: String) {
        if text.first == "#" {
            guard let number = Int64(text.dropFirst()), number > 0 else { return nil }
            self = .number(number)
        } else {
            guard let name = UserName(text) else { return nil }
            self = .name(name)
        }
    }

    public var description: String {
        switch self {
        case .name(let name): name.text
        case .number(let number): "#\(number)"
        }
    }
}

import GRDB
import Users

/// Why the database of users did not do what was asked.
public enum UserStoreError: Error, Hashable, Sendable {
    case exists(UserName)
    case unknown(UserName)
    case noSuchNumber(Int64)
    /// Another user has this public key.
    case keyTaken
    case tooManyKeys
    /// It was written by a later version of the program.
    case tooNew
    /// Another program held it for longer than `UserStore.busyTimeout`.
    case busy
    /// What it says makes no sense.
    case damaged(String)
    /// One user's row makes no sense; the others are good.
    case damagedUser(DamagedUser)
    /// Any other failure, in the words of SQLite.
    case failed(String)

    init(_ error: any Error) {
        switch error {
        case let error as UserStoreError: self = error
        case let error as DatabaseError where error.resultCode == .SQLITE_BUSY: self = .busy
        case let error as DatabaseError
        where error.resultCode == .SQLITE_CORRUPT || error.resultCode == .SQLITE_NOTADB:
            self = .damaged(error.message ?? "\(error.resultCode)")
        case let error as DatabaseError: self = .failed(error.message ?? "\(error.resultCode)")
        default: self = .failed("\(error)")
        }
    }
}

extension UserReference {
    /// That there is no such user.
    public var isUnknown: UserStoreError {
        switch self {
        case .name(let name): .unknown(name)
        case .number(let number): .noSuchNumber(number)
        }
    }
}

extension UserStoreError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .exists(let name): "there is a user '\(name)' already"
        case .unknown(let name): "there is no user '\(name)'"
        case .noSuchNumber(let number): "there is no user #\(number)"
        case .keyTaken: "another user has this public key"
        case .tooManyKeys: "a user has at most \(User.maximumKeys) public keys"
        case .tooNew: "it was written by a later version of penstock"
        case .busy: "another program keeps it busy"
        case .damaged(let what): "it is damaged: \(what)"
        case .damagedUser(let row): "the entry of user #\(row.id) is damaged: \(row.reason)"
        case .failed(let what): what
        }
    }
}

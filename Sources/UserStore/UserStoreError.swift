import GRDB
import Users

/// Why the database of users did not do what was asked.
public enum UserStoreError: Error, Hashable, Sendable {
    case exists(UserName)
    case unknown(UserName)
    /// Another user has this public key.
    case keyTaken
    case tooManyKeys
    /// It was written by a later version of the program.
    case tooNew
    /// Another program held it for longer than `UserStore.busyTimeout`.
    case busy
    /// What it says makes no sense.
    case damaged(String)
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

extension UserStoreError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .exists(let name): "there is a user '\(name)' already"
        case .unknown(let name): "there is no user '\(name)'"
        case .keyTaken: "another user has this public key"
        case .tooManyKeys: "a user has at most \(User.maximumKeys) public keys"
        case .tooNew: "it was written by a later version of penstock"
        case .busy: "another program keeps it busy"
        case .damaged(let what): "it is damaged: \(what)"
        case .failed(let what): what
        }
    }
}

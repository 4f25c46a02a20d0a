import Configuration
import Foundation
import LinuxIO
import UserStore

/// Why a database of users was not opened: what, where and what to do.
struct UserDatabaseError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    init(_ error: UserStoreError, at path: String) {
        let remedy =
            switch error {
            case .busy: "; try again, or end what keeps it: fuser \(path)"
            case .tooNew: "; use that version"
            case .damaged: "; restore a copy, or see: sqlite3 \(path) 'PRAGMA integrity_check'"
            case .damagedUser(let row):
                "; see: sqlite3 \(path) 'SELECT * FROM user WHERE id = \(row.id)', or: penstock user remove '#\(row.id)'"
            case .exists, .unknown, .noSuchNumber, .keyTaken, .tooManyKeys, .failed: ""
            }
        description = "\(path): \(error)\(remedy)"
    }
}

/// Opens a database of users.
/// - Parameter create: makes the file where there is none; its folder must be there.
func openUserDatabase(
    _ path: String, create: Bool, for purpose: UserStore.Purpose
) throws(UserDatabaseError) -> UserStore {
    try checkUserDatabase(path, create: create)
    do {
        return try UserStore(path: path, for: purpose)
    } catch {
        throw UserDatabaseError(error, at: path)
    }
}

/// Looks at the place, and makes the file where there is none.
private func checkUserDatabase(_ path: String, create: Bool) throws(UserDatabaseError) {
    do throws(StorageFault) {
        try inspectUserDatabase(path)
    } catch {
        throw UserDatabaseError("\(path): \(error.reason); \(error.remedy)")
    }
    if create {
        do throws(FileWriteError) {
            return try writeNewSecretFile(path, [])
        } catch {
            switch error {
            case .exists: break
            case .system(let reason): throw UserDatabaseError("\(path) cannot be made: \(reason)")
            }
        }
    }
    guard FileStatus(path: path) != nil else {
        throw UserDatabaseError("\(path): there is no such file; 'penstock user add' makes it with its first user")
    }
}

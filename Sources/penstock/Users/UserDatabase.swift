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

/// The file holds password hashes: nobody but its owner may read it, nor put another one in its place. SQLite gives its log files the
/// permissions of the file itself.
private func checkUserDatabase(_ path: String, create: Bool) throws(UserDatabaseError) {
    let folder = (path as NSString).deletingLastPathComponent
    let place = folder.isEmpty ? "." : folder
    guard let folderStatus = FileStatus(path: place) else {
        throw UserDatabaseError(
            "\(path): there is no folder \(place), or it cannot be read; make it: install -d -m 700 \(place)")
    }
    let stickyBit: UInt32 = 0o1000
    guard folderStatus.mode & 0o022 == 0 || folderStatus.mode & stickyBit != 0 else {
        throw UserDatabaseError(
            "\(path): others can write to its folder (mode 0\(String(folderStatus.mode, radix: 8))); "
                + "run: chmod go-w \(place)")
    }
    if create {
        do throws(FileWriteError) {
            try writeNewSecretFile(path, [])
        } catch {
            switch error {
            case .exists: break
            case .system(let reason): throw UserDatabaseError("\(path) cannot be made: \(reason)")
            }
        }
    }
    guard let status = FileStatus(path: path) else {
        throw UserDatabaseError("\(path): there is no such file; 'penstock user add' makes it with its first user")
    }
    guard status.isRegular else { throw UserDatabaseError("\(path): this is not a regular file") }
    guard status.owner == 0 || status.owner == geteuid() else {
        throw UserDatabaseError("\(path): the file belongs to another user (\(status.owner)); run: chown root \(path)")
    }
    guard status.mode & 0o077 == 0 else {
        throw UserDatabaseError(
            "\(path): others can read the file (mode 0\(String(status.mode, radix: 8))); run: chmod 600 \(path)")
    }
}

import Foundation
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
            case .exists, .unknown, .keyTaken, .tooManyKeys, .failed: ""
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
    var status = stat()
    guard stat(place, &status) == 0 else {
        throw UserDatabaseError(
            "\(path): there is no folder \(place), or it cannot be read; make it: install -d -m 700 \(place)")
    }
    guard status.st_mode & 0o022 == 0 || status.st_mode & S_ISVTX != 0 else {
        throw UserDatabaseError(
            "\(path): others can write to its folder (mode 0\(String(status.st_mode & 0o7777, radix: 8))); "
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
    guard stat(path, &status) == 0 else {
        throw errno == ENOENT
            ? UserDatabaseError("\(path): there is no such file; 'penstock user add' makes it with its first user")
            : UserDatabaseError("\(path): \(String(cString: strerror(errno)))")
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw UserDatabaseError("\(path): this is not a regular file") }
    guard status.st_mode & 0o077 == 0 else {
        throw UserDatabaseError(
            "\(path): others can read the file (mode 0\(String(status.st_mode & 0o7777, radix: 8))); run: chmod 600 \(path)"
        )
    }
}

import Foundation
import LinuxIO

/// What keeps the program from keeping data at a place, and what to do about it.
package struct StorageFault: Error, Hashable, Sendable {
    /// Says more about the path, and does not repeat it.
    package let reason: String
    package let remedy: String
}

/// Looks at the places where a server keeps data of its own, before it starts, and makes nothing.
package struct StoragePlaces: Sendable {
    typealias Look = @Sendable (String) throws(StorageFault) -> Void

    /// The database of users: its folder, and the file if it is there.
    let userDatabase: Look
    /// The folder of what outlives a restart, or the one that it would be made in.
    let stateDirectory: Look

    static let disk = StoragePlaces(
        userDatabase: { path throws(StorageFault) in try inspectUserDatabase(path) },
        stateDirectory: { path throws(StorageFault) in try inspectStateDirectory(path) })
    /// Every place is good.
    package static let any = StoragePlaces(userDatabase: { _ in }, stateDirectory: { _ in })
}

/// The file holds password hashes: nobody but its owner may read it, nor put another one in its place. SQLite gives its log files the
/// permissions of the file itself.
package func inspectUserDatabase(_ path: String) throws(StorageFault) {
    try inspectFolder(parent(of: path))
    guard let status = FileStatus(path: path) else { return }
    try inspectOwnFile(path, status)
}

/// The name of the file that a server keeps in its state directory.
package let serverSecretName = "server-secret"

/// A directory that is not there is made at the start, but not the one above it.
package func inspectStateDirectory(_ path: String) throws(StorageFault) {
    guard FileStatus(path: path) != nil else { return try inspectFolder(parent(of: path)) }
    try inspectFolder(path)
    let secret = path + "/" + serverSecretName
    if let status = FileStatus(path: secret) { try inspectOwnFile(secret, status) }
}

/// A folder in which we make files, and nobody else can replace them.
private func inspectFolder(_ folder: String) throws(StorageFault) {
    guard let status = FileStatus(path: folder) else {
        throw StorageFault(
            reason: "there is no folder \(folder), or it cannot be read", remedy: "make it: install -d -m 700 \(folder)"
        )
    }
    guard status.isFolder else { throw StorageFault(reason: "\(folder) is no folder", remedy: "name a folder") }
    let stickyBit: UInt32 = 0o1000
    guard status.mode & 0o022 == 0 || status.mode & stickyBit != 0 else {
        throw StorageFault(
            reason: "others can write to the folder \(folder) (mode 0\(String(status.mode, radix: 8)))",
            remedy: "run: chmod go-w \(folder)")
    }
    guard faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0 else {
        throw StorageFault(
            reason: "files cannot be made in the folder \(folder): \(String(cString: strerror(errno)))",
            remedy: "run the program as the folder's owner, or give it to the program's user: chown USER \(folder)")
    }
}

private func inspectOwnFile(_ path: String, _ status: FileStatus) throws(StorageFault) {
    guard status.isRegular else { throw StorageFault(reason: "\(path) is no regular file", remedy: "name another") }
    guard status.owner == 0 || status.owner == geteuid() else {
        throw StorageFault(
            reason: "\(path) belongs to another user (\(status.owner))", remedy: "run: chown root \(path)")
    }
    guard status.mode & 0o077 == 0 else {
        throw StorageFault(
            reason: "others can read the file (mode 0\(String(status.mode, radix: 8)))",
            remedy: "run: chmod 600 \(path)")
    }
}

private func parent(of path: String) -> String {
    let folder = (path as NSString).deletingLastPathComponent
    return folder.isEmpty ? "." : folder
}

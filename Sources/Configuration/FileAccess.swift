import Foundation
import LinuxIO
import Sealing

/// Why a file could not be read.
package enum FileReadError: Error, Hashable, Sendable {
    case notFound
    case notAFile
    /// Larger than the limit, in bytes.
    case tooLarge(limit: Int)
    /// Readable or writable by the group or by others; the permission bits.
    case exposed(mode: UInt32)
    /// Any other failure, in the system's words.
    case system(String)
}

extension FileReadError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notFound: "there is no such file"
        case .notAFile: "this is not a regular file"
        case .tooLarge(let limit): "the file is larger than \(sizeText(limit))"
        case .exposed(let mode): "others can read the file (mode 0\(String(mode, radix: 8)))"
        case .system(let reason): reason
        }
    }
}

extension FileReadError {
    /// What to do about it.
    package func remedy(path: String) -> String {
        switch self {
        case .notFound: "make it, or name another"
        case .notAFile: "name a file with contents of its own"
        case .tooLarge: "name the right file, or a shorter one"
        case .exposed: "run: chmod 600 \(path)"
        case .system: "see who may read it: ls -l \(path)"
        }
    }
}

/// Who may be able to read a file for us to use it.
package enum FileAudience: Sendable {
    case anyone
    /// A secret: no permission bit of group or others may be set.
    case ownerOnly
}

/// Reads a whole regular file. Of one with a secret no copy but the array that is returned stays in memory. Permissions and size are those of the opened file, so that nothing can be swapped
/// between the check and the reading.
package func readFile(_ path: String, limit: Int, for audience: FileAudience = .anyone) throws(FileReadError) -> [UInt8]
{
    // O_NONBLOCK: opening a FIFO must not wait for its writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
        let code = errno
        throw code == ENOENT || code == ENOTDIR ? .notFound : .system(String(cString: strerror(code)))
    }
    defer { close(descriptor) }
    guard let status = FileStatus(descriptor: descriptor) else { throw .system(String(cString: strerror(errno))) }
    guard status.isRegular else { throw .notAFile }
    if case .ownerOnly = audience, status.mode & 0o077 != 0 { throw .exposed(mode: status.mode) }

    var contents: [UInt8] = []
    var filled = 0
    do throws(FileReadError) {
        while filled <= limit {
            if filled == contents.count {
                grow(&contents, to: min(limit + 1, max(4_096, 2 * filled)), wiping: audience == .ownerOnly)
            }
            let count = contents.withUnsafeMutableBytes { buffer in
                read(descriptor, buffer.baseAddress! + filled, buffer.count - filled)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw .system(String(cString: strerror(errno)))
            }
            if count == 0 {
                contents.removeLast(contents.count - filled)
                return contents
            }
            filled += count
        }
        throw .tooLarge(limit: limit)
    } catch {
        if case .ownerOnly = audience { SecretBytes.wipe(&contents) }
        throw error
    }
}

/// A larger array with the same bytes; of the former one nothing stays where it held a secret.
private func grow(_ bytes: inout [UInt8], to count: Int, wiping: Bool) {
    var larger = [UInt8](repeating: 0, count: count)
    larger.replaceSubrange(0..<bytes.count, with: bytes)
    if wiping { SecretBytes.wipe(&bytes) }
    bytes = larger
}

/// Why a new file could not be written.
package enum FileWriteError: Error, Hashable, Sendable {
    case exists
    case system(String)
}

/// Writes a file in place of another one, or a new one: readers see the old contents or the new ones, never a part, also
/// after the machine has lost its power.
package func replaceFile(_ path: String, _ contents: [UInt8], mode: UInt32) throws(FileWriteError) {
    let temporary = path + ".new"
    // Left by a program that was killed.
    unlink(temporary)
    try writeNewSecretFile(temporary, contents)
    let failure: Int32? =
        if chmod(temporary, mode) != 0 || rename(temporary, path) != 0 { errno } else { nil }
    if let failure {
        unlink(temporary)
        throw .system(String(cString: strerror(failure)))
    }
    let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
}

/// Writes a new file that its owner alone can read. An existing file or link is never touched.
package func writeNewSecretFile(_ path: String, _ contents: [UInt8]) throws(FileWriteError) {
    try contents.withUnsafeBytes { writeNewSecretFile(path, $0) }.get()
}

/// The same of a secret, without another copy of it.
package func writeNewSecretFile(_ path: String, _ contents: SecretBytes) throws(FileWriteError) {
    try contents.withBytes { writeNewSecretFile(path, $0) }.get()
}

private func writeNewSecretFile(_ path: String, _ contents: UnsafeRawBufferPointer) -> Result<Void, FileWriteError> {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
        let code = errno
        return .failure(code == EEXIST ? .exists : .system(String(cString: strerror(code))))
    }
    defer { close(descriptor) }
    var written = 0
    while written < contents.count {
        let count = write(descriptor, contents.baseAddress! + written, contents.count - written)
        if count < 0 {
            if errno == EINTR { continue }
            return failure(removing: path)
        }
        written += count
    }
    return fsync(descriptor) == 0 ? .success(()) : failure(removing: path)
}

/// The system's last error; the file that was begun goes.
private func failure(removing path: String) -> Result<Void, FileWriteError> {
    let reason = String(cString: strerror(errno))
    unlink(path)
    return .failure(.system(reason))
}

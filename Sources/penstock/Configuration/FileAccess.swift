import Foundation
import LinuxIO

/// Why a file could not be read.
enum FileReadError: Error, Hashable, Sendable {
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
    var description: String {
        switch self {
        case .notFound: "there is no such file"
        case .notAFile: "this is not a regular file"
        case .tooLarge(let limit): "the file is larger than \(sizeText(limit))"
        case .exposed(let mode): "others can read the file (mode 0\(String(mode, radix: 8)))"
        case .system(let reason): reason
        }
    }
}

/// Who may be able to read a file for us to use it.
enum FileAudience: Sendable {
    case anyone
    /// A secret: no permission bit of group or others may be set.
    case ownerOnly
}

/// Reads a whole regular file. Permissions and size are those of the opened file, so that nothing can be swapped
/// between the check and the reading.
func readFile(_ path: String, limit: Int, for audience: FileAudience = .anyone) throws(FileReadError) -> [UInt8] {
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
    var buffer = [UInt8](repeating: 0, count: 16_384)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0 {
            if errno == EINTR { continue }
            throw .system(String(cString: strerror(errno)))
        }
        if count == 0 { return contents }
        contents += buffer[..<count]
        if contents.count > limit { throw .tooLarge(limit: limit) }
    }
}

/// Why a new file could not be written.
enum FileWriteError: Error, Hashable, Sendable {
    case exists
    case system(String)
}

/// Writes a file in place of another one, or a new one: readers see the old contents or the new ones, never a part, also
/// after the machine has lost its power.
func replaceFile(_ path: String, _ contents: [UInt8], mode: UInt32) throws(FileWriteError) {
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
func writeNewSecretFile(_ path: String, _ contents: [UInt8]) throws(FileWriteError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
        let code = errno
        throw code == EEXIST ? .exists : .system(String(cString: strerror(code)))
    }
    defer { close(descriptor) }
    var written = 0
    while written < contents.count {
        let count = contents[written...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 {
            if errno == EINTR { continue }
            let reason = String(cString: strerror(errno))
            unlink(path)
            throw .system(reason)
        }
        written += count
    }
    guard fsync(descriptor) == 0 else {
        let reason = String(cString: strerror(errno))
        unlink(path)
        throw .system(reason)
    }
}

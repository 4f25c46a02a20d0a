import Configuration
import Foundation
import LinuxIO

/// The secret that a server keeps over its restarts, and that resets and address tokens hang on.
enum ServerSecret {
    static let byteCount = 32

    /// Reads the secret of a state directory; on the first start, makes both.
    /// - Throws: `RunError` when others can read the file, when it is no secret of ours, or when it cannot be made.
    static func load(directory: String) throws(RunError) -> [UInt8] {
        let path = directory + "/" + serverSecretName
        do throws(FileReadError) {
            return try read(path)
        } catch {
            if case .notFound = error { return try make(path, in: directory) }
            throw refused(path, error)
        }
    }

    private static func read(_ path: String) throws(FileReadError) -> [UInt8] {
        let contents = try readFile(path, limit: byteCount, for: .ownerOnly)
        guard contents.count == byteCount else {
            throw .system("it has \(contents.count) bytes and not \(byteCount); remove it, and another is made")
        }
        return contents
    }

    private static func make(_ path: String, in directory: String) throws(RunError) -> [UInt8] {
        if mkdir(directory, 0o700) != 0, errno != EEXIST {
            throw RunError("the state directory \(directory) cannot be made: \(String(cString: strerror(errno)))")
        }
        var random = SystemRandom()
        let secret = (0..<byteCount).map { _ in UInt8.random(in: .min ... .max, using: &random) }
        do throws(FileWriteError) {
            try writeNewSecretFile(path, secret)
            return secret
        } catch {
            switch error {
            case .exists:
                // Another server was started in the same moment, or what is there is a dangling link.
                do throws(FileReadError) { return try read(path) } catch { throw refused(path, error) }
            case .system(let reason):
                throw RunError("\(path) cannot be written: \(reason)")
            }
        }
    }

    private static func refused(_ path: String, _ error: FileReadError) -> RunError {
        if case .exposed = error { return RunError("\(path): \(error); run: chmod 600 \(path)") }
        return RunError("\(path): \(error)")
    }
}

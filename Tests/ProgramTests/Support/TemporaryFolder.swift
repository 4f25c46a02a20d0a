import Foundation
import Testing

/// A folder with the files that the example configurations name, removed with this object.
final class TemporaryFolder {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "penstock-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        path = url.path(percentEncoded: false)
        let key = Data(repeating: 7, count: 32).base64EncodedString()
        try write("tunnel.key", key + "\n", mode: 0o600)
        try write("ca.crt", "-----BEGIN CERTIFICATE-----\n")
        try write("server.crt", "-----BEGIN CERTIFICATE-----\n")
        try write("server.key", "-----BEGIN EC PRIVATE KEY-----\n", mode: 0o600)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of a file of the folder, which need not exist.
    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    func write(_ name: String, _ text: String, mode: Int = 0o644) throws {
        try text.write(toFile: self(name), atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: self(name))
    }

    func mode(of name: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: self(name))[.posixPermissions] as? Int
    }
}

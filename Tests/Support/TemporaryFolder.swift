import Foundation
import PKI

/// A folder with the files that the example configurations name, removed with this object.
public final class TemporaryFolder {
    public let path: String

    public init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "penstock-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        path = url.path(percentEncoded: false)
        let key = Data(repeating: 7, count: 32).base64EncodedString()
        try write("tunnel.key", key + "\n", mode: 0o600)
        let issued = try Self.issued.get()
        try write("ca.crt", issued.authority)
        try write("server.crt", issued.certificate)
        try write("server.key", issued.key, mode: 0o600)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of a file of the folder, which need not exist.
    public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    public func write(_ name: String, _ text: String, mode: Int = 0o644) throws {
        try text.write(toFile: self(name), atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: self(name))
    }

    public func mode(of name: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: self(name))[.posixPermissions] as? Int
    }

    /// Made once: all folders have the same certificates.
    private static let issued = Result {
        var random = SystemRandomNumberGenerator()
        let authority = try CertificateAuthority(name: "Test servers", days: 30, now: Date(), using: &random)
        let server = try authority.issueServer(names: [.dns("a.test")], days: 30, now: Date(), using: &random)
        return (
            authority: try authority.certificatePEM, certificate: server.certificatePEM, key: server.privateKeyPEM
        )
    }
}

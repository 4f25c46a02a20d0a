import Sealing
import Tunnel

extension ConfigurationSection {
    /// A private key of the tunnel: one line of base64 for 32 bytes, as `penstock keygen` writes it.
    func privateKey(_ key: String, sample: String) -> KeyPair? {
        guard var file = file(key, sample: sample, limit: 4_096, for: .ownerOnly) else { return nil }
        defer { SecretBytes.wipe(&file.contents) }
        do {
            return try KeyPair(privateKeyBase64: String(decoding: file.contents, as: UTF8.self))
        } catch {
            refuse(
                key, "'\(name(key))' names \(file.path), which does not hold 32 bytes in one line of base64",
                remedy: "make one with 'penstock keygen --output \(file.path)'")
            return nil
        }
    }

    /// `login: { user: alice, password-file: password }`, for servers that want it.
    func login() -> UserLogin? {
        guard let section = optionalSection("login") else { return nil }
        let user = section.required("user", .userName, sample: "alice")
        let file = section.file("password-file", sample: "password", limit: 4_096, for: .ownerOnly)
        section.refuseUnknownKeys()
        guard let user, var file else { return nil }
        defer { SecretBytes.wipe(&file.contents) }
        let password = String(
            decoding: file.contents.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }, as: UTF8.self)
        guard let login = UserLogin(name: user, password: SecretBytes(copying: Array(password.utf8))) else {
            section.refuse(
                "password-file", "'login.password-file' names \(file.path), whose first line has more than 255 bytes")
            return nil
        }
        return login
    }

    /// A PEM file that holds at least one block of the given label.
    func pemFile(_ key: String, label: String, sample: String, for audience: FileAudience = .anyone) -> LoadedFile? {
        guard let file = file(key, sample: sample, for: audience) else { return nil }
        let text = String(decoding: file.contents, as: UTF8.self)
        let found = text.split(whereSeparator: \.isNewline).contains { line in
            line.hasPrefix("-----BEGIN ") && line.contains("\(label)-----")
        }
        guard found else {
            refuse(
                key, "'\(name(key))' names \(file.path), which is not a PEM file with a \(label.lowercased())",
                remedy: "make one with certs/make-dev-certs, or convert it with openssl")
            return nil
        }
        return file
    }
}

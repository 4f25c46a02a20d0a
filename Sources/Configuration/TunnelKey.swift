import Sealing
import Tunnel

extension ConfigurationSection {
    /// A private key of the tunnel: one line of base64 for 32 bytes, as `penstock keygen` writes it.
    func privateKey(_ key: String, sample: String) -> KeyPair? {
        guard var file = file(key, sample: sample, limit: 4_096, for: .ownerOnly) else { return nil }
        return keyPair(&file, key)
    }

    /// The same for a setting that may be left out.
    func optionalPrivateKey(_ key: String) -> KeyPair? {
        guard var file = optionalFile(key, limit: 4_096, for: .ownerOnly) else { return nil }
        return keyPair(&file, key)
    }

    /// Wipes the contents of the file.
    private func keyPair(_ file: inout LoadedFile, _ key: String) -> KeyPair? {
        defer { file.wipe() }
        do {
            return try KeyPair(privateKeyBase64: file.contents)
        } catch {
            refuse(
                key, "'\(name(key))' names \(file.path), which does not hold 32 bytes in one line of base64",
                remedy: "make one with 'penstock keygen --output \(file.path)'")
            return nil
        }
    }

    /// `login: { user: alice, password-file: password }`, for servers that want it.
    func login() -> UserLogin? {
        let section = section("login")
        let user = section.optional("user", .userName)
        var passwordFile = section.optionalFile("password-file", limit: 4_096, for: .ownerOnly)
        section.refuseUnknownKeys()
        let (one, other) = (("user", "alice"), ("password-file", "password"))
        for (there, missing) in [(one, other), (other, one)] where section.has(there.0) && !section.has(missing.0) {
            section.refuse(
                there.0, "'\(section.name(there.0))' is there, and '\(section.name(missing.0))' is missing",
                remedy: "add '\(missing.0): \(missing.1)'")
        }
        // Taken out, so that what is wiped has no other owner.
        guard var file = passwordFile.take() else { return nil }
        defer { file.wipe() }
        guard let user else { return nil }
        let line = file.contents.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        guard let login = UserLogin(name: user, password: SecretBytes(copying: line)) else {
            section.refuse(
                "password-file",
                "'\(section.name("password-file"))' names \(file.path), whose first line has more than "
                    + "\(UserLogin.maximumSize) bytes", remedy: "write the password alone into the first line")
            return nil
        }
        return login
    }
}

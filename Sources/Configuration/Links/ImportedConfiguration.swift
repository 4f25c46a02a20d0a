import Foundation
import QuicTransport
import Sealing
import Users

/// A link as a client's configuration: in memory, or as files. Both are the same, so that both mean the same.
package struct ImportedConfiguration: Sendable {
    /// A file that `penstock import` writes. Those with a secret are overwritten after their last use.
    package struct File: Equatable, Sendable {
        package let name: String
        package let contents: SecretBytes

        /// - Parameter lines: without the last line end.
        fileprivate init(name: String, lines: SecretBytes) {
            self.name = name
            contents = SecretBytes(joining: [lines, SecretBytes(copying: "\n".utf8)])
        }
    }

    private static let keyFile = "client.key"
    private static let passwordFile = "password"
    private static let authorityFile = "ca.crt"

    package let link: AccessLink

    package init(link: AccessLink) { self.link = link }

    /// What the client is configured with when it is run by the link itself: what the link does not say comes from the environment, or is
    /// at its default. Problems with what the link says name `link` in place of a file.
    package func loaded(
        environment: EnvironmentSettings
    ) throws(ConfigurationError) -> LoadedConfiguration<ClientConfiguration> {
        // A user without a password in the link may have one elsewhere, or log in by a certificate.
        let hasPassword = link.password != nil || environment.value(of: "login.password-file") != nil
        let main = "link"
        let files = files(main, naming: hasPassword ? link.user : nil)
        let source = FileSource(places: .disk) { path, limit, audience throws(FileReadError) in
            guard let file = files.first(where: { $0.name == path }) else {
                // Named by a variable.
                return try readFile(path, limit: limit, for: audience)
            }
            return file.contents.withBytes { Array($0) }
        }
        return try LoadedConfiguration(main, environment: environment, files: source)
    }

    /// The configuration file and those that it names.
    package var files: [File] { files("client.yaml", naming: link.user) }

    /// - Parameter user: who logs in by a password.
    private func files(_ main: String, naming user: UserName?) -> [File] {
        var lines = ["# Made by 'penstock import'; 'penstock config example client' prints all settings."]
        var files: [File] = []
        lines.append("server: \(link.server)")
        if let name = link.serverName { lines.append("server-name: \(name)") }
        switch link.trust {
        case .pin(let pin): lines.append("trust: { pin: \"\(pinText(pin))\" }")
        case .authorities(let certificates):
            lines.append("trust: { ca-file: \(Self.authorityFile) }")
            files.append(File(name: Self.authorityFile, lines: SecretBytes(copying: Self.pem(certificates).utf8)))
        }
        lines.append("server-key: \"\(link.serverKey.base64)\"")
        if let key = link.key {
            lines.append("key-file: \(Self.keyFile)")
            files.append(File(name: Self.keyFile, lines: key.privateKeyBase64))
        }
        // A user who has got a key does not need the password, if there is one.
        if let user, link.password != nil || link.key == nil {
            lines.append("login: { user: \(yamlScalar(user.text)), password-file: \(Self.passwordFile) }")
            if let password = link.password { files.append(File(name: Self.passwordFile, lines: password)) }
        }
        return [File(name: main, lines: SecretBytes(copying: lines.joined(separator: "\n").utf8))] + files
    }

    /// What is still to be done by hand, if anything.
    package func remark(in folder: String) -> String? {
        if link.hasSecret { return nil }
        guard link.user != nil else {
            return "the link names no user: add 'key-file' or 'login' to \(folder)/client.yaml"
        }
        return "the link holds no password: write it into \(folder)/\(Self.passwordFile) (mode 0600), in one line"
    }

    private static func pem(_ certificates: [[UInt8]]) -> String {
        certificates.map { certificate in
            let text = Data(certificate).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
            return "-----BEGIN CERTIFICATE-----\n\(text)\n-----END CERTIFICATE-----"
        }.joined(separator: "\n")
    }
}

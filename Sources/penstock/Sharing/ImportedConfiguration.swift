import Foundation
import Primitives
import QuicTransport
import Sealing
import Tunnel
import Users

/// A link as a client's configuration: in memory, or as files.
struct ImportedConfiguration {
    /// A file that `penstock import` writes.
    struct File: Hashable {
        var name: String
        var contents: String
    }

    private static let keyFile = "client.key"
    private static let passwordFile = "password"
    private static let authorityFile = "ca.crt"

    let link: AccessLink

    /// What the client is configured with when it is run by the link itself; all that the link does not say is at its default.
    var configuration: ClientConfiguration {
        let trust: ClientConfiguration.Trust =
            switch link.trust {
            case .pin(let pin): .pin(pin)
            case .authorities(let certificates):
                .authority(LoadedFile(path: "the link", contents: Array(Self.pem(certificates).utf8)))
            }
        guard let serverKey = PublicKey(link.serverKey) else { preconditionFailure("a link's keys have 32 bytes") }
        var configuration = ClientConfiguration(
            server: link.server, serverName: link.serverName ?? link.server.host.description, trust: trust,
            serverKey: serverKey)
        configuration.key = link.privateKey.flatMap { KeyPair(privateKey: $0) }
        configuration.login = link.user.flatMap { user in
            link.password.flatMap { UserLogin(name: user.text, password: SecretBytes(copying: Array($0.utf8))) }
        }
        return configuration
    }

    /// The configuration file and those that it names.
    var files: [File] {
        var lines = ["# Made by 'penstock import'; 'penstock config example client' prints all settings."]
        var files: [File] = []
        lines.append("server: \(link.server)")
        if let name = link.serverName { lines.append("server-name: \(name)") }
        switch link.trust {
        case .pin(let pin): lines.append("trust: { pin: \"\(pinText(pin))\" }")
        case .authorities(let certificates):
            lines.append("trust: { ca-file: \(Self.authorityFile) }")
            files.append(File(name: Self.authorityFile, contents: Self.pem(certificates)))
        }
        lines.append("server-key: \"\(Data(link.serverKey).base64EncodedString())\"")
        if let key = link.privateKey {
            lines.append("key-file: \(Self.keyFile)")
            files.append(File(name: Self.keyFile, contents: "\(Data(key).base64EncodedString())\n"))
        }
        // A user who has got a key does not need the password, if there is one.
        if let user = link.user, link.password != nil || link.privateKey == nil {
            lines.append("login: { user: \"\(user)\", password-file: \(Self.passwordFile) }")
            if let password = link.password { files.append(File(name: Self.passwordFile, contents: "\(password)\n")) }
        }
        return [File(name: "client.yaml", contents: lines.joined(separator: "\n") + "\n")] + files
    }

    /// What is still to be done by hand, if anything.
    func remark(in folder: String) -> String? {
        if link.hasSecret { return nil }
        guard link.user != nil else {
            return "the link names no user: add 'key-file' or 'login' to \(folder)/client.yaml"
        }
        return "the link holds no password: write it into \(folder)/\(Self.passwordFile) (mode 0600), in one line"
    }

    private static func pem(_ certificates: [[UInt8]]) -> String {
        certificates.map { certificate in
            let text = Data(certificate).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
            return "-----BEGIN CERTIFICATE-----\n\(text)\n-----END CERTIFICATE-----\n"
        }.joined()
    }
}

import ArgumentParser
import Configuration
import Foundation
import LinuxIO
import QuicTransport
import Sealing
import UserStore
import Users

extension QRCode.Background: ExpressibleByArgument {}

struct ShareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "share",
        abstract: "Print a link and a QR code by which a user's client finds and knows this server.",
        discussion: """
            With --new-key or --generate the link holds a secret that stands nowhere else, and lets in whoever has it. \
            See docs/SHARING.md.
            """)

    enum Picture: String, EnumerableFlag { case qr, noQr }

    @Argument(help: "The user.") var name: UserName
    @Option(name: [.short, .long], help: ArgumentHelp("The server's YAML file.", valueName: "file")) var config: String
    @Option(
        help: ArgumentHelp("Where clients find the server; 'users.address' when left out.", valueName: "host:port"))
    var server: String?
    @Option(help: ArgumentHelp("The name in the server's certificate, if it is another.", valueName: "name"))
    var serverName: String?
    @Option(
        help: ArgumentHelp(
            "Authorities that the client is to trust, instead of the server's own key (pin).", valueName: "file"))
    var caFile: String?
    @Flag(help: "Make a key pair, give the user the public key, and put the private one into the link.") var newKey =
        false
    @Flag(help: "Set a new password, and put it into the link.") var generate = false
    @Flag(help: "The QR code; with it, when standard output is a terminal.") var picture: Picture?
    @Option(help: "The terminal's background.") var background = QRCode.Background.dark

    func run() throws {
        let configuration = (try loadOrExit(config) as LoadedConfiguration<ServerConfiguration>).configuration
        var link = try link(configuration)
        guard let users = configuration.users else {
            printError("\(config): 'users' is missing; add 'users: { database: /var/lib/penstock/users.db }'")
            throw ExitCode.badConfiguration
        }
        var random = SystemRandom()
        var publicKey: [UInt8]?
        if newKey {
            let pair = KeyPair.generate(using: &random)
            publicKey = pair.publicKey.bytes
            link.key = pair
        }
        if generate { link.password = PasswordEntry.generated() }
        let password = link.password.flatMap { $0.withBytes { Password($0) } }
        let hash = try password.map { secret throws(ExitCode) in try hashed(secret) }

        let text = link.text
        guard text.count <= AccessLink.maximumLength else {
            printError(
                "the link would have more than \(AccessLink.maximumLength) characters; leave --ca-file out, and the client "
                    + "knows the server by its pin")
            throw ExitCode.failure
        }
        try withUserStore(users.database) { store throws(UserStoreError) in
            guard try store.user(name) != nil else { throw UserStoreError.unknown(name) }
            if let publicKey { try store.change(name) { $0.keys.append(publicKey) } }
            if let hash { try store.setPassword(of: name, hash) }
        }
        show(text)
    }

    /// From here on the secret is the terminal's, where it was asked for.
    private func show(_ link: SecretBytes) {
        link.withBytes { FileHandle.standardOutput.write(Data($0)) }
        print()
        guard picture.map({ $0 == .qr }) ?? (isatty(STDOUT_FILENO) == 1) else { return }
        guard let code = link.withBytes({ QRCode($0) }) else { return printError("the link is too long for a QR code") }
        print(code.lines(on: background).joined(separator: "\n"))
    }

    private func link(_ configuration: ServerConfiguration) throws -> AccessLink {
        var address = configuration.users?.address
        if let server {
            guard case .value(let value) = SettingKind<HostAndPort>.hostAndPort.parse(server) else {
                throw ValidationError("--server '\(printable(server))': write HOST:PORT, such as vpn.example.org:4433.")
            }
            address = value
        }
        guard let address else {
            throw ValidationError(
                "Where do clients find the server? Give --server, or set 'users.address' in \(config).")
        }
        if let serverName, case .refused = SettingKind<String>.hostName.parse(serverName) {
            throw ValidationError("--server-name '\(printable(serverName))' is no host name.")
        }
        return AccessLink(
            server: address, serverName: serverName, serverKey: configuration.key.publicKey,
            trust: try trust(configuration), user: name)
    }

    private func trust(_ configuration: ServerConfiguration) throws -> AccessLink.Trust {
        guard let caFile else { return .pin(configuration.identity.pin) }
        let contents: [UInt8]
        do {
            contents = try readFile(caFile, limit: 1 << 20)
        } catch {
            printError("\(caFile): \(error)")
            throw ExitCode.failure
        }
        let certificates = certificatesDER(String(decoding: contents, as: UTF8.self))
        guard !certificates.isEmpty else {
            printError("\(caFile): there is no certificate in PEM")
            throw ExitCode.failure
        }
        return .authorities(certificates)
    }
}

/// The certificates of a PEM file, in DER (RFC 7468). What is between them is left out.
func certificatesDER(_ text: String) -> [[UInt8]] {
    var certificates: [[UInt8]] = []
    var body: String?
    for line in text.split(whereSeparator: \.isNewline) {
        switch line {
        case "-----BEGIN CERTIFICATE-----": body = ""
        case "-----END CERTIFICATE-----":
            if let bytes = body.flatMap(decodeBase64) { certificates.append(bytes) }
            body = nil
        default: body? += line.trimmingCharacters(in: .whitespaces)
        }
    }
    return certificates
}

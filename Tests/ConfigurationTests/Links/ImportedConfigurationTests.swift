import Logging
import Primitives
import Sealing
import TestSupport
import Testing
import Tunnel
import Users

@testable import Configuration

/// A client that runs by a link.
@Suite struct ImportedConfigurationTests {
    private static func link(password: String? = nil, key: Bool = false) -> AccessLink {
        var link = AccessLink(
            server: HostAndPort(host: .name("vpn.example.org"), port: 4_433), serverKey: PublicKey(0..<32)!,
            trust: .pin([UInt8](repeating: 7, count: 32)), user: UserName("anna@home"))
        link.password = password.map { SecretBytes(copying: $0.utf8) }
        link.key = key ? KeyPair(privateKey: 32..<64) : nil
        return link
    }

    private func loaded(
        _ link: AccessLink, _ environment: [String: String] = [:]
    ) throws -> LoadedConfiguration<ClientConfiguration> {
        try ImportedConfiguration(link: link).loaded(environment: EnvironmentSettings(environment))
    }

    @Test func theLinkIsAllThatIsNeeded() throws {
        let byPassword = try loaded(Self.link(password: "sésame opens")).configuration
        #expect(byPassword.server.description == "vpn.example.org:4433" && byPassword.serverName == "vpn.example.org")
        #expect(byPassword.serverKey.bytes == Array(0..<32) && byPassword.key == nil)
        #expect(byPassword.trust == .pin([UInt8](repeating: 7, count: 32)))
        #expect(byPassword.login?.name == "anna@home")
        #expect(byPassword.login?.password == SecretBytes(copying: "sésame opens".utf8))
        let byKey = try loaded(Self.link(key: true)).configuration
        #expect(byKey.key == KeyPair(privateKey: 32..<64) && byKey.login == nil)
        // By a certificate, perhaps.
        #expect(try loaded(Self.link()).configuration.login == nil)
    }

    @Test func theEnvironmentComesBeforeTheLink() throws {
        let folder = try TemporaryFolder()
        try folder.write("word", "other words\n", mode: 0o600)
        let loaded = try loaded(
            Self.link(password: "sesame opens"),
            [
                "PENSTOCK_SERVER": "192.0.2.1:5", "PENSTOCK_ROUTES_EXCLUDE": "10.0.0.0/8",
                "PENSTOCK_LOG_LEVEL": "debug",
                "PENSTOCK_LOGIN_PASSWORD_FILE": folder("word"), "PENSTOCK_ODD": "1", "PENSTOCK_LINK": "x",
            ])
        let c = loaded.configuration
        #expect(c.server.description == "192.0.2.1:5" && c.routes.exclude.map(\.description) == ["10.0.0.0/8"])
        #expect(c.logLevel == .debug && c.login?.password == SecretBytes(copying: "other words".utf8))
        #expect(loaded.warnings.map(\.file) == ["PENSTOCK_ODD"])
        let passwordElsewhere = try self.loaded(Self.link(), ["PENSTOCK_LOGIN_PASSWORD_FILE": folder("word")])
        #expect(passwordElsewhere.configuration.login?.name == "anna@home")
    }

    @Test func problemsNameTheLinkOrTheVariable() throws {
        let wrong = #expect(throws: ConfigurationError.self) {
            try loaded(Self.link(key: true), ["PENSTOCK_TUN_MTU": "5", "PENSTOCK_CERTIFICATE_FILE": "/none"])
        }
        #expect(
            wrong?.problems.map(\.file) == [
                "PENSTOCK_CERTIFICATE_FILE", "PENSTOCK_CERTIFICATE_FILE", "PENSTOCK_TUN_MTU",
            ])
        var link = Self.link(key: true)
        link.trust = .authorities([[1, 2, 3]])
        let bad = #expect(throws: ConfigurationError.self) { try loaded(link) }
        #expect(bad?.description.hasPrefix("link:3:19: 'trust.ca-file' names ca.crt: the authorities are not") == true)
    }

    /// The files are read as the link itself is.
    @Test func theFilesAreTheSame() throws {
        let folder = try TemporaryFolder()
        let imported = ImportedConfiguration(link: Self.link(password: "sesame opens", key: true))
        for file in imported.files { try writeNewSecretFile(folder(file.name), file.contents) }
        #expect(try folder.mode(of: "password") == 0o600 && folder.mode(of: "client.key") == 0o600)
        let c = try ClientConfiguration.load(folder("client.yaml"))
        #expect(try "\(c)" == "\(loaded(imported.link).configuration)")
        #expect(c.key == imported.link.key && c.login?.password == imported.link.password)
    }
}

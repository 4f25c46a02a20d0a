import TestSupport
import Testing

@testable import Configuration

/// What `config default` and `config show` print, and what they rest on.
@Suite struct SettingRecordTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    /// With what is required, the defaults are a file that changes nothing.
    @Test func theDefaultsAreAFile() throws {
        let client = defaultsText(ClientConfiguration.self)
        let c = try ClientConfiguration.parse(minimalClient + client, file: folder("c.yaml"))
        #expect(try "\(c)" == "\(ClientConfiguration.parse(minimalClient, file: folder("c.yaml")))")
        let server = defaultsText(ServerConfiguration.self)
        let s = try ServerConfiguration.parse(minimalServer + server, file: folder("s.yaml"))
        #expect(try "\(s)" == "\(ServerConfiguration.parse(minimalServer, file: folder("s.yaml")))")
    }

    @Test func whatHoldsIsShownWithItsOrigin() throws {
        try folder.write("c.yaml", minimalClient + "tun: { mtu: 1300 }\nroutes: { exclude: [\"2001:db8::/32\"] }\n")
        let loaded = try LoadedConfiguration<ClientConfiguration>(
            folder("c.yaml"), environment: EnvironmentSettings(["PENSTOCK_QUIC_IDLE_TIMEOUT": "60s"]))
        let lines = effectiveText(loaded.settings, file: "c.yaml").split(separator: "\n").map { line in
            line.replacing(/[ ]{2,}#/, with: " #")
        }
        #expect(lines.contains("server: \"h:1\" # c.yaml:1"))
        #expect(lines.contains("  mtu: 1300 # c.yaml:4"))
        #expect(lines.contains("  exclude: [\"2001:db8::/32\"] # c.yaml:5"))
        #expect(lines.contains("  idle-timeout: 1m # PENSTOCK_QUIC_IDLE_TIMEOUT"))
        #expect(lines.contains("  keep-alive: 10s # default"))
        #expect(lines.contains("# server-name: # not set"))
        // It is a file that says the same.
        let again = try ClientConfiguration.parse(
            effectiveText(loaded.settings, file: "c.yaml"), file: folder("c.yaml"))
        #expect("\(again)" == "\(loaded.configuration)")
    }

    @Test func secretsAreNeverShown() throws {
        let document = ConfigurationDocument(
            file: "x.yaml", environment: EnvironmentSettings(["PENSTOCK_SECOND": "hush"]))
        let root = try document.composeRoot("first: hidden-word\nsecond: b\nthird: hidden-word\n")
        #expect(root.required("first", SettingKind<String>.path.secret, sample: "x") == "hidden-word")
        #expect(root.optional("second", SettingKind<String>.path.secret) == "hush")
        #expect(root.optional("third", SettingKind<Int>.integer(1...2).secret) == nil)
        let shown = effectiveText(document.settings, file: "x.yaml") + document.problems.description
        #expect(!shown.contains("hidden-word") && !shown.contains("hush"))
        #expect(shown.contains("first: \"********\""))
    }

    @Test func listsOfSectionsAreShownAsLists() throws {
        let document = ConfigurationDocument(file: "x.yaml")
        let root = try document.composeRoot("rules: [{ port: 1, name: a }, { port: 2 }]\n")
        for section in root.optionalSections("rules") ?? [] {
            _ = section.required("port", .integer(1...9), sample: "1")
            _ = section.optional("name", .hostName)
        }
        #expect(document.settings.map(\.generalKey).contains("rules[].port"))
        let text = effectiveText(document.settings, file: "x.yaml").replacing(/[ ]*# .*/, with: "")
        #expect(text.hasPrefix("rules:\n  - port: 1\n    name: a\n  - port: 2\n"))
    }

    @Test(arguments: ["a", "a b", "", "null", "~", "-x", "a\"b\\c", "x: y", "a,b", "[::]:1", "#", "\u{1}\u{7F}", "é"])
    func textsAreReadBack(text: String) throws {
        let root = try ConfigurationDocument(file: "x").composeRoot(
            "a: \(yamlScalar(text))\nb: \(yamlList([text, "c"]))")
        let any = SettingKind<String>(expected: "anything") { $0 }
        #expect(root.optional("a", any) == text)
        #expect(root.list("b", any, default: []) == [text, "c"])
    }
}

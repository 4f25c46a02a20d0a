import TestSupport
import Testing

@testable import Configuration

/// What a changed file changes in a running program.
@Suite struct ConfigurationDifferenceTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func server(_ text: String) throws -> [SettingRecord] {
        try folder.write("s.yaml", minimalServer + text)
        return try LoadedConfiguration<ServerConfiguration>(folder("s.yaml")).settings
    }

    private func difference(_ old: [SettingRecord], _ new: [SettingRecord]) -> ConfigurationDifference {
        ConfigurationDifference(from: old, to: new, of: ServerConfiguration.self)
    }

    @Test func theSameInOtherWordsIsNoChange() throws {
        let old = try server("drain-time: 60s\nlog: { level: info }\n")
        #expect(difference(old, try server("drain-time: 1m\n")).isEmpty)
    }

    @Test func whatIsTakenOverAndWhatWaits() throws {
        let old = try server("")
        let new = try server(
            "drain-time: 1m\nloops: 2\ndial: { deny: [192.0.2.0/24] }\nlimits: { memory: 2GiB, connections: 5 }\n")
        let result = difference(old, new)
        #expect(
            result.applied == [
                "dial.deny: [] -> [192.0.2.0/24]", "drain-time: 5s -> 1m", "limits.connections: 1024 -> 5",
            ])
        #expect(result.waiting == ["loops: (none) -> 2", "limits.memory: 1GiB -> 2GiB"])
        // What waits is told again the next time, what was taken over is not.
        let running = ConfigurationDifference.merge(old, new, of: ServerConfiguration.self)
        let again = difference(running, new)
        #expect(again.applied.isEmpty && again.waiting == result.waiting)
        #expect(difference(running, try server("")).applied.count == 3)
    }

    @Test func clientsAndCiphersAreTakenOver() throws {
        let old = try server("clients: [{ name: laptop, key: \(publicKeyText) }]\n")
        let new = try server(
            "ciphers: [aes-256-gcm]\nclients: [{ name: desk, key: \(publicKeyText) }]\n")
        let result = difference(old, new)
        #expect(
            result.applied == [
                "ciphers: [aes-256-gcm, chacha20-poly1305] -> [aes-256-gcm]", "clients[1].name: laptop -> desk",
            ])
        #expect(result.waiting.isEmpty)
        #expect(difference(new, try server("ciphers: [aes-256-gcm]\n")).applied.count == 2)
    }

    @Test func filesAreComparedByWhatIsInThem() throws {
        let old = try server("")
        let certificate = try readFile(folder("server.crt"), limit: 1 << 16)
        try folder.write("server.crt", "The same with another line.\n" + String(decoding: certificate, as: UTF8.self))
        #expect(difference(old, try server("")).applied == ["certificate-file: the file was changed"])
    }

    /// What `reloadable` names is there.
    @Test func reloadableSettingsExist() {
        func check<Configuration: ConfigurationFile>(_ type: Configuration.Type) {
            let keys = type.reference.map(\.key)
            for name in type.reloadable {
                #expect(keys.contains { $0 == name || $0.hasPrefix(name + ".") }, "\(name)")
            }
        }
        check(ClientConfiguration.self)
        check(ServerConfiguration.self)
    }
}

import ArgumentParser
import Configuration
import Foundation
import PKI
import TestSupport
import Testing

@testable import penstock

/// `penstock pki` on real files.
@Suite struct PKICommandTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func run(_ arguments: String...) throws {
        let place = arguments.contains("--folder") ? [] : ["--folder", folder("pki")]
        var command = try Penstock.parseAsRoot(["pki"] + arguments + place)
        try command.run()
    }

    private var index: CertificateIndex { get throws { try AuthorityFolder(path: folder("pki")).index() } }

    @Test func anAuthorityWithAServerAndAClient() throws {
        try run("init", "--name", "Mine")
        try run("server", "vpn.example.org", "192.0.2.1", "--output", folder("made"))
        try run("client", "alice")
        for (file, mode) in [
            ("pki/ca.key", 0o600), ("pki/ca.crt", 0o644), ("pki/ca.crl", 0o644), ("pki/index.json", 0o600),
            ("made.key", 0o600), ("made.crt", 0o644), ("pki/alice.key", 0o600), ("pki/alice.crt", 0o644),
        ] {
            #expect(try self.folder.mode(of: file) == mode, "\(file)")
        }
        let entries = try index.entries
        #expect(entries.map(\.name) == ["vpn.example.org", "alice"])
        #expect(entries[0].names == ["vpn.example.org", "192.0.2.1"])
        let lines = certificateList(entries, now: Date()).split(separator: "\n")
        #expect(lines.count == 3 && lines[2].hasPrefix("client  alice"))
        let json = try JSONSerialization.jsonObject(with: Data(certificateListJSON(entries, now: Date()).utf8))
        #expect((json as? [[String: Any]])?.map { $0["state"] as? String } == ["valid", "valid"])
    }

    @Test func nothingIsWrittenOver() throws {
        try run("init")
        let before = try readFile(folder("pki/ca.key"), limit: 4_096)
        #expect(throws: RunError.self) { try run("init") }
        #expect(try readFile(folder("pki/ca.key"), limit: 4_096) == before)
        try run("client", "alice")
        let key = try readFile(folder("pki/alice.key"), limit: 4_096)
        #expect(throws: RunError.self) { try run("client", "alice") }
        #expect(try readFile(folder("pki/alice.key"), limit: 4_096) == key)
        #expect(try index.entries.count == 1)
    }

    /// `config check` finds what the program would find at its start.
    @Test func certificatesThatDoNotFitAreFoundByTheCheck() throws {
        try run("init")
        for file in ["server.crt", "server.key"] { try FileManager.default.removeItem(atPath: folder(file)) }
        try run("server", "a.test", "--output", folder("server"))
        try run("server", "a.test", "--output", folder("other"))
        let rule = "client-certificates: { demand: required, ca-file: pki/ca.crt, crl-file: pki/ca.crl }\n"
        try folder.write("s.yaml", minimalServer + rule)
        let check = { [folder] in
            var command = try Penstock.parseAsRoot(["config", "check", folder("s.yaml"), "--role", "server"])
            try command.run()
        }
        try check()
        try folder.write("s.yaml", minimalServer.replacing("server.key", with: "other.key") + rule)
        #expect(throws: ExitCode.badConfiguration) { try check() }
        try run("init", "--folder", folder("pki2"))
        try folder.write("s.yaml", minimalServer + rule.replacing("pki/ca.crl", with: "pki2/ca.crl"))
        #expect(throws: ExitCode.badConfiguration) { try check() }
    }

    @Test func revoking() throws {
        try run("init")
        try run("client", "alice")
        let before = try readFile(folder("pki/ca.crl"), limit: 4_096)
        #expect(throws: RunError.self) { try run("revoke", "nobody") }
        #expect(try readFile(folder("pki/ca.crl"), limit: 4_096) == before)
        try run("revoke", "alice")
        #expect(try readFile(folder("pki/ca.crl"), limit: 4_096) != before)
        #expect(try index.entries[0].revoked != nil)
        #expect(try index.listNumber == 2)
        #expect(throws: RunError.self) { try run("revoke", "alice") }
    }

    @Test func withoutAnAuthority() throws {
        #expect {
            try run("client", "alice")
        } throws: {
            "\($0)".contains("penstock pki init")
        }
        try run("init")
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: folder("pki/ca.key"))
        #expect {
            try run("client", "alice")
        } throws: {
            "\($0)".contains("chmod 600")
        }
        try folder.write("pki/index.json", "{")
        #expect(throws: RunError.self) { try run("list") }
    }

    @Test(arguments: [
        ["server"], ["server", "a b"], ["server", "1.2.3"], ["client"], ["client", "Alice"], ["client", "-a"],
        ["revoke"], ["nothing"],
    ])
    func wrongUsage(arguments: [String]) {
        #expect(throws: (any Error).self) { try Penstock.parseAsRoot(["pki"] + arguments) }
    }

    /// Several at once, as a script may start them: nothing of it is lost.
    @Test func manyAtOnce() async throws {
        try run("init")
        try await withThrowingTaskGroup { group in
            for number in 0..<8 {
                let path = folder("pki")
                group.addTask {
                    var command = try Penstock.parseAsRoot(["pki", "client", "c\(number)", "--folder", path])
                    try command.run()
                }
            }
            try await group.waitForAll()
        }
        #expect(Set(try index.entries.map(\.name)) == Set((0..<8).map { "c\($0)" }))
    }
}

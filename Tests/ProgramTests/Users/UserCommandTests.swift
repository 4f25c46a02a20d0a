import ArgumentParser
import Foundation
import GRDB
import Sealing
import TestSupport
import Testing
import UserStore
import Users

@testable import penstock

@Suite struct UserCommandTests {
    private let folder: TemporaryFolder
    private var database: String { folder("users.db") }

    init() throws { folder = try TemporaryFolder() }

    private func run(_ arguments: String...) throws {
        var command = try Penstock.parseAsRoot(["user"] + arguments + ["--database", database])
        try command.run()
    }

    private func exitCode(_ arguments: String...) -> ExitCode {
        do {
            var command = try Penstock.parseAsRoot(["user"] + arguments + ["--database", database])
            try command.run()
            return .success
        } catch {
            return Penstock.exitCode(for: error)
        }
    }

    private func user(_ name: String) throws -> User? {
        let store = try openUserDatabase(database, create: false, for: .administration)
        defer { store.close() }
        return try store.user(UserName(name)!)
    }

    private static let key = Data(repeating: 1, count: 32).base64EncodedString()

    private func complaint(_ arguments: String...) -> String {
        do {
            var command = try Penstock.parseAsRoot(["user"] + arguments + ["--database", database])
            try command.run()
            return ""
        } catch {
            return Penstock.message(for: error)
        }
    }

    @Test func whatIsWrongWithAChangeIsSaid() throws {
        try run("add", "anna", "--key", Self.key)
        #expect(complaint("set", "anna", "--no-such-option").contains("Unknown option '--no-such-option'"))
        #expect(complaint("set", "anna").contains("Nothing to set; 'penstock user set --help'"))
        #expect(complaint("add", "bert", "--key", Self.key, "--key", Self.key).contains("give each key once"))
    }

    @Test func aLife() throws {
        try run(
            "add", "anna", "--key", Self.key, "--generate", "--sessions", "2", "--flows", "300", "--half-open", "20",
            "--udp-associations", "10", "--buffered-bytes", "8MiB", "--rate-up", "10Mbit", "--rate-down", "50Mbit",
            "--quota", "500GB", "--allow", "*:443", "--allow", "192.0.2.0/24", "--expires", "2026-12-31")
        var anna = try #require(try user("anna"))
        #expect(anna.hasPassword && anna.keys == [[UInt8](repeating: 1, count: 32)] && anna.expires == 1_798_675_200)
        #expect(anna.limits.sessions == 2 && anna.limits.flows == 300 && anna.limits.halfOpen == 20)
        #expect(anna.limits.associations == 10 && anna.limits.bufferedBytes == 8 << 20)
        #expect(anna.limits.rateUp == 10_000_000 && anna.limits.rateDown == 50_000_000)
        #expect(anna.limits.monthlyQuota == 500_000_000_000)
        #expect(anna.limits.destinations.map(\.description) == ["*:443", "192.0.2.0/24"])

        try run("set", "anna", "--rate-up", "none", "--quota", "1GB", "--allow", "any", "--remove-key", Self.key)
        anna = try #require(try user("anna"))
        #expect(anna.limits.rateUp == nil && anna.limits.rateDown == 50_000_000 && anna.limits.destinations.isEmpty)
        #expect(anna.keys.isEmpty && anna.limits.monthlyQuota == 1_000_000_000)
        try run("set", "anna", "--expires", "never")
        try run("disable", "anna")
        try run("kick", "anna")
        anna = try #require(try user("anna"))
        // Once for the key that was taken away.
        #expect(anna.isDisabled && anna.kicks == 2 && anna.expires == nil)
        try run("enable", "anna")
        try run("passwd", "anna", "--delete")
        #expect(try user("anna")?.isDisabled == false && user("anna")?.hasPassword == false)
        try run("passwd", "anna", "--generate")
        try run("list")
        try run("show", "anna", "--json")
        try run("remove", "anna")
        #expect(try user("anna") == nil)
    }

    @Test func failuresHaveTheirExitCodes() throws {
        #expect(exitCode("list") == .failure, "there is no database yet, and reading makes none")
        #expect(!FileManager.default.fileExists(atPath: database))
        try run("add", "anna", "--generate")
        #expect(exitCode("add", "anna", "--generate") == .failure)
        #expect(exitCode("show", "bert") == .failure)
        #expect(exitCode("set", "anna") == .validationFailure, "nothing to set")
        for wrong in [
            ["add", "Anna"], ["add", "a", "--sessions", "0"], ["add", "a", "--rate-up", "7kbit"],
            ["add", "a", "--rate-up", "fast"],
            ["add", "a", "--allow", "192.0.2.1/24"], ["add", "a", "--allow", "any", "--allow", "*"],
            ["add", "a", "--expires", "soon"], ["add", "a", "--key", "AAAA"], ["add", "a", "--stdin", "--generate"],
            ["passwd", "anna", "--stdin", "--delete"], ["set", "anna", "--buffered-bytes", "1KiB"],
        ] {
            #expect(
                throws: (any Error).self, "\(wrong)",
                performing: { _ = try Penstock.parseAsRoot(["user"] + wrong + ["--database", database]) })
        }
    }

    /// Somebody has edited the table by hand: it is said, the others are listed, and the entry can be taken away.
    @Test func aDamagedEntry() throws {
        for name in ["anna", "bert", "carl"] { try run("add", name, "--generate") }
        let queue = try DatabaseQueue(path: database)
        try queue.write {
            try $0.execute(sql: "INSERT INTO destination SELECT id, 0, 'no rule!' FROM user WHERE name = 'anna'")
            try $0.execute(sql: "UPDATE user SET name = 'No Name' WHERE name = 'bert'")
        }
        let store = try openUserDatabase(database, create: false, for: .administration)
        let reports = try store.users().map { stored in
            switch stored {
            case .good(let user): UserReport(user, usage: [], now: 0)
            case .damaged(let row): UserReport(row)
            }
        }
        #expect(reports.map(\.name) == ["#2", "anna", "carl"])
        #expect(reports.map(\.state) == ["damaged", "damaged", "active"])
        #expect(reports[0].damage == "its name is none that a user may have")
        #expect(reports[1].lines[2].hasPrefix("damage: one of its destinations is none: "))
        store.close()
        try run("list")
        try run("show", "anna")
        try run("show", "#2", "--json")
        try run("disable", "anna")
        try run("kick", "anna")
        #expect(exitCode("set", "anna", "--flows", "3") == .failure)
        try run("passwd", "anna", "--generate")
        let (isDisabled, kicks) = try queue.read { db in
            let row = try Row.fetchOne(db, sql: "SELECT disabled, kicks FROM user WHERE name = 'anna'")
            return (row?["disabled"] as Int?, row?["kicks"] as Int?)
        }
        #expect(isDisabled == 1 && kicks == 2)
        try run("remove", "anna")
        try run("remove", "#2")
        #expect(exitCode("remove", "#2") == .failure && exitCode("disable", "anna") == .failure)
        #expect(try queue.read { try String.fetchAll($0, sql: "SELECT name FROM user") } == ["carl"])
        try queue.close()
    }

    @Test func theDatabaseIsNamedOnce() throws {
        for wrong in [[], ["--database", "a", "--config", "b"]] {
            #expect(throws: (any Error).self) { _ = try Penstock.parseAsRoot(["user", "list"] + wrong) }
        }
        try folder.write("s.yaml", "users: { database: mine.db }\n")
        var command = try Penstock.parseAsRoot(["user", "add", "anna", "--generate", "--config", folder("s.yaml")])
        try command.run()
        #expect(FileManager.default.fileExists(atPath: folder("mine.db")))
        try folder.write("none.yaml", "listen: \"[::]:1\"\n")
        command = try Penstock.parseAsRoot(["user", "list", "--config", folder("none.yaml")])
        #expect(throws: ExitCode(2)) { try command.run() }
    }

    @Test func aDatabaseThatOthersCanReadIsNotUsed() throws {
        try run("add", "anna", "--generate")
        let mode = try FileManager.default.attributesOfItem(atPath: database)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: database)
        #expect(throws: UserDatabaseError.self) { try openUserDatabase(database, create: false, for: .service) }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: database)
        try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder.path)
        #expect(throws: UserDatabaseError.self) { try openUserDatabase(database, create: false, for: .service) }
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: folder.path)
        _ = try openUserDatabase(database, create: false, for: .service)
    }

    @Test func passwordsThatAreMade() {
        let made = (0..<100).map { _ in PasswordEntry.generated().withBytes { String(decoding: $0, as: UTF8.self) } }
        #expect(Set(made).count == 100)
        #expect(made.allSatisfy { $0.count == 23 && Password($0.utf8) != nil })
        #expect(made.allSatisfy { $0.split(separator: "-").map(\.count) == [5, 5, 5, 5] })
    }
}

import ArgumentParser
import Configuration
import Logging
import TestSupport
import Testing

@testable import penstock

@Suite struct CommandTests {
    @Test func clientAndServerTakeAFileAndALevel() throws {
        let client = try #require(
            try Penstock.parseAsRoot(["client", "--config", "c.yaml", "--log-level", "debug"]) as? ClientCommand)
        #expect(client.options.config == "c.yaml")
        #expect(client.options.logLevel == .debug)
        let server = try #require(try Penstock.parseAsRoot(["server", "-c", "s.yaml"]) as? ServerCommand)
        #expect(server.options.config == "s.yaml")
        #expect(server.options.logLevel == nil)
    }

    @Test(arguments: [["client"], ["client", "--config"], ["server", "-c", "s", "--log-level", "loud"], ["nothing"]])
    func wrongUsageHasItsExitCode(arguments: [String]) {
        #expect(exitCode { _ = try Penstock.parseAsRoot(arguments) } == .validationFailure)
        #expect(ExitCode.validationFailure.rawValue == 64)
    }

    @Test func aBadConfigurationHasItsExitCode() throws {
        let folder = try TemporaryFolder()
        for command in ["client", "server"] {
            let arguments = [command, "--config", folder("none.yaml")]
            #expect(exitCode { try run(arguments) } == ExitCode(2))
        }
        try folder.write("c.yaml", minimalClient)
        #expect(exitCode { try run(["config", "check", folder("c.yaml"), "--role", "server"]) } == ExitCode(2))
        #expect(exitCode { try run(["config", "check", folder("c.yaml"), "--role", "client"]) } == .success)
    }

    @Test func keygenWritesAFileOnce() throws {
        let folder = try TemporaryFolder()
        let arguments = ["keygen", "--output", folder("new.key")]
        #expect(exitCode { try run(arguments) } == .success)
        let first = try readFile(folder("new.key"), limit: 64, for: .ownerOnly)
        #expect(first.count == 45 && first.last == 10)
        #expect(exitCode { try run(arguments) } == .failure)
        #expect(try readFile(folder("new.key"), limit: 64) == first)
        #expect(exitCode { try run(["pubkey", folder("new.key")]) } == .success)
        try folder.write("new.key", "x")
        #expect(exitCode { try run(["pubkey", folder("new.key")]) } == .failure)
    }

    private func run(_ arguments: [String]) throws {
        var command = try Penstock.parseAsRoot(arguments)
        try command.run()
    }

    private func exitCode(_ body: () throws -> Void) -> ExitCode {
        do {
            try body()
            return .success
        } catch {
            return Penstock.exitCode(for: error)
        }
    }
}

import Configuration
import Logging
import Primitives
import TestSupport
import Testing

@testable import penstock

/// SIGHUP without the signal: what is taken over of a file, and what is said.
@Suite struct ReloadingTests {
    let folder: TemporaryFolder
    private let lines = Lines()
    init() throws { folder = try TemporaryFolder() }

    /// What was logged, `LEVEL MESSAGE SETTING`.
    private final class Lines: @unchecked Sendable {
        var all: [String] = []
    }

    private struct Recorder: LogHandler {
        let lines: Lines
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            lines.all.append("\(event.level.rawValue) \(event.message) \(event.metadata?["setting"] ?? "")")
        }
    }

    private var logger: Logger { Logger(label: "test") { [lines] _ in Recorder(lines: lines) } }

    private func reloading() throws -> Reloading<ServerConfiguration> {
        try folder.write("s.yaml", minimalServer)
        return Reloading(try LoadedConfiguration(folder("s.yaml")), logLevelIsFixed: true)
    }

    @Test func aChangeIsTakenOverAndTold() throws {
        let reloading = try reloading()
        try folder.write("s.yaml", minimalServer + "drain-time: 9s\nloops: 2\n")
        var applied: [ServerConfiguration] = []
        reloading.reload(logger) { applied.append($0) }
        #expect(applied.map(\.drainTime) == [.seconds(9)])
        #expect(
            lines.all == [
                "notice setting changed drain-time: 5s -> 9s",
                "warning setting changed, which needs a restart loops: (none) -> 2", "notice configuration reloaded ",
            ])
    }

    @Test func aBrokenFileChangesNothing() throws {
        let reloading = try reloading()
        try folder.write("s.yaml", minimalServer + "drain-time: 9s\nlops: 2\n")
        reloading.reload(logger) { _ in Issue.record("it was taken over") }
        #expect(lines.all.count == 2)
        #expect(lines.all[0].contains("s.yaml:6:1: unknown key 'lops'; did you mean 'loops'?"))
        #expect(lines.all[1] == "error the configuration was not reloaded: the former one stays ")
    }

    @Test func whatCannotBeAppliedStaysAsItWas() throws {
        let reloading = try reloading()
        try folder.write("s.yaml", minimalServer + "drain-time: 9s\n")
        reloading.reload(logger) { _ in throw RunError("no") }
        #expect(lines.all == ["error the configuration was not reloaded, and the former one stays: no "])
        // It is a change still.
        var applied = 0
        reloading.reload(logger) { _ in applied += 1 }
        reloading.reload(logger) { _ in applied += 1 }
        #expect(applied == 1)
        #expect(lines.all.last == "notice configuration reloaded: nothing has changed ")
    }
}

import ArgumentParser
import Logging

/// The options that `server` and `client` share.
struct RunOptions: ParsableArguments {
    @Option(name: [.short, .long], help: ArgumentHelp("The YAML configuration file.", valueName: "file"))
    var config: String?

    /// For commands that need the file.
    func requiredConfig() throws -> String {
        guard let config else { throw ValidationError("Missing expected argument '--config <file>'") }
        return config
    }

    @Option(
        help: ArgumentHelp(
            "Write a qlog of each QUIC connection, packet by packet, into this folder (slow).", valueName: "folder"))
    var qlog: String?

    @Option(help: ArgumentHelp("Log level, over that of the file: \(logLevels).", valueName: "level"))
    var logLevel: Logger.Level?
}

private let logLevels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")

extension Logger.Level: @retroactive ExpressibleByArgument {}

/// Runs `load`; prints every problem of a bad configuration and ends the program with its exit code.
func loadOrExit<Configuration>(
    _ load: () throws(ConfigurationError) -> Configuration
) throws(ExitCode) -> Configuration {
    do {
        return try load()
    } catch {
        printError("\(error)")
        throw .badConfiguration
    }
}

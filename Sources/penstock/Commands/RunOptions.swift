import ArgumentParser
import Configuration
import Foundation
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

/// Loads a file with the environment's settings; prints its problems, and ends the program where it cannot be used.
func loadOrExit<Configuration: ConfigurationFile>(
    _ file: String
) throws(ExitCode) -> LoadedConfiguration<Configuration> {
    try loadOrExit { environment throws(ConfigurationError) in try LoadedConfiguration(file, environment: environment) }
}

/// The same for a link, which stands in for a client's file.
func loadOrExit(_ link: ImportedConfiguration) throws(ExitCode) -> LoadedConfiguration<ClientConfiguration> {
    try loadOrExit { environment throws(ConfigurationError) in try link.loaded(environment: environment) }
}

private func loadOrExit<Configuration: ConfigurationFile>(
    _ load: (EnvironmentSettings) throws(ConfigurationError) -> LoadedConfiguration<Configuration>
) throws(ExitCode) -> LoadedConfiguration<Configuration> {
    let environment = EnvironmentSettings(ProcessInfo.processInfo.environment)
    let loaded = try loadOrExit { () throws(ConfigurationError) in try load(environment) }
    for warning in loaded.warnings { printError("\(warning)") }
    return loaded
}

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

import ArgumentParser
import Configuration

struct ServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "server", abstract: "Run the server.")

    @OptionGroup var options: RunOptions

    func validate() throws { _ = try options.requiredConfig() }

    func run() throws {
        let loaded = try loadOrExit(options.requiredConfig()) as LoadedConfiguration<ServerConfiguration>
        startLogging(level: options.logLevel ?? loaded.configuration.logLevel)
        let program = try ServerProgram(loaded.configuration, qlog: options.qlog)
        program.reloading = Reloading(loaded, logLevelIsFixed: options.logLevel != nil)
        try program.run()
    }
}

import ArgumentParser

struct ServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "server", abstract: "Run the server.")

    @OptionGroup var options: RunOptions

    func run() throws {
        let loaded = try loadOrExit(options.config) as LoadedConfiguration<ServerConfiguration>
        startLogging(level: options.logLevel ?? loaded.configuration.logLevel)
        let program = try ServerProgram(loaded.configuration, qlog: options.qlog)
        program.reloading = Reloading(loaded, logLevelIsFixed: options.logLevel != nil)
        try program.run()
    }
}

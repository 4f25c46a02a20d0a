import ArgumentParser

struct ServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "server", abstract: "Run the server.")

    @OptionGroup var options: RunOptions

    func run() throws {
        let configuration =
            try loadOrExit { () throws(ConfigurationError) in try .load(options.config) }
            as ServerConfiguration
        startLogging(level: options.logLevel ?? configuration.logLevel)
        try ServerProgram(configuration, qlog: options.qlog).run()
    }
}

import ArgumentParser

struct ServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "server", abstract: "Run the server.")

    @OptionGroup var options: RunOptions

    func validate() throws { _ = try options.requiredConfig() }

    func run() throws {
        let file = try options.requiredConfig()
        let configuration =
            try loadOrExit { () throws(ConfigurationError) in try .load(file) }
            as ServerConfiguration
        startLogging(level: options.logLevel ?? configuration.logLevel)
        try ServerProgram(configuration, qlog: options.qlog).run()
    }
}

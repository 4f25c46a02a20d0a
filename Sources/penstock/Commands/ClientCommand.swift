import ArgumentParser

struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client", abstract: "Run the client. Needs root or CAP_NET_ADMIN.")

    @OptionGroup var options: RunOptions

    func run() throws {
        let configuration =
            try loadOrExit { () throws(ConfigurationError) in try .load(options.config) }
            as ClientConfiguration
        startLogging(level: options.logLevel ?? configuration.logLevel)
        try ClientProgram(configuration, qlog: options.qlog).run()
    }
}

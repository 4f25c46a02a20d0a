import ArgumentParser

struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client", abstract: "Run the client. Needs root or CAP_NET_ADMIN.")

    @OptionGroup var options: RunOptions

    func run() throws {
        let loaded = try loadOrExit(options.config) as LoadedConfiguration<ClientConfiguration>
        startLogging(level: options.logLevel ?? loaded.configuration.logLevel)
        let program = try ClientProgram(loaded.configuration, qlog: options.qlog)
        program.reloading = Reloading(loaded, logLevelIsFixed: options.logLevel != nil)
        try program.run()
    }
}

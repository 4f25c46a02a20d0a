import ArgumentParser

struct ClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client", abstract: "Run the client. Needs root or CAP_NET_ADMIN.")

    @OptionGroup var options: RunOptions

    @OptionGroup(title: "A link instead of a file") var source: LinkSource

    func validate() throws {
        if options.config != nil && (source.link != nil || source.linkFile != nil) {
            throw ValidationError("Give --config or a link, not both.")
        }
        if options.config == nil && !source.isGiven {
            throw ValidationError(
                "Missing expected argument '--config <file>', or a link (--link -, --link-file <file>)")
        }
    }

    func run() throws {
        let loaded = try options.config.map { try loadOrExit($0) as LoadedConfiguration<ClientConfiguration> }
        let configuration = try loaded?.configuration ?? ImportedConfiguration(link: try source.read()).configuration
        startLogging(level: options.logLevel ?? configuration.logLevel)
        let program = try ClientProgram(configuration, qlog: options.qlog)
        program.reloading = loaded.map { Reloading($0, logLevelIsFixed: options.logLevel != nil) }
        try program.run()
    }
}

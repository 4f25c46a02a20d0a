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
        let configuration = try configuration()
        startLogging(level: options.logLevel ?? configuration.logLevel)
        try ClientProgram(configuration, qlog: options.qlog).run()
    }

    private func configuration() throws -> ClientConfiguration {
        guard let file = options.config else { return ImportedConfiguration(link: try source.read()).configuration }
        return try loadOrExit { () throws(ConfigurationError) in try .load(file) }
    }
}

import ArgumentParser
import Configuration

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
        let loaded: LoadedConfiguration<ClientConfiguration> =
            if let file = options.config { try loadOrExit(file) } else {
                try loadOrExit(ImportedConfiguration(link: source.read()))
            }
        startLogging(level: options.logLevel ?? loaded.configuration.logLevel)
        let program = try ClientProgram(loaded.configuration, qlog: options.qlog)
        program.reloading = Reloading(loaded, logLevelIsFixed: options.logLevel != nil)
        try program.run()
    }
}

import ArgumentParser

/// Which side of the tunnel a configuration is for.
enum Role: String, CaseIterable, ExpressibleByArgument {
    case client, server
}

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check a configuration file, or print an example.",
        subcommands: [Check.self, Example.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read a configuration file and the files it names, and tell everything that is wrong.")

        @Argument(help: "The YAML configuration file.") var file: String
        @Option(help: "client or server.") var role: Role

        func run() throws {
            switch role {
            case .client: _ = try loadOrExit { () throws(ConfigurationError) in try ClientConfiguration.load(file) }
            case .server: _ = try loadOrExit { () throws(ConfigurationError) in try ServerConfiguration.load(file) }
            }
            print("\(file): good")
        }
    }

    struct Example: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print an example configuration with every key, its default and its meaning.")

        @Argument(help: "client or server.") var role: Role

        func run() {
            switch role {
            case .client: print(clientConfigurationExample, terminator: "")
            case .server: print(serverConfigurationExample, terminator: "")
            }
        }
    }
}

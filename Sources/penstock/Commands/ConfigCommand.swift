import ArgumentParser
import Configuration

/// Which side of the tunnel a configuration is for.
enum Role: String, CaseIterable, ExpressibleByArgument {
    case client, server
}

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check a configuration file, or show what holds and what there is.",
        discussion: """
            Each setting but lists of sections can also be given by a variable of the environment, which comes before the \
            file: PENSTOCK_ and the key in capitals, with _ for dots and hyphens, such as PENSTOCK_TUN_MTU for tun.mtu; \
            docs/CONFIGURATION.md.
            """,
        subcommands: [Check.self, Default.self, Example.self, Show.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read a configuration file and the files it names, and tell everything that is wrong.")

        @Argument(help: "The YAML configuration file.") var file: String
        @Option(help: "client or server.") var role: Role

        func run() throws {
            switch role {
            case .client:
                _ = try loadOrExit(file) as LoadedConfiguration<ClientConfiguration>
            case .server:
                _ = try loadOrExit(file) as LoadedConfiguration<ServerConfiguration>
            }
            print("\(file): good")
        }
    }

    struct Default: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print every setting with its default and what it may be, as a file.")

        @Argument(help: "client or server.") var role: Role

        func run() {
            switch role {
            case .client: print(defaultsText(ClientConfiguration.self), terminator: "")
            case .server: print(defaultsText(ServerConfiguration.self), terminator: "")
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Print every setting as it holds, from the file, the environment or by default, and which of them.",
            discussion: "Secrets are masked.")

        @Argument(help: "The YAML configuration file.") var file: String
        @Option(help: "client or server.") var role: Role

        func run() throws {
            let settings =
                switch role {
                case .client: (try loadOrExit(file) as LoadedConfiguration<ClientConfiguration>).settings
                case .server: (try loadOrExit(file) as LoadedConfiguration<ServerConfiguration>).settings
                }
            print(effectiveText(settings, file: file), terminator: "")
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

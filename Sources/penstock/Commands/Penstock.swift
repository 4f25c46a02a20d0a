import ArgumentParser

/// The program. Exit codes: 0 success, 1 failure at run time, 2 a configuration that cannot be used, 64 wrong usage.
@main
struct Penstock: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "penstock",
        abstract: "A VPN that works as a proxy: TCP and UDP through one QUIC connection.",
        discussion: """
            Exit codes: 0 success, 1 failure at run time, 2 a configuration that cannot be used, 64 wrong usage.
            """,
        version: penstockVersion,
        subcommands: [
            ServerCommand.self, ClientCommand.self, GenerateKeyCommand.self, PublicKeyCommand.self, PKICommand.self,
            UserCommand.self, ShareCommand.self, ImportCommand.self, ConfigCommand.self, LoadCommand.self,
            VersionCommand.self,
        ])
}

/// Of this source tree; a release changes it together with CHANGELOG.md.
let penstockVersion = "0.1.0-dev"

extension ExitCode {
    /// The configuration cannot be used.
    static let badConfiguration = ExitCode(2)
}

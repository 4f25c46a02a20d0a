import ArgumentParser

struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Test under load: through the tunnel, beside it, or through another proxy.",
        discussion: """
            'penstock load serve' runs the target; 'penstock load run' makes the load and tells what came of it. \
            See docs/LOAD.md.
            """,
        subcommands: [
            LoadServeCommand.self, LoadRunCommand.self, LoadCompareCommand.self, LoadExampleCommand.self,
        ])
}

struct LoadExampleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "example", abstract: "Print a scenario with every kind of workload and every key.")

    func run() { print(scenarioExample, terminator: "") }
}

import ArgumentParser
import Load
import Logging
import Primitives

struct LoadServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the target that load is run against.",
        discussion: """
            Counted from the port given: +0 echoes (TCP and UDP), +1 takes everything and says at the end what came \
            (TCP and UDP), +2 sends without end, +3 answers requests in the form of HTTP/1.1. It serves everybody who \
            reaches it: do not run it where strangers can.
            """)

    @Option(help: ArgumentHelp("Address and first port.", valueName: "address:port"))
    var listen = Endpoint(.v6(IPv6Address(high: 0, low: 0)), 7_400)

    @Option(help: "Log level.") var logLevel = Logger.Level.info

    func validate() throws {
        let last = TargetService.allCases.map(\.rawValue).max() ?? 0
        guard (1...(UInt16.max - last)).contains(listen.port) else {
            throw ValidationError("--listen needs a port from 1 to \(UInt16.max - last): \(last) more follow it.")
        }
    }

    func run() throws {
        startLogging(level: logLevel)
        try TargetProgram(listen: listen).run()
    }
}

extension Endpoint: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
    public var defaultValueDescription: String { description }
}

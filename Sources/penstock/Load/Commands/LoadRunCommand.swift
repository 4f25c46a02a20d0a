import ArgumentParser
import Configuration
import Foundation
import LinuxIO
import Load
import Logging
import Primitives

struct LoadRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Make load, and tell what came of it.",
        discussion: """
            One workload is given by options, several by --scenario. Ctrl-C ends a run early, with its results. \
            Exit codes: 0 all flows did what they should, 1 some failed, data was wrong, or the run could not begin, \
            2 a scenario or configuration that cannot be used.
            """)

    @Option(help: ArgumentHelp("Where 'penstock load serve' listens, with its first port.", valueName: "host:port"))
    var target: HostAndPort

    @Option(
        help: ArgumentHelp(
            "quic (streams of a tunnel, spoken to the server directly; needs --config), tcp (sockets: through a TUN "
                + "where routes lead there) or socks5://HOST:PORT.", valueName: "way"))
    var via = LoadVia.tcp

    @Option(help: ArgumentHelp("The client's configuration: server, trust and key for --via quic.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("QUIC connections for --via quic.", valueName: "number"))
    var connections = 1

    @Option(help: ArgumentHelp("Workloads from a file; see 'penstock load example'.", valueName: "file"))
    var scenario: String?

    @OptionGroup(title: "One workload") var workload: WorkloadOptions

    @Option(help: ArgumentHelp("Follow CPU and memory of another process; may be repeated.", valueName: "name=pid"))
    var watch: [ProcessWatch.Subject] = []

    @Option(help: ArgumentHelp("Write the result to a file.", valueName: "file")) var json: String?
    @Option(help: ArgumentHelp("Write a page with charts.", valueName: "file.html")) var report: String?
    @Flag(help: "No line about how the run goes.") var quiet = false
    @Option(help: "Log level.") var logLevel = Logger.Level.warning

    func validate() throws {
        if scenario != nil, let option = workload.given.first {
            throw ValidationError("--\(option.key) and --scenario exclude each other: write it into the scenario.")
        }
        if scenario == nil, workload.workload == nil {
            throw ValidationError("Say what to do: --workload (\(Workload.Kind.list)) or --scenario FILE.")
        }
        if via == .quic, config == nil {
            throw ValidationError("--via quic needs --config, the client's configuration.")
        }
        guard (1...1_024).contains(connections), via == .quic || connections == 1 else {
            throw ValidationError("--connections is for --via quic, from 1 to 1024.")
        }
        for file in [json, report].compactMap(\.self) {
            // Better said now than at the end of the run.
            let folder = URL(filePath: file).deletingLastPathComponent().path(percentEncoded: false)
            guard FileManager.default.isWritableFile(atPath: folder) else {
                throw ValidationError("\(file) cannot be written: \(folder) is no folder to write to.")
            }
        }
        let last = TargetService.allCases.map(\.rawValue).max() ?? 0
        guard target.port <= UInt16.max - last else {
            throw ValidationError("--target names the first of \(last + 1) ports: \(UInt16.max - last) at most.")
        }
    }

    func run() throws {
        let workloads = try loadOrExit { () throws(ConfigurationError) in
            if let scenario { try Scenario.load(scenario) } else { try Scenario.commandLine(workload.given) }
        }
        let client = try config.map { file in
            try loadOrExit { () throws(ConfigurationError) in try ClientConfiguration.load(file) }
        }
        if case .socks5 = via, let udp = workloads.first(where: { $0.workload.kind == .udp }) {
            printError(
                "workload '\(udp.name)' sends datagrams, which a SOCKS5 proxy does not carry here; use --via tcp or quic"
            )
            throw ExitCode.badConfiguration
        }
        startLogging(level: logLevel)
        let program = try LoadProgram(
            LoadProgram.Options(
                via: via, target: target, workloads: workloads, client: client, connections: connections,
                watched: watch, isQuiet: quiet))
        let started = Date()
        let outcome = try program.run()
        let result = LoadResult(
            software: "penstock \(penstockVersion)", started: started.formatted(.iso8601), machine: machineText(),
            via: "\(via)", connections: via == .quic ? connections : 0, target: "\(target)", seconds: outcome.seconds,
            interrupted: outcome.interrupted, workloads: outcome.workloads, processes: outcome.processes)
        print(result.text, terminator: "")
        if let json { try writeResult(ResultFile.encode(result), to: json) }
        if let report { try writeResult(Data(HTMLReport(result).text.utf8), to: report) }
        if !result.isGood { throw ExitCode.failure }
    }
}

/// The keys of a scenario's workload, as options. What their values mean is read where scenarios are.
struct WorkloadOptions: ParsableArguments {
    @Option(help: ArgumentHelp("\(Workload.Kind.list).", valueName: "kind")) var workload: String?
    @Option(help: ArgumentHelp("How long, such as 10s, which is the default.", valueName: "time")) var duration: String?
    @Option(help: ArgumentHelp("Flows at once.", valueName: "number")) var flows: String?
    @Option(
        help: ArgumentHelp(
            "Requests, flows (churn) or datagrams a second, due at fixed times; without it, requests follow each other.",
            valueName: "number"))
    var rate: String?
    @Option(help: ArgumentHelp("Bytes of a request, such as 200B.", valueName: "size")) var requestSize: String?
    @Option(help: ArgumentHelp("Bytes of an answer, such as 16KiB.", valueName: "size")) var responseSize: String?
    @Option(help: ArgumentHelp("Idle flows say something once in this time.", valueName: "time")) var touch: String?
    @Option(help: ArgumentHelp("Bytes of a datagram.", valueName: "size")) var size: String?
    @Option(help: ArgumentHelp("Whether datagrams are echoed, or only counted.", valueName: "true|false"))
    var echo: String?

    /// The options that were given, by their keys in a scenario.
    var given: [(key: String, value: String)] {
        [
            ("workload", workload), ("duration", duration), ("flows", flows), ("rate", rate),
            ("request-size", requestSize), ("response-size", responseSize), ("touch", touch), ("size", size),
            ("echo", echo),
        ].compactMap { key, value in value.map { (key, $0) } }
    }
}

extension Workload.Kind {
    static var list: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

extension HostAndPort: ExpressibleByArgument {
    package init?(argument: String) {
        guard case .value(let value) = SettingKind.hostAndPort.parse(argument) else { return nil }
        self = value
    }
}

extension LoadVia: ExpressibleByArgument {
    init?(argument: String) {
        switch argument {
        case "quic": self = .quic
        case "tcp": self = .tcp
        default:
            guard argument.hasPrefix("socks5://"), let proxy = HostAndPort(argument: String(argument.dropFirst(9)))
            else {
                return nil
            }
            self = .socks5(proxy)
        }
    }
}

extension ProcessWatch.Subject: ExpressibleByArgument {
    init?(argument: String) {
        guard let equals = argument.lastIndex(of: "="), equals > argument.startIndex,
            let pid = Int(decimal: argument[argument.index(after: equals)...]), let number = Int32(exactly: pid)
        else { return nil }
        self.init(name: String(argument[..<equals]), pid: number)
    }
}

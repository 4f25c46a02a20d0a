import Configuration
import Load
import Primitives

/// Workloads as a scenario file has them.
enum Scenario {
    /// Reads and checks a file.
    static func load(_ file: String) throws(ConfigurationError) -> [WorkloadPlan] {
        let document = document(file)
        return try read(document.readRoot(), document)
    }

    /// The same for YAML text in memory; `file` stands in the messages.
    static func parse(_ text: String, file: String) throws(ConfigurationError) -> [WorkloadPlan] {
        let document = document(file)
        return try read(document.composeRoot(text), document)
    }

    /// One workload of which each key was given on the command line.
    static func commandLine(_ options: [(key: String, value: String)]) throws(ConfigurationError) -> [WorkloadPlan] {
        let document = document("command line")
        let section = ConfigurationSection(document, options: options)
        guard let plan = WorkloadPlan(section, duration: .seconds(10)), document.problems.isEmpty else {
            throw ConfigurationError(document.problems)
        }
        return [plan]
    }

    private static func document(_ file: String) -> ConfigurationDocument {
        ConfigurationDocument(file: file, exampleCommand: "penstock load example")
    }

    private static func read(
        _ root: ConfigurationSection, _ document: ConfigurationDocument
    ) throws(ConfigurationError) -> [WorkloadPlan] {
        let duration = root.optional("duration", .duration(.milliseconds(100)...(.seconds(30 * 24 * 3_600))))
        var plans: [WorkloadPlan] = []
        for section in root.optionalSections("workloads") ?? [] {
            guard let plan = WorkloadPlan(section, duration: duration) else { continue }
            if plans.contains(where: { $0.name == plan.name }) {
                section.refuse(
                    section.has("name") ? "name" : "workload",
                    "'\(section.name("name"))' is '\(plan.name)', as that of a workload before it",
                    remedy: "give each a 'name' of its own")
            }
            plans.append(plan)
        }
        if plans.isEmpty, document.problems.isEmpty {
            root.refuse("workloads", "'workloads' has no entry", remedy: "add '- workload: requests' below it")
        }
        if plans.count > LoadPlan.maximumWorkloads {
            root.refuse(
                "workloads", "'workloads' has more than \(LoadPlan.maximumWorkloads) entries",
                remedy: "leave some out, or give one more flows")
        }
        if plans.reduce(0, { $0 + $1.workload.flows }) > LoadPlan.maximumFlows {
            root.refuse(
                "workloads", "'workloads' has more than \(LoadPlan.maximumFlows) flows in all entries",
                remedy: "make 'flows' smaller")
        }
        root.refuseUnknownKeys()
        guard document.problems.isEmpty else { throw ConfigurationError(document.problems) }
        return plans
    }
}

/// What `penstock load example` prints: every kind of workload with every key.
let scenarioExample = """
    # A scenario of penstock load: all workloads run at once.
    # For those that say no duration of their own. Units: ms, s, m, h.
    duration: 10s

    workloads:
      # Upload as fast as it goes, to a sink that says at the end what came.
      - name: upload                # in tables and charts; the kind where left out
        workload: bulk-up           # or bulk-down, bulk-both
        flows: 2
        start: 1s                   # after the run's beginning
        duration: 5s

      # Requests on connections that stay. With a rate they are due at fixed times, and latency counts from then;
      # without, each follows the answer before it.
      - name: pages
        workload: requests
        flows: 20
        rate: 500                   # a second, all flows together
        request-size: 200B          # units: B, KiB, MiB, GiB
        response-size: 16KiB

      # A connection for each request: connect, exchange, close.
      - name: short connections
        workload: churn
        flows: 50                   # at once, at most
        rate: 100
        request-size: 0B
        response-size: 1KiB

      # Open and silent, but for 16 bytes and their echo from each once in this time.
      - name: sleepers
        workload: idle
        flows: 1000
        touch: 5s

      # Datagrams: in the tunnel with --via quic, plain UDP with --via tcp, none with --via socks5.
      - name: voice
        workload: udp
        flows: 4
        rate: 200                   # a second, all flows together
        size: 172B
        echo: true                  # false: the target counts them and tells at the end

    """

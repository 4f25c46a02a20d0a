/// Two results side by side: what of the second is how many times the first.
public struct Comparison: Hashable, Sendable {
    public struct Row: Hashable, Sendable {
        public var name: String
        public var first: String
        public var second: String
        /// The second over the first; nil where one of them is zero or missing.
        public var ratio: Double?
    }

    public struct Section: Hashable, Sendable {
        public var name: String
        public var rows: [Row]
    }

    /// What was not the same before the runs: ratios then say something of that, too.
    public private(set) var differences: [String] = []
    public private(set) var sections: [Section] = []

    public init(_ first: LoadResult, _ second: LoadResult) {
        note("via", first.via, second.via)
        note("connections", "\(first.connections)", "\(second.connections)")
        note("target", first.target, second.target)
        note("machine", first.machine, second.machine)
        note("software", first.software, second.software)
        for workload in first.workloads {
            guard let other = second.workloads.first(where: { $0.name == workload.name }) else {
                differences.append("workload '\(workload.name)' is in the first alone")
                continue
            }
            compareInputs(workload, other)
            sections.append(Section(name: workload.name, rows: Self.rows(workload, other)))
        }
        for workload in second.workloads where !first.workloads.contains(where: { $0.name == workload.name }) {
            differences.append("workload '\(workload.name)' is in the second alone")
        }
        for (name, result) in [("first", first), ("second", second)] {
            if result.interrupted { differences.append("the \(name) run was ended early") }
            if !result.isGood { differences.append("the \(name) run had failures") }
        }
        compareProcesses(first, second)
    }

    private mutating func note(_ name: String, _ first: String, _ second: String) {
        if first != second { differences.append("\(name): \(first) and \(second)") }
    }

    private mutating func compareInputs(_ first: WorkloadResult, _ second: WorkloadResult) {
        note("\(first.name): workload", first.workload, second.workload)
        for key in Set(first.parameters.keys).union(second.parameters.keys).sorted() {
            note("\(first.name): \(key)", first.parameters[key] ?? "none", second.parameters[key] ?? "none")
        }
    }

    private static func rows(_ first: WorkloadResult, _ second: WorkloadResult) -> [Row] {
        var rows: [Row] = []
        func add(_ name: String, _ a: Double?, _ b: Double?, _ text: (Double) -> String) {
            guard (a ?? 0) != 0 || (b ?? 0) != 0 else { return }
            rows.append(row(name, a, b, text))
        }
        add("up", first.sendingRate, second.sendingRate, NumberText.bitRate)
        add("down", first.receivingRate, second.receivingRate, NumberText.bitRate)
        add("answered a second", first.operationRate, second.operationRate, NumberText.short)
        let percentiles: [(String, KeyPath<LatencySummary, Double>)] = [
            ("p50", \.p50), ("p90", \.p90), ("p99", \.p99), ("p99.9", \.p999), ("p99.99", \.p9999), ("max", \.maximum),
        ]
        for (name, path) in percentiles {
            add("latency \(name)", first.latency?[keyPath: path], second.latency?[keyPath: path], NumberText.duration)
        }
        for (name, path) in percentiles {
            add(
                "connect \(name)", first.connectLatency?[keyPath: path], second.connectLatency?[keyPath: path],
                NumberText.duration)
        }
        add(
            "datagrams lost", first.datagrams.map { Double($0.lost) }, second.datagrams.map { Double($0.lost) },
            NumberText.short)
        add("failures", count(first.failures), count(second.failures), NumberText.short)
        return rows
    }

    private static func count(_ failures: [String: UInt64]) -> Double { Double(failures.values.reduce(0, +)) }

    private mutating func compareProcesses(_ first: LoadResult, _ second: LoadResult) {
        for process in first.processes {
            guard let other = second.processes.first(where: { $0.name == process.name }) else { continue }
            let rows = [
                Self.row(
                    "CPU s/GB", process.cpuSecondsPerGigabyte(bytes: first.bytes),
                    other.cpuSecondsPerGigabyte(bytes: second.bytes)
                ) { NumberText.fixed($0, 3) },
                Self.row("CPU seconds", process.cpuSeconds, other.cpuSeconds) { NumberText.fixed($0, 2) },
                Self.row("resident, peak", Double(process.residentPeak), Double(other.residentPeak)) {
                    NumberText.memory(UInt64($0))
                },
                Self.row("anonymous, peak", Double(process.anonymousPeak), Double(other.anonymousPeak)) {
                    NumberText.memory(UInt64($0))
                },
            ]
            sections.append(Section(name: "process \(process.name)", rows: rows))
        }
    }

    private static func row(_ name: String, _ first: Double?, _ second: Double?, _ text: (Double) -> String) -> Row {
        var ratio: Double?
        if let first, let second, first != 0, second != 0 { ratio = second / first }
        return Row(name: name, first: first.map(text) ?? "–", second: second.map(text) ?? "–", ratio: ratio)
    }

    /// For a person at a terminal.
    public var text: String {
        var text = ""
        if !differences.isEmpty {
            text += "The runs differ in more than their figures:\n"
            for difference in differences { text += "  \(difference)\n" }
            text += "\n"
        }
        for section in sections {
            var table = TextTable()
            table.add([section.name, "first", "second", "ratio"])
            for row in section.rows {
                let ratio = row.ratio.map { NumberText.fixed($0, 2) + "×" } ?? "–"
                table.add(["  \(row.name)", row.first, row.second, ratio])
            }
            text += table.text() + "\n"
        }
        if sections.isEmpty { text += "They have no workload and no process in common.\n" }
        return text
    }
}

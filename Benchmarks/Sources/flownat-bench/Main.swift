import Glibc

/// Measures FlowNAT: time, allocations, memory. See docs/BENCHMARKS.md.
@main
struct Main {
    static let usage = """
        usage: flownat-bench [--filter TEXT] [--rounds N] [--quick] [--cpu-time] [--json] [--check]
               flownat-bench --list
               flownat-bench --case NAME --operations N     do it so often and print nothing, for profilers
               flownat-bench --memory N                     what N idle flows take

          --filter TEXT   only cases whose name contains the text
          --rounds N      rounds of each case (15)
          --quick         rounds of 5 ms, five of them
          --cpu-time      count the thread's processor time, not the time that passes
          --json          figures for programs
          --check         fail when a case allocates once it is warm, or an idle flow takes more than 2048 bytes
        """

    static func main() {
        var arguments = Array(CommandLine.arguments.dropFirst())
        var options = Options()
        do { try options.read(&arguments) } catch {
            print("flownat-bench: \(error.message)\n\(usage)")
            exit(2)
        }
        switch options.mode {
        case .help: print(usage)
        case .list: for entry in Catalog.cases { print(entry.name) }
        case .single(let name, let operations): runAlone(name, operations)
        case .memory(let flows):
            measureMemory(flows: flows, options)
        case .measure: measure(options)
        }
    }

    private static func runAlone(_ name: String, _ operations: Int) {
        guard let entry = Catalog.cases.first(where: { $0.name == name }) else {
            print("flownat-bench: no case \"\(name)\"; --list shows all")
            exit(2)
        }
        entry.prepare(Repeat(operations: operations))
    }

    private static func measureMemory(flows: Int, _ options: Options) {
        let measurement = MemoryMeasurement.take(flows: flows)
        var report = Report()
        report.memory = [measurement]
        options.json ? report.printJSON() : report.printTable()
        if options.check, !measurement.isWithinLimit {
            print("flownat-bench: an idle flow takes more than \(MemoryMeasurement.limitPerFlow) bytes")
            exit(1)
        }
    }

    private static func measure(_ options: Options) {
        var report = Report()
        var allocating: [String] = []
        for entry in Catalog.cases where options.filter.map({ entry.name.contains($0) }) ?? true {
            let taker = Taker(measurer: options.measurer, entry: entry)
            entry.prepare(taker)
            guard let measurement = taker.result.value else { fatalError("\(entry.name) measured nothing") }
            report.measurements.append(measurement)
            if measurement.allocationsPerOperation > 0 { allocating.append(entry.name) }
        }
        options.json ? report.printJSON() : report.printTable()
        if options.check, !allocating.isEmpty {
            print("flownat-bench: these allocate in steady state: \(allocating.joined(separator: ", "))")
            exit(1)
        }
    }
}

/// Runs a scenario so often.
struct Repeat: Runner {
    let operations: Int

    func run<S: Scenario & ~Copyable>(_ scenario: inout S) { scenario.run(operations) }
}

/// Measures a scenario and keeps the figures.
struct Taker: Runner {
    final class Box { var value: Measurement? }

    let measurer: Measurer
    let entry: Case
    let result = Box()

    func run<S: Scenario & ~Copyable>(_ scenario: inout S) {
        result.value = measurer.measure(
            entry.name, unit: entry.unit, bytes: entry.bytes, multiple: entry.multiple, warmUp: entry.warmUp, &scenario)
    }
}

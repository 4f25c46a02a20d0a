import CAllocationCount
import Glibc
import Sealing

/// Measures the sealed layer: nanoseconds and allocations of a chunk, a datagram and a key exchange. See docs/BENCHMARKS.md.
@main
struct Main {
    static let usage = """
        usage: sealing-bench [--filter TEXT] [--rounds N] [--check]

          --filter TEXT   only cases whose name contains the text
          --rounds N      rounds of 20 ms of each case (25)
          --check         five rounds of 2 ms, no times; fail when a chunk or a datagram allocates
        """

    static func main() {
        var filter = ""
        var rounds = 25
        var isCheck = false
        var arguments = CommandLine.arguments.dropFirst()
        while let argument = arguments.popFirst() {
            switch argument {
            case "--filter": filter = arguments.popFirst() ?? ""
            case "--rounds": rounds = max(1, Int(arguments.popFirst() ?? "") ?? 1)
            case "--check": isCheck = true
            default:
                print(usage)
                exit(argument == "--help" ? 0 : 2)
            }
        }
        if isCheck { rounds = 5 }
        let cases = Cases.all.filter { filter.isEmpty || $0.name.contains(filter) }
        let results = measure(cases, rounds: rounds, nanoseconds: isCheck ? 2_000_000 : 20_000_000)
        if isCheck {
            let allocating = zip(cases, results).filter { $0.mustNotAllocate && $1.allocations > 0 }.map(\.0.name)
            guard !allocating.isEmpty else { return }
            print("sealing-bench: these allocate in steady state: \(allocating.joined(separator: ", "))")
            exit(1)
        }
        print("case                                  fastest ns    median ns   ns/byte  allocations")
        for (entry, result) in zip(cases, results) { print(line(entry, result)) }
        let byName = Dictionary(uniqueKeysWithValues: zip(cases.map(\.name), results))
        for entry in cases {
            guard let name = entry.comparedWith, let ours = byName[entry.name], let other = byName[name] else {
                continue
            }
            let ratios = zip(ours.times, other.times).map { $0 / $1 }.sorted()
            print("\(entry.name) takes \(rounded(ratios[ratios.count / 2], 100)) times as long as \(name)")
        }
    }

    struct Result {
        /// Nanoseconds of one operation, round by round.
        let times: [Double]
        let allocations: Double

        var fastest: Double { times.min() ?? 0 }
        var median: Double { times.sorted()[times.count / 2] }
    }

    /// Each round measures every case once: what the machine does meanwhile hits all of them alike.
    private static func measure(_ cases: [Case], rounds: Int, nanoseconds: Double) -> [Result] {
        let runs = cases.map { $0.prepare() }
        let operations = runs.map { count(of: $0, toTake: nanoseconds / 2) }
        var times = runs.map { _ in [Double](repeating: 0, count: rounds) }
        var allocations = runs.map { _ in 0 }
        for round in 0..<rounds {
            for index in runs.indices {
                let before = allocation_count()
                let start = now()
                runs[index](operations[index])
                times[index][round] = (now() - start) / Double(operations[index])
                allocations[index] += Int(allocation_count() - before)
            }
        }
        return runs.indices.map {
            Result(times: times[$0], allocations: Double(allocations[$0]) / Double(rounds * operations[$0]))
        }
    }

    /// So many operations take that long.
    private static func count(of run: (Int) -> Void, toTake nanoseconds: Double) -> Int {
        var operations = 1
        while true {
            let start = now()
            run(operations)
            if now() - start > nanoseconds { return operations }
            operations *= 2
        }
    }

    private static func rounded(_ value: Double, _ scale: Double) -> Double { (value * scale).rounded() / scale }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }

    private static func line(_ entry: Case, _ result: Result) -> String {
        func right(_ value: Double, _ digits: Int, _ width: Int) -> String {
            let scale = digits == 0 ? 1 : digits == 1 ? 10.0 : 1_000
            let text = digits == 0 ? "\(Int(value.rounded()))" : "\(rounded(value, scale))"
            return String(repeating: " ", count: max(0, width - text.count)) + text
        }
        let name = entry.name + String(repeating: " ", count: max(1, 36 - entry.name.count))
        let perByte =
            entry.bytes > 0 ? right(result.fastest / Double(entry.bytes), 3, 10) : String(repeating: " ", count: 10)
        return name + right(result.fastest, 0, 12) + right(result.median, 0, 13) + perByte
            + right(result.allocations, 1, 13)
    }
}

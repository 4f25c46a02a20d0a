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
        var allocating: [String] = []
        if !isCheck { print("case                                  fastest ns    median ns   ns/byte  allocations") }
        for entry in Cases.all where filter.isEmpty || entry.name.contains(filter) {
            let result = measure(entry, rounds: rounds, nanoseconds: isCheck ? 2_000_000 : 20_000_000)
            if entry.mustNotAllocate, result.allocations > 0 { allocating.append(entry.name) }
            if !isCheck { print(line(entry, result)) }
        }
        if isCheck, !allocating.isEmpty {
            print("sealing-bench: these allocate in steady state: \(allocating.joined(separator: ", "))")
            exit(1)
        }
    }

    struct Result {
        let fastest: Double
        let median: Double
        let allocations: Double
    }

    private static func measure(_ entry: Case, rounds: Int, nanoseconds: Double) -> Result {
        let run = entry.prepare()
        var operations = 1
        while true {
            let start = now()
            run(operations)
            let elapsed = now() - start
            if elapsed > nanoseconds / 2 { break }
            operations *= 2
        }
        var times: [Double] = []
        times.reserveCapacity(rounds)
        let before = allocation_count()
        for _ in 0..<rounds {
            let start = now()
            run(operations)
            times.append((now() - start) / Double(operations))
        }
        let allocations = Double(allocation_count() - before) / Double(rounds * operations)
        times.sort()
        return Result(fastest: times[0], median: times[times.count / 2], allocations: allocations)
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }

    private static func line(_ entry: Case, _ result: Result) -> String {
        func right(_ value: Double, _ digits: Int, _ width: Int) -> String {
            let scale = digits == 0 ? 1 : digits == 1 ? 10.0 : 1_000
            let rounded = (value * scale).rounded() / scale
            let text = digits == 0 ? "\(Int(rounded))" : "\(rounded)"
            return String(repeating: " ", count: max(0, width - text.count)) + text
        }
        let name = entry.name + String(repeating: " ", count: max(1, 36 - entry.name.count))
        let perByte =
            entry.bytes > 0 ? right(result.fastest / Double(entry.bytes), 3, 10) : String(repeating: " ", count: 10)
        return name + right(result.fastest, 0, 12) + right(result.median, 0, 13) + perByte
            + right(result.allocations, 1, 13)
    }
}

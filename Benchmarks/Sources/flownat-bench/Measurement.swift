import CAllocationCount

/// Nanoseconds of one operation over several rounds, and what it allocated.
struct Measurement {
    let name: String
    /// What one operation is, such as "segment".
    let unit: String
    /// Payload bytes of one operation; zero where it carries none.
    let bytes: Int
    /// Nanoseconds an operation, of each round, sorted.
    let rounds: [Double]
    let operationsPerRound: Int
    let allocationsPerOperation: Double

    var median: Double { rounds[rounds.count / 2] }
    var fastest: Double { rounds[0] }
    var slowest: Double { rounds[rounds.count - 1] }
    /// Half of the rounds lie within this, as a part of the median.
    var spread: Double { (rounds[rounds.count * 3 / 4] - rounds[rounds.count / 4]) / median }
    var nanosecondsPerByte: Double? { bytes > 0 ? median / Double(bytes) : nil }
    /// Gigabits of payload a second.
    var gigabits: Double? { bytes > 0 ? Double(bytes) * 8 / median : nil }
}

struct Measurer {
    var clock = Clock.monotonic
    var rounds = 15
    /// Length of one round.
    var roundNanoseconds: UInt64 = 30_000_000

    /// Warms up, until one round is known to be long enough, then measures.
    func measure<S: Scenario & ~Copyable>(
        _ name: String, unit: String, bytes: Int, multiple: Int, warmUp: Int, _ scenario: inout S
    ) -> Measurement {
        if warmUp > 0 { scenario.run(warmUp) }
        var operations = multiple
        while true {
            let start = clock.now
            scenario.run(operations)
            let elapsed = clock.now - start
            if elapsed > roundNanoseconds / 2 {
                let exact = Int(Double(operations) * Double(roundNanoseconds) / Double(elapsed))
                operations = max(1, exact / multiple) * multiple
                break
            }
            operations *= 2
        }
        scenario.run(operations)

        var times: [Double] = []
        times.reserveCapacity(rounds)
        let allocationsBefore = allocation_count()
        for _ in 0..<rounds {
            let start = clock.now
            scenario.run(operations)
            times.append(Double(clock.now - start) / Double(operations))
        }
        let allocations = allocation_count() - allocationsBefore
        return Measurement(
            name: name, unit: unit, bytes: bytes, rounds: times.sorted(), operationsPerRound: operations,
            allocationsPerOperation: Double(allocations) / Double(rounds * operations))
    }
}

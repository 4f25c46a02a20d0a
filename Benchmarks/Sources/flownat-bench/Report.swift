/// Figures as a table for people, or as JSON for programs.
struct Report {
    var measurements: [Measurement] = []
    var memory: [MemoryMeasurement] = []

    func printTable() {
        if !measurements.isEmpty {
            print(Self.row(["case", "median ns", "fastest", "spread", "ns/byte", "Gbit/s", "allocations"]))
            for m in measurements {
                print(
                    Self.row([
                        m.name, Self.fixed(m.median, 1), Self.fixed(m.fastest, 1),
                        Self.fixed(m.spread * 100, 1) + " %", m.nanosecondsPerByte.map { Self.fixed($0, 4) } ?? "",
                        m.gigabits.map { Self.fixed($0, 1) } ?? "", Self.fixed(m.allocationsPerOperation, 4),
                    ]))
            }
        }
        for m in memory {
            print(
                "\(m.flows) idle flows: \(Self.fixed(m.residentPerFlow, 0)) bytes of resident memory each, "
                    + "\(Self.fixed(m.allocatedPerFlow, 0)) allocated")
        }
    }

    func printJSON() {
        let cases = measurements.map { m in
            let fields = [
                "\"name\": \"\(m.name)\"", "\"unit\": \"\(m.unit)\"", "\"bytes\": \(m.bytes)",
                "\"median_ns\": \(Self.fixed(m.median, 3))", "\"fastest_ns\": \(Self.fixed(m.fastest, 3))",
                "\"slowest_ns\": \(Self.fixed(m.slowest, 3))", "\"spread\": \(Self.fixed(m.spread, 4))",
                "\"rounds\": \(m.rounds.count)", "\"operations_per_round\": \(m.operationsPerRound)",
                "\"allocations_per_operation\": \(Self.fixed(m.allocationsPerOperation, 6))",
            ]
            return "    {" + fields.joined(separator: ", ") + "}"
        }
        let flows = memory.map { m in
            "    {\"flows\": \(m.flows), \"resident_bytes_per_flow\": \(Self.fixed(m.residentPerFlow, 1)), "
                + "\"allocated_bytes_per_flow\": \(Self.fixed(m.allocatedPerFlow, 1))}"
        }
        print("{\n  \"cases\": [\n" + cases.joined(separator: ",\n") + "\n  ],")
        print("  \"memory\": [\n" + flows.joined(separator: ",\n") + "\n  ]\n}")
    }

    private static func row(_ cells: [String]) -> String {
        let widths = [30, 11, 11, 9, 9, 9, 12]
        return zip(cells, widths).enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, cell.1 - cell.0.count))
            return index == 0 ? cell.0 + padding : padding + cell.0
        }.joined(separator: " ")
    }

    /// A number with so many digits after the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int((value.magnitude * scale).rounded())
        let whole = String(scaled / Int(scale))
        let sign = value < 0 && scaled != 0 ? "-" : ""
        guard digits > 0 else { return sign + whole }
        let part = String(scaled % Int(scale))
        return sign + whole + "." + String(repeating: "0", count: digits - part.count) + part
    }
}

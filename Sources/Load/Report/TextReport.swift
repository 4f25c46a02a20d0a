extension LoadResult {
    /// The result for a person at a terminal.
    public var text: String {
        var text = "\(target) via \(via), \(NumberText.fixed(seconds, 1)) s\(interrupted ? ", ended early" : "")\n"
        for workload in workloads { text += "\n" + workload.text }
        if !processes.isEmpty { text += "\n" + processText }
        return text
    }

    private var processText: String {
        var table = TextTable()
        table.add(["process", "CPU", "CPU s/GB", "resident", "peak", "anonymous"])
        for process in processes {
            table.add([
                "\(process.name) (\(process.pid))\(process.ended ? ", ended" : "")",
                "\(NumberText.fixed(process.cpuSeconds, 2)) s",
                process.cpuSecondsPerGigabyte(bytes: bytes).map { NumberText.fixed($0, 2) } ?? "–",
                NumberText.memory(process.resident), NumberText.memory(process.residentPeak),
                NumberText.memory(process.anonymous),
            ])
        }
        return table.text()
    }
}

extension WorkloadResult {
    var text: String {
        var text = name == workload ? "\(name)" : "\(name) (\(workload))"
        text += ": \(NumberText.fixed(seconds, 2)) s\n"
        var table = TextTable()
        // What a flow says besides its load, such as a sink's report, is no traffic worth a line.
        if bytesSent > bytesReceived / 10_000 {
            table.add(["  up", NumberText.bitRate(sendingRate), NumberText.traffic(bytesSent)])
        }
        if showsReceiving {
            table.add(["  down", NumberText.bitRate(receivingRate), NumberText.traffic(bytesReceived)])
        }
        if latency != nil || datagrams != nil {
            table.add(["  answered", "\(NumberText.short(operationRate))/s", "\(operations)"])
        }
        text += table.text()
        text +=
            "  flows  begun \(flows.begun), connected \(flows.connected), completed \(flows.completed), "
            + "failed \(flows.failed), at once \(flows.peak)\n"
        if let datagrams {
            text +=
                "  datagrams  sent \(datagrams.sent), lost \(datagrams.lost), repeated \(datagrams.duplicated), "
                + "out of order \(datagrams.reordered), not sent \(datagrams.notSent)\n"
        }
        text += latencyText
        for failure in failures.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
            text += "  FAILED  \(failure.key): \(failure.value)\n"
        }
        if wrongBytes > 0 { text += "  FAILED  wrong bytes: \(wrongBytes)\n" }
        return text
    }

    private var latencyText: String {
        var table = TextTable()
        let sets = [("latency", latency), ("connect", connectLatency)].compactMap { name, set in set.map { (name, $0) }
        }
        guard !sets.isEmpty else { return "" }
        table.add(["", "p50", "p90", "p99", "p99.9", "p99.99", "max"])
        for (name, set) in sets {
            let values = [set.p50, set.p90, set.p99, set.p999, set.p9999, set.maximum]
            table.add([name] + values.map(NumberText.duration))
        }
        return table.text(indent: "  ")
    }
}

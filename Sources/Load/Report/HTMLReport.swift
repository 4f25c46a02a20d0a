/// A run as one page that needs nothing else: no script, no font, no picture from elsewhere.
public struct HTMLReport {
    private let result: LoadResult

    public init(_ result: LoadResult) { self.result = result }

    public var text: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(escapeHTML(title))</title>
        <style>
        \(reportStyle)</style>
        </head>
        <body>
        <main>
        <h1>\(escapeHTML(title))</h1>
        \(facts)\(summary)\(result.workloads.map(section).joined())\(processes)</main>
        </body>
        </html>

        """
    }

    private var title: String { "Load on \(result.target) via \(result.via)" }

    private var facts: String {
        var facts = [
            result.started, "\(NumberText.fixed(result.seconds, 1)) s", result.software, result.machine,
        ]
        if result.connections > 0 { facts.append("QUIC connections: \(result.connections)") }
        var text = "<p class=\"facts\">\(facts.map(escapeHTML).joined(separator: " · "))</p>\n"
        if result.interrupted { text += "<p class=\"notice\">The run was ended early.</p>\n" }
        return text
    }

    private var summary: String {
        let heads = ["Workload", "Up", "Down", "Answered", "p50", "p99", "Max", "Flows", "Failed"]
        let rows = result.workloads.map { workload in
            let failed = workload.failures.values.reduce(0, +)
            return [
                workload.name, workload.showsSending ? NumberText.bitRate(workload.sendingRate) : "–",
                workload.showsReceiving ? NumberText.bitRate(workload.receivingRate) : "–",
                workload.latency == nil && workload.datagrams == nil
                    ? "–" : "\(NumberText.short(workload.operationRate))/s",
                workload.latency.map { NumberText.duration(microseconds: $0.p50) } ?? "–",
                workload.latency.map { NumberText.duration(microseconds: $0.p99) } ?? "–",
                workload.latency.map { NumberText.duration(microseconds: $0.maximum) } ?? "–",
                "\(workload.flows.peak)", failed == 0 ? "0" : "\(failed) ✗",
            ]
        }
        return table(heads, rows)
    }

    private func section(_ workload: WorkloadResult) -> String {
        var text = "<section>\n<h2>\(escapeHTML(workload.name))</h2>\n"
        let parameters = workload.parameters.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        text +=
            "<p class=\"facts\">\(escapeHTML(([workload.workload] + parameters).joined(separator: " · ")))</p>\n"
        if !workload.isGood { text += failures(of: workload) }
        let end = result.workloads.flatMap(\.series).map(\.seconds).max() ?? result.seconds
        let charts = [
            workload.throughputChart(until: end), workload.operationChart(until: end), workload.latencyChart(),
        ]
        for chart in charts.compactMap(\.self) { text += "<figure>\n\(chart.svg)</figure>\n" }
        text += latencies(of: workload) + datagrams(of: workload)
        return text + "</section>\n"
    }

    private func failures(of workload: WorkloadResult) -> String {
        var rows = workload.failures.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { [$0.key, "\($0.value)"] }
        if workload.wrongBytes > 0 { rows.append(["bytes that were wrong", "\(workload.wrongBytes)"]) }
        return table(["Failed", "Times"], rows)
    }

    private func latencies(of workload: WorkloadResult) -> String {
        let sets = [("Latency", workload.latency), ("Connect", workload.connectLatency)]
        let rows = sets.compactMap { name, set in
            set.map { set in
                [name, "\(set.count)"]
                    + [set.mean, set.p50, set.p90, set.p99, set.p999, set.p9999, set.maximum].map(NumberText.duration)
            }
        }
        return table(["", "Count", "Mean", "p50", "p90", "p99", "p99.9", "p99.99", "Max"], rows)
    }

    private func datagrams(of workload: WorkloadResult) -> String {
        guard let datagrams = workload.datagrams else { return "" }
        return table(
            ["Datagrams", "Sent", "Arrived", "Lost", "Repeated", "Out of order", "Not sent"],
            [
                [
                    "", "\(datagrams.sent)", "\(datagrams.received)", "\(datagrams.lost)", "\(datagrams.duplicated)",
                    "\(datagrams.reordered)", "\(datagrams.notSent)",
                ]
            ])
    }

    private var processes: String {
        let rows = result.processes.map { process in
            [
                "\(process.name)\(process.ended ? " (ended)" : "")", "\(NumberText.fixed(process.cpuSeconds, 2)) s",
                process.cpuSecondsPerGigabyte(bytes: result.bytes).map { NumberText.fixed($0, 2) } ?? "–",
                NumberText.memory(process.resident), NumberText.memory(process.residentPeak),
                NumberText.memory(process.anonymous), NumberText.memory(process.anonymousPeak),
            ]
        }
        guard !rows.isEmpty else { return "" }
        let heads = ["Process", "CPU", "CPU s/GB", "Resident", "at most", "Anonymous", "at most"]
        return "<section>\n<h2>Processes</h2>\n\(table(heads, rows))</section>\n"
    }

    private func table(_ heads: [String], _ rows: [[String]]) -> String {
        guard !rows.isEmpty else { return "" }
        let head = heads.map { "<th>\(escapeHTML($0))</th>" }.joined()
        let body = rows.map { row in
            "<tr>\(row.map { "<td>\(escapeHTML($0))</td>" }.joined())</tr>\n"
        }
        return "<div class=\"table\"><table>\n<tr>\(head)</tr>\n\(body.joined())</table></div>\n"
    }
}

extension WorkloadResult {
    /// What flows say besides their load, such as a sink's report, is no traffic worth a line.
    var showsSending: Bool { bytesSent > bytesReceived / 10_000 }
    var showsReceiving: Bool { bytesReceived > bytesSent / 10_000 }
}

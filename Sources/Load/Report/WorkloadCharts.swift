// What is drawn of a workload.

extension WorkloadResult {
    /// Points nearer to each other than this, in seconds, are not drawn: the last step of a run may be a sliver, whose rates
    /// say nothing.
    private static let shortestStep = 0.02

    /// Fewer values have no shape that a chart could show.
    private static let fewestValues = 10

    func throughputChart(until end: Double) -> LineChart? {
        guard bytesSent + bytesReceived > 0 else { return nil }
        var lines: [LineChart.Line] = []
        if showsSending { lines.append(line("up", until: end) { Double($0.bytesSent) * 8 }) }
        if showsReceiving { lines.append(line("down", until: end) { Double($0.bytesReceived) * 8 }) }
        return timeChart("Throughput", lines, until: end, NumberText.bitRate)
    }

    func operationChart(until end: Double) -> LineChart? {
        guard latency != nil || datagrams != nil || !failures.isEmpty else { return nil }
        var lines = [line("answered a second", until: end) { Double($0.operations) }]
        if !failures.isEmpty { lines.append(line("failures a second", until: end) { Double($0.failures) }) }
        return timeChart(lines.count == 1 ? "Answered a second" : "Rates", lines, until: end, NumberText.short)
    }

    private func line(
        _ name: String, until end: Double, _ value: (SeriesPoint) -> Double
    ) -> LineChart.Line {
        var points: [LineChart.Point] = []
        var last = 0.0
        for point in series {
            let step = point.seconds - last
            last = point.seconds
            guard step >= Self.shortestStep else { continue }
            points.append(LineChart.Point(x: min(point.seconds / max(end, 1e-9), 1), y: value(point) / step))
        }
        return LineChart.Line(name: name, points: points)
    }

    private func timeChart(
        _ title: String, _ lines: [LineChart.Line], until end: Double, _ label: @escaping (Double) -> String
    ) -> LineChart? {
        let highest = lines.flatMap(\.points).map(\.y).max() ?? 0
        guard lines.contains(where: { $0.points.count > 1 }) else { return nil }
        let seconds = AxisScale.linear(maximum: end).ticks.filter { $0.value <= end }
        return LineChart(
            title: title, lines: lines,
            xTicks: seconds.map {
                LineChart.Tick(x: $0.value / end, label: NumberText.trimmed(NumberText.short($0.value)))
            },
            xTitle: "seconds since the run's beginning", yScale: .linear(maximum: highest),
            yLabel: { NumberText.trimmed(label($0)) })
    }

    func latencyChart() -> LineChart? {
        let sets = [("latency", latency), ("connect", connectLatency)].compactMap { name, set in set.map { (name, $0) }
        }
        guard let most = sets.map(\.1.count).max(), most >= Self.fewestValues else { return nil }
        // As many nines as there are values to tell of, and a place for the longest.
        let nines = max(1, decimalLogarithm(Double(most)))
        func x(_ percentile: Double) -> Double {
            percentile >= 100 ? 1 : min(decimalLogarithm(100 / (100 - percentile)) / nines, 1)
        }
        let lines = sets.map { name, set in
            LineChart.Line(
                name: name, points: set.distribution.map { LineChart.Point(x: x($0.percentile), y: $0.microseconds) })
        }
        let marks: [(Double, String)] = [
            (0, "0 %"), (50, "50 %"), (90, "90 %"), (99, "99 %"), (99.9, "99.9 %"), (99.99, "99.99 %"),
            (99.999, "99.999 %"), (99.9999, "99.9999 %"),
        ]
        let ticks = marks.map { LineChart.Tick(x: x($0.0), label: $0.1) }.filter { $0.x < 0.97 }
        return LineChart(
            title: "Latency by percentile", lines: lines, xTicks: ticks + [LineChart.Tick(x: 1, label: "max")],
            xTitle: "so many were as fast as this, or faster",
            yScale: .decades(
                minimum: sets.map(\.1.minimum).min() ?? 1, maximum: sets.map(\.1.maximum).max() ?? 10),
            yLabel: { NumberText.trimmed(NumberText.duration(microseconds: $0)) })
    }
}

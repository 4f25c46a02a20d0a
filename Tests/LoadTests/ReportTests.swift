import Primitives
import Testing

@testable import Load

@Suite struct ReportTests {
    // MARK: - Numbers

    @Test(
        arguments: [
            (0, 2, "0.00"), (1.005, 1, "1.0"), (0.05, 1, "0.1"), (999.96, 1, "1000.0"), (-1.26, 1, "-1.3"),
            (-0.001, 1, "0.0"), (12, 0, "12"), (.infinity, 1, "–"), (1e30, 1, "1e+30"),
        ] as [(Double, Int, String)])
    func fixedNumbers(_ value: Double, _ digits: Int, _ expected: String) {
        #expect(NumberText.fixed(value, digits) == expected)
    }

    @Test func unitsFollowTheSize() {
        #expect(NumberText.bitRate(0) == "0 bit/s")
        #expect(NumberText.bitRate(999) == "999 bit/s")
        #expect(NumberText.bitRate(1_250_000_000) == "1.25 Gbit/s")
        #expect(NumberText.memory(1_536) == "1.50 KiB")
        #expect(NumberText.traffic(.max) == "18447 PB")
        #expect(NumberText.duration(microseconds: 12.34) == "12.3 µs")
        #expect(NumberText.duration(microseconds: 1_500) == "1.50 ms")
        #expect(NumberText.duration(microseconds: 2_000_000) == "2.00 s")
    }

    @Test(arguments: [
        ("2.00 ms", "2 ms"), ("2.50", "2.5"), ("100 s", "100 s"), ("0", "0"), ("10.0", "10"), ("0.000001", "0.000001"),
    ])
    func ticksHaveNoZerosAtTheEnd(_ text: String, _ expected: String) { #expect(NumberText.trimmed(text) == expected) }

    @Test(arguments: [0.001, 0.5, 1, 2, 9.99, 10, 12_345, 1e9] as [Double])
    func logarithms(_ value: Double) {
        var power = 1.0
        // Ten to the power of the logarithm, by its binary digits.
        var root = 10.0
        var rest = decimalLogarithm(value)
        while rest < 0 {
            power /= 10
            rest += 1
        }
        while rest >= 1 {
            power *= 10
            rest -= 1
        }
        for _ in 0..<30 {
            root = root.squareRoot()
            rest *= 2
            if rest >= 1 {
                power *= root
                rest -= 1
            }
        }
        #expect(abs(power - value) / value < 1e-6)
    }

    @Test(arguments: [0, 0.3, 1, 7, 99, 100, 101, 123_456] as [Double])
    func aLinearAxisHoldsItsMaximum(_ maximum: Double) throws {
        let scale = AxisScale.linear(maximum: maximum)
        let top = try #require(scale.ticks.last)
        #expect(top.value >= maximum)
        #expect(top.place == 1)
        #expect((2...6).contains(scale.ticks.count))
        #expect(scale.place(of: maximum * 2 + 1) == 1)
        #expect(scale.place(of: -1) == 0)
    }

    @Test(arguments: [(0, 1), (3, 4), (1, 1_000), (0.5, 1e9), (100, 100)] as [(Double, Double)])
    func anAxisOfDecadesHoldsBothEnds(_ minimum: Double, _ maximum: Double) throws {
        let scale = AxisScale.decades(minimum: minimum, maximum: maximum)
        #expect(try #require(scale.ticks.first).value <= max(minimum, 1e-3))
        #expect(try #require(scale.ticks.last).value >= maximum)
        #expect(scale.place(of: 0) == 0)
    }

    // MARK: - Pages and texts

    private func result(
        via: String = "tcp", workload: Workload = .requests(flows: 2, rate: 100, requestSize: 0, responseSize: 10),
        behaviour: SimTarget.Behaviour = .answers, name: String = "load"
    ) -> LoadResult {
        let target = SimTarget()
        target.behaviour = behaviour
        let engine = target.engine([WorkloadPlan(workload, name: name)])
        target.run(engine)
        return LoadResult(
            software: "penstock test", started: "2026-01-02T03:04:05Z", machine: "Linux", via: via, connections: 0,
            target: "192.0.2.9:7400", seconds: 1, interrupted: false, workloads: engine.results(now: target.now),
            processes: [
                ProcessResult(
                    name: "load", pid: 7, cpuSeconds: 0.5, resident: 1 << 20, residentPeak: 2 << 20, anonymous: 4_096,
                    anonymousPeak: 8_192, ended: false)
            ])
    }

    @Test func thePageNeedsNothingFromElsewhere() {
        let page = HTMLReport(result()).text
        #expect(page.hasPrefix("<!DOCTYPE html>"))
        for word in ["<script", "http://", "https://", "@import", "url(", "src=", "NaN", "inf"] {
            #expect(!page.contains(word), "\(word)")
        }
        #expect(page.contains("prefers-color-scheme: dark"))
        #expect(page.contains("@media print"))
        #expect(page.components(of: "<svg").count == 4, "throughput, rate, latency")
        #expect(page.components(of: "<svg").count == page.components(of: "</svg>").count)
    }

    @Test func namesCannotBreakThePage() {
        let page = HTMLReport(result(name: "<b>\"&'")).text
        #expect(!page.contains("<b>"))
        #expect(page.contains("&lt;b&gt;&quot;&amp;'"))
    }

    @Test(arguments: [
        Workload.bulk(.up, flows: 1), .bulk(.down, flows: 1), .idle(flows: 2, touch: nil),
        .churn(flows: 1, rate: nil, requestSize: 0, responseSize: 0),
    ])
    func everyWorkloadHasAPageAndAText(_ workload: Workload) {
        let result = result(workload: workload)
        #expect(HTMLReport(result).text.contains("</html>"))
        #expect(result.text.hasPrefix("192.0.2.9:7400 via tcp, 1.0 s\n\nload (\(workload.kind.rawValue)): 1."))
    }

    @Test func failuresAreToldEverywhere() {
        let result = result(behaviour: .fails(.refused))
        #expect(result.text.contains("FAILED  refused: 2"))
        #expect(HTMLReport(result).text.contains("<td>refused</td>"))
        #expect(!result.isGood)
    }

    // MARK: - Comparison

    @Test func aResultComparedWithItselfIsOne() {
        let result = result()
        let comparison = Comparison(result, result)
        #expect(comparison.differences.isEmpty)
        #expect(comparison.sections.map(\.name) == ["load", "process load"])
        for row in comparison.sections.flatMap(\.rows) where row.ratio != nil { #expect(row.ratio == 1) }
        #expect(comparison.text.contains("1.00×"))
    }

    @Test func ratiosAreTheSecondOverTheFirst() throws {
        let first = result()
        var second = first
        second.processes[0].cpuSeconds = 1.5
        second.workloads[0].bytesReceived *= 2
        let rows = Comparison(first, second).sections.flatMap(\.rows)
        #expect(rows.first { $0.name == "CPU seconds" }?.ratio == 3)
        #expect(rows.first { $0.name == "down" }?.ratio == 2)
        #expect(rows.first { $0.name == "up" }?.ratio == 1)
    }

    @Test func whatDiffersIsSaid() {
        let first = result(via: "tcp")
        let second = result(
            via: "quic", workload: .requests(flows: 3, rate: 100, requestSize: 0, responseSize: 10),
            behaviour: .fails(.refused))
        var third = second
        third.workloads[0].name = "other"
        #expect(
            Comparison(first, second).differences
                == ["via: tcp and quic", "load: flows: 2 and 3", "the second run had failures"])
        let none = Comparison(first, third)
        #expect(none.differences.contains("workload 'load' is in the first alone"))
        #expect(none.differences.contains("workload 'other' is in the second alone"))
        #expect(none.sections.map(\.name) == ["process load"])
    }

    @Test func aMissingFigureHasNoRatio() {
        let workload = Workload.requests(flows: 1, rate: nil, requestSize: 0, responseSize: 10)
        let first = result(workload: workload)
        let rows = Comparison(first, result(workload: workload, behaviour: .fails(.refused))).sections[0].rows
        #expect(
            rows.first { $0.name == "latency p50" }
                == Comparison.Row(
                    name: "latency p50", first: rows.first { $0.name == "latency p50" }?.first ?? "", second: "–",
                    ratio: nil))
    }
}

extension String {
    fileprivate func components(of separator: String) -> [Substring] {
        split(separator: separator, omittingEmptySubsequences: false)
    }
}

import Configuration
import Load
import Primitives

/// The longest that a run may last: a day is 24h.
private let longestRun = Interval.seconds(30 * 24 * 3_600)

extension WorkloadPlan {
    /// Reads one workload, whether it stands in a scenario or on the command line: both have the same keys.
    /// - Parameter duration: where the workload itself says none.
    init?(_ section: ConfigurationSection, duration fallback: Interval?) {
        let kind = section.required("workload", .choice, sample: "requests") as Workload.Kind?
        let name = section.optional("name", .label)
        let start = section.value("start", .duration(.zero...longestRun), default: .zero)
        let duration = section.optional("duration", .duration(.milliseconds(100)...longestRun)) ?? fallback
        if duration == nil {
            section.refuse("duration", "'\(section.name("duration"))' is missing", remedy: "add 'duration: 10s'")
        }
        let workload = kind.flatMap { Workload($0, section) }
        // Of a workload that is not known, no key can be judged.
        if kind != nil { section.refuseUnknownKeys() }
        guard let kind, let workload, let duration else { return nil }
        self.init(name: name ?? kind.rawValue, workload: workload, start: start, duration: duration)
    }
}

extension Workload {
    static let flowRange = 1...LoadPlan.maximumFlows
    /// The most that one thread can be expected to begin.
    static let rateRange = 0.001...10_000_000
    static let bodyRange = 0...(1 << 30)
    /// A sender of UDP is a socket with buffers of megabytes.
    static let datagramFlowRange = 1...256
    /// From the load's own header to what IPv4 takes (65 535 less the headers of IP and UDP).
    static let datagramRange = 32...65_507

    fileprivate init?(_ kind: Kind, _ section: ConfigurationSection) {
        func flows(_ fallback: Int) -> Int { section.value("flows", .integer(Self.flowRange), default: fallback) }
        switch kind {
        case .bulkUp: self = .bulk(.up, flows: flows(1))
        case .bulkDown: self = .bulk(.down, flows: flows(1))
        case .bulkBoth: self = .bulk(.both, flows: flows(1))
        case .requests, .churn:
            let flows = flows(10)
            let rate = section.optional("rate", .number(Self.rateRange))
            let request = section.value("request-size", .size(Self.bodyRange), default: 0)
            let response = section.value("response-size", .size(Self.bodyRange), default: 1_024)
            self =
                kind == .churn
                ? .churn(flows: flows, rate: rate, requestSize: request, responseSize: response)
                : .requests(flows: flows, rate: rate, requestSize: request, responseSize: response)
        case .idle:
            let touch = SettingKind.duration(.milliseconds(100)...longestRun)
            self = .idle(flows: flows(1_000), touch: section.optional("touch", touch))
        case .udp:
            let flows = section.value("flows", .integer(Self.datagramFlowRange), default: 1)
            let size = section.value("size", .size(Self.datagramRange), default: 200)
            let echo = section.value("echo", .boolean, default: true)
            guard let rate = section.required("rate", .number(Self.rateRange), sample: "1000") else { return nil }
            self = .udp(flows: flows, rate: rate, size: size, echo: echo)
        }
    }
}

extension SettingKind where Value == String {
    /// A name that stands in tables and charts.
    static var label: SettingKind {
        SettingKind(expected: "1 to 40 characters without control characters") { text in
            (1...40).contains(text.count) && printable(text) == text ? text : nil
        }
    }
}

import Primitives

/// What a run does to its target, one of several things at once.
public struct WorkloadPlan: Hashable, Sendable {
    public var name: String
    public var workload: Workload
    /// When it begins, after the run's beginning.
    public var start: Interval
    public var duration: Interval

    public init(name: String, workload: Workload, start: Interval = .zero, duration: Interval) {
        self.name = name
        self.workload = workload
        self.start = start
        self.duration = duration
    }
}

/// A kind of load with its parameters. Counts are of flows at once, sizes are bytes, rates are per second.
public enum Workload: Hashable, Sendable {
    public enum Direction: Hashable, Sendable { case up, down, both }

    /// Flows that send or receive as fast as they can.
    case bulk(Direction, flows: Int)
    /// Requests one after the other on flows that stay. With a rate they are due at fixed times, whether or not
    /// earlier ones were answered; without, each follows the answer before it.
    case requests(flows: Int, rate: Double?, requestSize: Int, responseSize: Int)
    /// A flow for each request: connect, exchange, close.
    case churn(flows: Int, rate: Double?, requestSize: Int, responseSize: Int)
    /// Flows that are open and say nothing, but for a few bytes now and then.
    case idle(flows: Int, touch: Interval?)
    /// Datagrams at a rate, all flows together. They are echoed, or only counted by the target.
    case udp(flows: Int, rate: Double, size: Int, echo: Bool)

    public enum Kind: String, CaseIterable, Sendable {
        case bulkUp = "bulk-up"
        case bulkDown = "bulk-down"
        case bulkBoth = "bulk-both"
        case requests, churn, idle, udp
    }

    public var kind: Kind {
        switch self {
        case .bulk(.up, _): .bulkUp
        case .bulk(.down, _): .bulkDown
        case .bulk(.both, _): .bulkBoth
        case .requests: .requests
        case .churn: .churn
        case .idle: .idle
        case .udp: .udp
        }
    }

    /// Flows that are open at once, at most.
    public var flows: Int {
        switch self {
        case .bulk(_, let flows), .idle(let flows, _), .udp(let flows, _, _, _), .requests(let flows, _, _, _),
            .churn(let flows, _, _, _):
            flows
        }
    }

    /// Things due at fixed times, a second; nil where each follows the one before.
    public var rate: Double? {
        switch self {
        case .requests(_, let rate, _, _), .churn(_, let rate, _, _): rate
        case .udp(_, let rate, _, _): rate
        case .bulk, .idle: nil
        }
    }

    public var service: TargetService {
        switch self {
        case .bulk(.up, _): .sink
        case .bulk(.down, _): .source
        case .bulk(.both, _), .idle: .echo
        case .requests, .churn: .requests
        case .udp(_, _, _, let echo): echo ? .echo : .sink
        }
    }
}

/// What a target offers, each on a port of its own, counted from its first.
public enum TargetService: UInt16, CaseIterable, Sendable {
    /// Sends back what it gets (RFC 862). TCP and UDP.
    case echo = 0
    /// Takes everything and says at the end what came (after RFC 863). TCP and UDP.
    case sink = 1
    /// Sends without end (after RFC 864).
    case source = 2
    /// Answers requests in the form of HTTP/1.1.
    case requests = 3
}

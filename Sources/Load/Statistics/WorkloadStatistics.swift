import Primitives

/// What a workload has done so far.
public struct WorkloadStatistics: Sendable {
    /// Clear bytes that the carrier has taken, and that came back from it; what belongs to the load's own forms included.
    public var bytesSent: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    /// Requests, exchanges, touches or echoes that were answered well.
    public var operations: UInt64 = 0

    public var flowsOpen = 0
    public var flowsOpenHighWater = 0
    /// Flows that were begun, that were connected, and that ended as they should.
    public var flowsBegun = 0
    public var flowsConnected = 0
    public var flowsCompleted = 0
    public var flowsFailed = 0

    public var failures: [FlowFailure: UInt64] = [:]
    /// Bytes that were not what they should be, found here or told by the target.
    public var wrongBytes: UInt64 = 0

    public var datagrams = DatagramStatistics()

    /// From when it was due, or begun, to its end.
    public var latency = LatencyRecorder()
    /// From the begin of a flow to its being connected.
    public var connectLatency = LatencyRecorder()

    public init() {}

    /// Everything that went wrong.
    public var failureCount: UInt64 { failures.values.reduce(0, +) }

    mutating func count(_ failure: FlowFailure, _ times: UInt64 = 1) {
        if times > 0 { failures[failure, default: 0] += times }
    }
}

public struct DatagramStatistics: Codable, Hashable, Sendable {
    public var sent: UInt64 = 0
    /// Those that this machine's network did not take.
    public var notSent: UInt64 = 0
    /// Echoed, or counted by the target; each once.
    public var received: UInt64 = 0
    public var duplicated: UInt64 = 0
    /// Came after one that was sent later.
    public var reordered: UInt64 = 0

    /// Sent, and not known to have arrived; told at the end.
    public var lost: UInt64 = 0

    public init() {}

    mutating func settle() { lost = sent > received ? sent - received : 0 }
}

/// A workload's figures over one step of time.
public struct SeriesPoint: Codable, Hashable, Sendable {
    /// The end of the step, in seconds since the run's beginning.
    public var seconds: Double
    public var bytesSent: UInt64
    public var bytesReceived: UInt64
    public var operations: UInt64
    public var failures: UInt64
    public var flowsOpen: Int
}

/// Keeps what a workload did step by step.
struct Series {
    private(set) var points: [SeriesPoint] = []
    private var last = (sent: UInt64(0), received: UInt64(0), operations: UInt64(0), failures: UInt64(0))

    mutating func add(_ statistics: WorkloadStatistics, seconds: Double) {
        let failures = statistics.failureCount
        points.append(
            SeriesPoint(
                seconds: seconds, bytesSent: statistics.bytesSent - last.sent,
                bytesReceived: statistics.bytesReceived - last.received,
                operations: statistics.operations - last.operations, failures: failures - last.failures,
                flowsOpen: statistics.flowsOpen))
        last = (statistics.bytesSent, statistics.bytesReceived, statistics.operations, failures)
    }
}

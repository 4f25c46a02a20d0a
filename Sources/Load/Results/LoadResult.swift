import Primitives

/// What a run brought, as it stands in a result file (JSON).
public struct LoadResult: Codable, Hashable, Sendable {
    /// Tells a result file from every other file.
    public static let formatName = "penstock-load-result"
    /// Grows when a reader of the older form would misread the newer one.
    public static let currentVersion = 1

    public var format = Self.formatName
    public var version = Self.currentVersion
    /// The program that made it.
    public var software: String
    /// When the run began: ISO 8601, UTC.
    public var started: String
    /// The kernel and the number of processors of the machine that made the load.
    public var machine: String
    public var via: String
    /// QUIC connections, where the tunnel was spoken directly; else 0.
    public var connections: Int
    public var target: String
    public var seconds: Double
    /// It was ended before its time.
    public var interrupted: Bool
    public var workloads: [WorkloadResult]
    /// The load itself first, then the processes that were watched.
    public var processes: [ProcessResult]

    public init(
        software: String, started: String, machine: String, via: String, connections: Int, target: String,
        seconds: Double, interrupted: Bool, workloads: [WorkloadResult], processes: [ProcessResult]
    ) {
        self.software = software
        self.started = started
        self.machine = machine
        self.via = via
        self.connections = connections
        self.target = target
        self.seconds = seconds
        self.interrupted = interrupted
        self.workloads = workloads
        self.processes = processes
    }

    /// Every flow did what it should, and every byte was right.
    public var isGood: Bool { workloads.allSatisfy(\.isGood) }

    /// Bytes of all workloads, both directions.
    public var bytes: UInt64 { workloads.reduce(0) { $0 + $1.bytesSent + $1.bytesReceived } }
}

/// What one workload brought.
public struct WorkloadResult: Codable, Hashable, Sendable {
    public struct Flows: Codable, Hashable, Sendable {
        public var begun: Int
        public var connected: Int
        public var completed: Int
        public var failed: Int
        /// The most that were open at once.
        public var peak: Int
    }

    public var name: String
    /// The kind, as in a scenario.
    public var workload: String
    /// The plan in words: the keys of a scenario and their values.
    public var parameters: [String: String]
    /// From the workload's beginning until everything had ended.
    public var seconds: Double
    public var bytesSent: UInt64
    public var bytesReceived: UInt64
    public var operations: UInt64
    public var flows: Flows
    /// How often each kind of failure came.
    public var failures: [String: UInt64]
    public var wrongBytes: UInt64
    /// Of requests, exchanges, touches and echoes; nil where there were none.
    public var latency: LatencySummary?
    public var connectLatency: LatencySummary?
    /// Nil for workloads of streams.
    public var datagrams: DatagramStatistics?
    public var series: [SeriesPoint]

    init(_ plan: WorkloadPlan, _ statistics: WorkloadStatistics, seconds: Double, series: [SeriesPoint]) {
        name = plan.name
        workload = plan.workload.kind.rawValue
        parameters = plan.parameters
        self.seconds = seconds
        bytesSent = statistics.bytesSent
        bytesReceived = statistics.bytesReceived
        operations = statistics.operations
        flows = Flows(
            begun: statistics.flowsBegun, connected: statistics.flowsConnected, completed: statistics.flowsCompleted,
            failed: statistics.flowsFailed, peak: statistics.flowsOpenHighWater)
        failures = Dictionary(uniqueKeysWithValues: statistics.failures.map { ($0.key.rawValue, $0.value) })
        wrongBytes = statistics.wrongBytes
        latency = statistics.latency.summary
        connectLatency = statistics.connectLatency.summary
        if plan.workload.kind == .udp {
            datagrams = statistics.datagrams
            datagrams?.settle()
        }
        self.series = series
    }

    public var isGood: Bool { failures.isEmpty && wrongBytes == 0 }

    /// Bits a second.
    public var sendingRate: Double { perSecond(Double(bytesSent) * 8) }
    public var receivingRate: Double { perSecond(Double(bytesReceived) * 8) }
    public var operationRate: Double { perSecond(Double(operations)) }

    private func perSecond(_ value: Double) -> Double { seconds > 0 ? value / seconds : 0 }
}

extension WorkloadPlan {
    /// Keys and values as a scenario has them; numbers in bytes, seconds and things a second.
    var parameters: [String: String] {
        var values = [
            "start": "\(start.seconds)", "duration": "\(duration.seconds)", "flows": "\(workload.flows)",
        ]
        switch workload {
        case .bulk: break
        case .requests(_, _, let request, let response), .churn(_, _, let request, let response):
            values["request-size"] = "\(request)"
            values["response-size"] = "\(response)"
        case .idle(_, let touch):
            if let touch { values["touch"] = "\(touch.seconds)" }
        case .udp(_, _, let size, let echo):
            values["size"] = "\(size)"
            values["echo"] = "\(echo)"
        }
        if let rate = workload.rate { values["rate"] = "\(rate)" }
        return values
    }
}

/// What one process used during the run.
public struct ProcessResult: Codable, Hashable, Sendable {
    public var name: String
    public var pid: Int
    public var cpuSeconds: Double
    /// Resident bytes: all of them, and of those the anonymous ones; at the end and at most.
    public var resident: UInt64
    public var residentPeak: UInt64
    public var anonymous: UInt64
    public var anonymousPeak: UInt64
    /// It was gone before the run's end.
    public var ended: Bool

    public init(
        name: String, pid: Int, cpuSeconds: Double, resident: UInt64, residentPeak: UInt64, anonymous: UInt64,
        anonymousPeak: UInt64, ended: Bool
    ) {
        self.name = name
        self.pid = pid
        self.cpuSeconds = cpuSeconds
        self.resident = resident
        self.residentPeak = residentPeak
        self.anonymous = anonymous
        self.anonymousPeak = anonymousPeak
        self.ended = ended
    }

    /// CPU seconds for each gigabyte (10^9 bytes) that the run moved; nil when it moved hardly any.
    public func cpuSecondsPerGigabyte(bytes: UInt64) -> Double? {
        bytes >= 1_000_000 ? cpuSeconds / (Double(bytes) / 1e9) : nil
    }
}

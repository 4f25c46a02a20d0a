import Primitives

/// A run of load: its workloads, side by side, on one carrier. No system calls, no clock.
///
/// The carrier tells the flows what happens to them; after that, and whenever `nextDeadline` has come, call
/// `handleTimeout`.
public final class LoadEngine {
    /// Points of the series over the whole run, about.
    private static let seriesPoints: Int64 = 240
    private static let shortestStep = Interval.milliseconds(100)

    public let plan: LoadPlan
    private let runs: [any WorkloadRun]
    private var series: [Series]
    private let start: Instant
    private let step: Interval
    private var nextStep: Instant
    private var finished: Instant?
    /// Somebody ended the run before its time.
    public private(set) var wasStopped = false

    public init(
        plan: LoadPlan, carrier: any FlowCarrier, datagrams: (any DatagramCarrier)? = nil,
        random: any RandomNumberGenerator, now: Instant
    ) {
        self.plan = plan
        start = now
        step = max(Self.shortestStep, plan.duration / Self.seriesPoints)
        nextStep = now + step
        let context = WorkloadContext(plan: plan, carrier: carrier, datagrams: datagrams, random: random)
        runs = plan.workloads.map { workload in
            if case .udp(_, let rate, let size, let echo) = workload.workload {
                DatagramWorkload(workload, rate: rate, size: size, echoes: echo, context: context, runStart: now)
            } else {
                StreamWorkload(workload, context: context, runStart: now)
            }
        }
        series = plan.workloads.map { _ in Series() }
    }

    public var isOver: Bool { runs.allSatisfy(\.isOver) }

    /// Nil when the run is over, and at once where a flow has just ended it: the last step is still to be taken.
    public var nextDeadline: Instant? {
        if isOver { return finished == nil ? start : nil }
        var next: Instant?
        for run in runs { next = earliest(next, run.nextDeadline) }
        return earliest(next, nextStep)
    }

    public func handleTimeout(now: Instant) {
        for run in runs { run.handleTimeout(now: now) }
        if nextStep <= now, !isOver { takeStep(now: now) }
        finishIfOver(now: now)
    }

    /// Ends the run before its time.
    /// - Parameter drain: how long what is under way may take to end.
    public func stop(drain: Interval, now: Instant) {
        wasStopped = true
        for run in runs { run.stop(drain: drain, now: now) }
        finishIfOver(now: now)
    }

    private func takeStep(now: Instant) {
        let seconds = (now - start).seconds
        for (index, run) in runs.enumerated() { series[index].add(run.statistics, seconds: seconds) }
        // Steps that were slept through are not made up for: the next point then covers them all.
        nextStep = max(nextStep + step, now)
    }

    private func finishIfOver(now: Instant) {
        guard finished == nil, isOver else { return }
        takeStep(now: now)
        finished = now
    }

    // MARK: - What came of it

    /// From the beginning to the end, or to now.
    public func elapsed(now: Instant) -> Interval { (finished ?? now) - start }

    /// All workloads taken together.
    public var totals: LoadTotals {
        runs.reduce(into: LoadTotals()) { totals, run in
            let statistics = run.statistics
            totals.bytesSent += statistics.bytesSent
            totals.bytesReceived += statistics.bytesReceived
            totals.operations += statistics.operations
            totals.failures += statistics.failureCount
            totals.flowsOpen += statistics.flowsOpen
        }
    }

    public func results(now: Instant) -> [WorkloadResult] {
        zip(runs, series).map { run, series in
            WorkloadResult(
                run.plan, run.statistics, seconds: run.activeTime(now: finished ?? now).seconds, series: series.points)
        }
    }
}

/// What a line about the run as a whole needs.
public struct LoadTotals: Hashable, Sendable {
    public var bytesSent: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    public var operations: UInt64 = 0
    public var failures: UInt64 = 0
    public var flowsOpen = 0

    public init() {}
}

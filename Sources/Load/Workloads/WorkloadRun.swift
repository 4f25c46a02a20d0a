import Primitives
import Tunnel

/// One workload under way.
protocol WorkloadRun: AnyObject {
    var plan: WorkloadPlan { get }
    var statistics: WorkloadStatistics { get }
    /// When `handleTimeout` is to be called next.
    var nextDeadline: Instant? { get }
    func handleTimeout(now: Instant)
    /// Ends before its time.
    /// - Parameter drain: how long what is under way may take to end.
    func stop(drain: Interval, now: Instant)
    /// Everything has ended, one way or another.
    var isOver: Bool { get }
    /// From its beginning to its end, what was still under way at the end of its time included; to now, while it runs.
    func activeTime(now: Instant) -> Interval
}

/// What all workloads of a run share.
final class WorkloadContext {
    /// Flows that are being opened at once: a server allows no more than 1 024 dials of a connection under way.
    static let maximumOpening = 256

    let plan: LoadPlan
    let carrier: any FlowCarrier
    let datagrams: (any DatagramCarrier)?
    let pattern = Pattern()
    /// Flows of all workloads that were begun and are not connected yet.
    var opening = 0
    private var random: any RandomNumberGenerator

    init(
        plan: LoadPlan, carrier: any FlowCarrier, datagrams: (any DatagramCarrier)?,
        random: any RandomNumberGenerator
    ) {
        self.plan = plan
        self.carrier = carrier
        self.datagrams = datagrams
        self.random = random
    }

    func next() -> UInt64 { random.next() }

    /// Somewhere in the pattern.
    func randomPlace() -> UInt64 { next() % UInt64(Pattern.period) }
}

/// How far a workload has come.
enum WorkloadPhase {
    case waiting
    case running(since: Instant)
    /// Its time is over; what is under way has until `deadline`.
    case ending(since: Instant, deadline: Instant)
    case over(Interval)
}

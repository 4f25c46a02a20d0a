import Primitives
import Tunnel

/// A workload of flows: keeps as many of them open as its plan says, begins what is due, and counts what becomes of them.
final class StreamWorkload: WorkloadRun {
    /// A flow that failed is followed by another after this time, and not at once: a target that refuses everything must
    /// not be asked as fast as it can refuse.
    static let reopenDelay = Interval.seconds(1)
    /// Flows that end at the same time, when the workload's time is over. Each says something before it goes, and ten
    /// thousand at one moment would be a load of their own.
    static let maximumEnding = 1_024

    let plan: WorkloadPlan
    var statistics = WorkloadStatistics()
    let destination: DestinationAddress
    var pattern: Pattern { context.pattern }

    private let context: WorkloadContext
    private let start: Instant
    private(set) var phase = WorkloadPhase.waiting
    private(set) var flows: [LoadFlow] = []
    /// Flows that may be begun now, of those that follow one another.
    private var free = 0
    /// When places of failed flows become free; in order, since the delay is always the same.
    private var reopenings: ArraySlice<Instant> = []
    /// Nil where each thing follows the one before.
    private var arrivals: ArrivalSchedule?
    /// Connections for requests that have none. Those that broke meanwhile are passed over when they come up.
    private var resting: [RequestFlow] = []
    private var touches: TouchOrder?
    /// Flows that were open at the end of the time, and whose turn to end has not come.
    private var waitingToEnd: [LoadFlow] = []
    private var endsOwed = 0
    private var isHandingOutEnds = false

    init(_ plan: WorkloadPlan, context: WorkloadContext, runStart: Instant) {
        self.plan = plan
        self.context = context
        start = runStart + plan.start
        destination = context.plan.address(of: plan.workload.service)
    }

    func randomPlace() -> UInt64 { context.randomPlace() }

    // MARK: - Time

    var isOver: Bool {
        if case .over = phase { true } else { false }
    }

    var isEnding: Bool {
        switch phase {
        case .ending, .over: true
        case .waiting, .running: false
        }
    }

    func activeTime(now: Instant) -> Interval {
        switch phase {
        case .waiting: .zero
        case .running(let since), .ending(let since, _): now - since
        case .over(let time): time
        }
    }

    var nextDeadline: Instant? {
        switch phase {
        case .waiting: return start
        case .running(let since):
            // At once.
            if free > 0, hasRoomToOpen { return since }
            var next = earliest(since + plan.duration, nextBeginning)
            next = earliest(next, touches?.next)
            return earliest(next, reopenings.first)
        case .ending(_, let deadline): return earliest(deadline, nextBeginning)
        case .over: return nil
        }
    }

    /// The next arrival, if something is free to take it.
    private var nextBeginning: Instant? {
        guard let next = arrivals?.next else { return nil }
        switch plan.workload {
        case .churn: return hasRoomToOpen ? next : nil
        case .requests: return resting.isEmpty ? nil : next
        case .bulk, .idle, .udp: return nil
        }
    }

    func handleTimeout(now: Instant) {
        // What was due before the end belongs to it.
        proceed(now: now)
        switch phase {
        case .waiting where start <= now: begin(now: now)
        case .running(let since) where since + plan.duration <= now: end(drain: context.plan.drain, now: now)
        case .ending(_, let deadline) where deadline <= now: giveUp(now: now)
        case .waiting, .running, .ending, .over: break
        }
        while let first = reopenings.first, first <= now {
            reopenings.removeFirst()
            free += 1
        }
        touch(now: now)
        proceed(now: now)
    }

    func stop(drain: Interval, now: Instant) {
        switch phase {
        case .waiting: phase = .over(.zero)
        case .running: end(drain: drain, now: now)
        case .ending(let since, let deadline): phase = .ending(since: since, deadline: min(deadline, now + drain))
        case .over: break
        }
        proceed(now: now)
    }

    private func begin(now: Instant) {
        phase = .running(since: now)
        let flows = plan.workload.flows
        switch plan.workload {
        case .churn(_, let rate?, _, _):
            arrivals = ArrivalSchedule(start: now, duration: plan.duration, rate: rate)
        case .requests(_, let rate?, _, _):
            arrivals = ArrivalSchedule(start: now, duration: plan.duration, rate: rate)
            free = flows
        case .idle(_, let interval?):
            touches = TouchOrder(interval: interval, flows: flows, now: now)
            free = flows
        case .bulk, .requests, .churn, .idle, .udp:
            free = flows
        }
    }

    private func end(drain: Interval, now: Instant) {
        guard case .running(let since) = phase else { return }
        phase = .ending(since: since, deadline: now + drain)
        arrivals?.cut(now: now)
        reopenings = []
        touches = nil
        if arrivals == nil {
            // The time was too short to open them all. What follows something else (churn) was none of the plan's number.
            if case .churn = plan.workload {} else { statistics.count(.notStarted, UInt64(free)) }
            free = 0
        }
        waitingToEnd = flows
        for _ in 0..<Self.maximumEnding { endNext(now: now) }
    }

    /// One flow more may end. Some end at once, which lets the next one end: that is a loop here, not a deep recursion.
    private func endNext(now: Instant) {
        endsOwed += 1
        guard !isHandingOutEnds else { return }
        isHandingOutEnds = true
        while endsOwed > 0, let flow = waitingToEnd.popLast() {
            guard flow.state == .open else { continue }
            endsOwed -= 1
            flow.endInOrder(now: now)
        }
        endsOwed = 0
        isHandingOutEnds = false
    }

    /// The time to end in order is over as well.
    private func giveUp(now: Instant) {
        guard case .ending(let since, _) = phase else { return }
        if let arrivals, let times = arrivals.waitingTimes(now: now) {
            let waiting = arrivals.waiting(now: now)
            statistics.count(.notStarted, UInt64(waiting))
            statistics.latency.recordWaiting(waiting, since: times, now: now)
        }
        arrivals = nil
        free = 0
        waitingToEnd = []
        while let flow = flows.last {
            if flow.state == .connecting { context.opening -= 1 } else { statistics.flowsOpen -= 1 }
            flow.recordWaiting(now: now)
            flow.drop(now: now)
            remove(flow)
            statistics.flowsFailed += 1
            statistics.count(.unfinished)
        }
        phase = .over(now - since)
    }

    private func endIfDone(now: Instant) {
        guard case .ending(let since, _) = phase, flows.isEmpty, (arrivals?.waiting(now: now) ?? 0) == 0 else { return }
        phase = .over(now - since)
    }

    // MARK: - Beginning flows and requests

    private var hasRoomToOpen: Bool {
        context.opening < WorkloadContext.maximumOpening && flows.count < plan.workload.flows
    }

    private func proceed(now: Instant) {
        switch phase {
        case .waiting, .over: return
        case .running, .ending: break
        }
        if case .churn(_, .some, _, _) = plan.workload {
            while hasRoomToOpen, let due = arrivals?.take(now: now) { open(due: due, now: now) }
        } else {
            while free > 0, hasRoomToOpen {
                free -= 1
                open(due: now, now: now)
            }
            serveArrivals(now: now)
        }
        endIfDone(now: now)
    }

    private func serveArrivals(now: Instant) {
        guard arrivals != nil else { return }
        while let flow = resting.last {
            if flow.state == .over {
                resting.removeLast()
            } else if let due = arrivals?.take(now: now) {
                resting.removeLast()
                flow.start(due: due, now: now)
            } else {
                return
            }
        }
    }

    private func open(due: Instant, now: Instant) {
        let flow = makeFlow(begin: due, now: now)
        statistics.flowsBegun += 1
        do throws(FlowFailure) {
            try flow.open(on: context.carrier, now: now)
        } catch {
            statistics.flowsFailed += 1
            return refill(after: error, now: now)
        }
        flow.listIndex = flows.count
        flows.append(flow)
        context.opening += 1
    }

    private func makeFlow(begin: Instant, now: Instant) -> LoadFlow {
        switch plan.workload {
        case .bulk(.up, _): UploadFlow(workload: self, begin: begin, now: now)
        case .bulk(.down, _): DownloadFlow(workload: self, begin: begin, now: now)
        case .bulk(.both, _): EchoFlow(workload: self, begin: begin, now: now)
        case .requests(_, _, let request, let response):
            RequestFlow(
                workload: self, sizes: .init(request: request, response: response), isSingle: false, begin: begin,
                now: now)
        case .churn(_, _, let request, let response):
            RequestFlow(
                workload: self, sizes: .init(request: request, response: response), isSingle: true, begin: begin,
                now: now)
        case .idle: IdleFlow(workload: self, begin: begin, now: now)
        case .udp: preconditionFailure("datagrams have a workload of their own")
        }
    }

    private func touch(now: Instant) {
        while let (index, due) = touches?.take(now: now) {
            if !flows.isEmpty { (flows[index % flows.count] as? IdleFlow)?.touch(due: due, now: now) }
        }
    }

    // MARK: - From flows

    func connected(_ flow: LoadFlow, after time: Interval) {
        context.opening -= 1
        statistics.flowsConnected += 1
        statistics.flowsOpen += 1
        statistics.flowsOpenHighWater = max(statistics.flowsOpenHighWater, statistics.flowsOpen)
        statistics.connectLatency.record(time)
        // There is room to open the next one, but not from inside a channel's report: the loop's next turn does it.
    }

    func answered(after time: Interval) {
        statistics.operations += 1
        statistics.latency.record(time)
    }

    /// A connection for requests has none.
    func rested(_ flow: RequestFlow, now: Instant) {
        if arrivals != nil {
            if let due = arrivals?.take(now: now) { return flow.start(due: due, now: now) }
            if isEnding { flow.leave(now: now) } else { resting.append(flow) }
        } else if isEnding {
            flow.leave(now: now)
        } else {
            flow.start(due: now, now: now)
        }
    }

    func completed(_ flow: LoadFlow, now: Instant) {
        remove(flow)
        statistics.flowsOpen -= 1
        statistics.flowsCompleted += 1
        // Another one follows at the next turn, where the plan is to open and close.
        if case .churn(_, nil, _, _) = plan.workload, !isEnding { free += 1 }
        endNext(now: now)
        endIfDone(now: now)
    }

    func failed(_ flow: LoadFlow, _ failure: FlowFailure, wasConnected: Bool, now: Instant) {
        if wasConnected { statistics.flowsOpen -= 1 } else { context.opening -= 1 }
        remove(flow)
        statistics.flowsFailed += 1
        refill(after: failure, now: now)
        endNext(now: now)
        endIfDone(now: now)
    }

    private func refill(after failure: FlowFailure, now: Instant) {
        statistics.count(failure)
        // What an arrival began is not repeated: the next one comes by itself.
        if case .churn(_, .some, _, _) = plan.workload { return }
        if !isEnding { reopenings.append(now + Self.reopenDelay) }
    }

    private func remove(_ flow: LoadFlow) {
        guard flow.listIndex >= 0 else { return }
        let last = flows.removeLast()
        if last !== flow {
            flows[flow.listIndex] = last
            last.listIndex = flow.listIndex
        }
        flow.listIndex = -1
    }
}

/// Whose turn it is to be touched: all flows one after the other, each once in an interval.
struct TouchOrder {
    private let spacing: Interval
    private(set) var next: Instant
    private var index = 0

    init(interval: Interval, flows: Int, now: Instant) {
        spacing = max(interval / Int64(max(flows, 1)), .nanoseconds(1))
        next = now + spacing
    }

    mutating func take(now: Instant) -> (index: Int, due: Instant)? {
        guard next <= now else { return nil }
        defer {
            next = next + spacing
            index += 1
        }
        return (index, next)
    }
}

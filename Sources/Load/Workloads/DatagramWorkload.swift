import Primitives
import Tunnel

/// A workload of datagrams at a rate. Those that are due at the same moment leave together, as one batch for each flow.
final class DatagramWorkload: WorkloadRun {
    /// After the end, echoes are waited for so long.
    static let echoGrace = Interval.seconds(1)
    /// A sink that does not answer is asked again after this time.
    static let queryInterval = Interval.milliseconds(100)
    /// Datagrams, and bytes, of one batch: what UDP_SEGMENT takes.
    static let maximumBatch = 64
    static let maximumBatchBytes = 60_000

    let plan: WorkloadPlan
    var statistics = WorkloadStatistics()
    let destination: DestinationAddress
    private(set) var phase = WorkloadPhase.waiting
    private(set) var flows: [DatagramFlow] = []
    /// Datagrams that were no answers to any of ours.
    private(set) var strays: UInt64 = 0

    private let context: WorkloadContext
    private let start: Instant
    private let size: Int
    private let echoes: Bool
    private let rate: Double
    private var arrivals: ArrivalSchedule?
    private var turn = 0
    private var nextQuery: Instant?
    private let batch: UnsafeMutableRawBufferPointer

    init(
        _ plan: WorkloadPlan, rate: Double, size: Int, echoes: Bool, context: WorkloadContext, runStart: Instant
    ) {
        self.plan = plan
        self.context = context
        self.rate = rate
        self.size = max(size, DatagramHeader.byteCount)
        self.echoes = echoes
        start = runStart + plan.start
        destination = context.plan.address(of: plan.workload.service)
        batch = .allocate(byteCount: max(Self.maximumBatchBytes, self.size), alignment: 8)
    }

    deinit { batch.deallocate() }

    // MARK: - Time

    var isOver: Bool {
        if case .over = phase { true } else { false }
    }

    func activeTime(now: Instant) -> Interval {
        switch phase {
        case .waiting: .zero
        // What is lost is waited for in vain: that is no part of the time.
        case .running(let since): now - since
        case .ending(let since, _): min(now - since, plan.duration)
        case .over(let time): time
        }
    }

    var nextDeadline: Instant? {
        switch phase {
        case .waiting: start
        case .running(let since): earliest(since + plan.duration, arrivals?.next)
        case .ending(_, let deadline): earliest(deadline, nextQuery)
        case .over: nil
        }
    }

    func handleTimeout(now: Instant) {
        sendDue(now: now)
        switch phase {
        case .waiting where start <= now: begin(now: now)
        case .running(let since) where since + plan.duration <= now: end(drain: context.plan.drain, now: now)
        case .ending(let since, let deadline):
            if deadline <= now || isAnswered { over(since: since, now: now) } else { query(now: now) }
        case .waiting, .running, .over: break
        }
    }

    func stop(drain: Interval, now: Instant) {
        switch phase {
        case .waiting: phase = .over(.zero)
        case .running: end(drain: drain, now: now)
        case .ending(let since, let deadline): phase = .ending(since: since, deadline: min(deadline, now + drain))
        case .over: break
        }
    }

    private func begin(now: Instant) {
        for _ in 0..<plan.workload.flows {
            let flow = DatagramFlow(workload: self, identifier: context.next())
            statistics.flowsBegun += 1
            do throws(FlowFailure) {
                guard let carrier = context.datagrams else { throw .other }
                try flow.open(on: carrier, now: now)
                flows.append(flow)
                statistics.flowsConnected += 1
            } catch {
                statistics.flowsFailed += 1
                statistics.count(error)
            }
        }
        statistics.flowsOpen = flows.count
        statistics.flowsOpenHighWater = flows.count
        phase = .running(since: now)
        arrivals = ArrivalSchedule(start: now, duration: plan.duration, rate: rate)
        sendDue(now: now)
    }

    private func end(drain: Interval, now: Instant) {
        guard case .running(let since) = phase else { return }
        arrivals = nil
        phase = .ending(since: since, deadline: now + (echoes ? min(Self.echoGrace, drain) : drain))
        query(now: now)
    }

    private var isAnswered: Bool {
        flows.allSatisfy { $0.neverBegan || (echoes ? $0.received >= $0.sent : $0.isReported) }
    }

    private func over(since: Instant, now: Instant) {
        phase = .over(min(now - since, plan.duration))
        for flow in flows {
            if flow.neverBegan {
                // Why, was counted with each refusal.
                statistics.flowsFailed += 1
            } else if flow.received == 0, flow.sent > 0 {
                statistics.flowsFailed += 1
                statistics.count(.noAnswer)
            } else {
                statistics.flowsCompleted += 1
            }
            flow.close()
        }
        statistics.flowsOpen = 0
    }

    // MARK: - Sending

    private func sendDue(now: Instant) {
        guard !flows.isEmpty else {
            // Without a socket there is nothing to be late for.
            while arrivals?.take(now: now) != nil {}
            return
        }
        let most = min(Self.maximumBatch, max(1, Self.maximumBatchBytes / size))
        while let first = arrivals?.take(now: now) {
            let flow = flows[turn % flows.count]
            turn += 1
            var due = first
            var count = 0
            while true {
                write(flow, due: due, at: count)
                count += 1
                guard count < most, let next = arrivals?.take(now: now) else { break }
                due = next
            }
            send(flow, count: count, now: now)
        }
    }

    private func write(_ flow: DatagramFlow, due: Instant, at index: Int) {
        guard let base = batch.baseAddress else { return }
        let memory = base + index * size
        let header = DatagramHeader(
            .data, identifier: flow.identifier, sequence: flow.takeSequence(), time: due.nanoseconds)
        header.store(to: memory)
        // A datagram is at most one period long.
        let payload = context.pattern.slice(at: header.place, limit: size - DatagramHeader.byteCount)
        if let source = payload.baseAddress, !payload.isEmpty {
            (memory + DatagramHeader.byteCount).copyMemory(from: source, byteCount: payload.count)
        }
    }

    private func send(_ flow: DatagramFlow, count: Int, now: Instant) {
        let bytes = UnsafeRawBufferPointer(rebasing: batch[..<(count * size)])
        var sent = 0
        do throws(FlowFailure) {
            sent = try flow.channel?.send(bytes, size: size, now: now) ?? 0
        } catch {
            flow.noteRefusal()
            statistics.count(error)
        }
        flow.countSent(sent)
        statistics.datagrams.sent += UInt64(sent)
        statistics.datagrams.notSent += UInt64(count - sent)
        statistics.bytesSent += UInt64(sent * size)
    }

    private func query(now: Instant) {
        guard !echoes, nextQuery ?? now <= now else { return }
        nextQuery = now + Self.queryInterval
        for flow in flows where !flow.isReported {
            DatagramHeader(.query, identifier: flow.identifier).store(to: batch.baseAddress!)
            let bytes = UnsafeRawBufferPointer(rebasing: batch[..<DatagramHeader.byteCount])
            // A question that is lost is asked again.
            _ = try? flow.channel?.send(bytes, size: bytes.count, now: now)
        }
    }

    // MARK: - From flows

    func echoed(_ datagram: UnsafeRawBufferPointer, _ header: DatagramHeader, isLate: Bool, now: Instant) {
        statistics.bytesReceived += UInt64(datagram.count)
        statistics.datagrams.received += 1
        if isLate { statistics.datagrams.reordered += 1 }
        let wrong =
            datagram.count == size ? DatagramHeader.mismatches(in: datagram, header, context.pattern) : datagram.count
        if wrong > 0 {
            statistics.wrongBytes += UInt64(wrong)
            return statistics.count(.wrongBytes)
        }
        statistics.operations += 1
        statistics.latency.record(now - Instant(nanoseconds: header.time))
    }

    func reported(_ flow: DatagramFlow, count: UInt64, wrong: UInt64) {
        statistics.datagrams.received += flow.received
        statistics.datagrams.duplicated += count - min(count, flow.sent)
        statistics.operations += flow.received
        if wrong > 0 {
            statistics.wrongBytes += wrong
            statistics.count(.wrongBytes)
        }
    }

    func stray() { strays += 1 }
}

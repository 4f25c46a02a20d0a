import Primitives

/// Is open and says nothing, but for a few bytes to the echo when it is touched, and once more before it ends: a flow
/// that was forgotten on the way must not pass for an idle one.
final class IdleFlow: LoadFlow {
    /// Bytes of one touch.
    static let touchSize: UInt64 = 16

    private var sender: PatternSender
    private var checker = PatternChecker()
    /// Bytes of all touches so far.
    private var wanted: UInt64 = 0
    /// When the touch under way was due.
    private var touched: Instant?
    /// Touches that became due meanwhile, and would have been answered at the same time.
    private var missed: (count: Int, due: ClosedRange<Instant>)?
    /// The touch under way is the one before the end.
    private var isLast = false

    override init(workload: StreamWorkload, begin: Instant, now: Instant) {
        sender = PatternSender(place: workload.randomPlace())
        super.init(workload: workload, begin: begin, now: now)
    }

    /// - Parameter due: what its latency is measured from. Where one is still under way, its answer is that of this one, too.
    func touch(due: Instant, now: Instant) {
        guard state == .open || state == .ending else { return }
        guard touched == nil else {
            missed = missed.map { ($0.count + 1, $0.due.lowerBound...due) } ?? (1, due...due)
            return
        }
        touched = due
        wanted += Self.touchSize
        send(now: now)
    }

    override func writable(now: Instant) { send(now: now) }

    private func send(now: Instant) {
        guard sender.count < wanted else { return }
        sender.send(workload.pattern, upTo: wanted) { write($0, now: now) }
    }

    override func received(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        let wrong = checker.check(bytes, against: workload.pattern)
        workload.statistics.wrongBytes += UInt64(wrong)
        if wrong > 0 { return fail(.wrongBytes, now: now) }
        if checker.count > wanted { return fail(.badAnswer, now: now) }
        guard checker.count == wanted, let due = touched else { return }
        touched = nil
        if isLast {
            // All flows are asked at the same moment: that they answer is what counts, not how fast.
            workload.statistics.operations += 1
        } else {
            workload.answered(after: now - due)
            recordMissed(now: now)
        }
        if state == .ending { finishWriting(now: now) }
    }

    private func recordMissed(now: Instant) {
        guard let missed else { return }
        workload.statistics.latency.recordWaiting(missed.count, since: missed.due, now: now)
        self.missed = nil
    }

    override func recordWaiting(now: Instant) {
        guard let touched, !isLast else { return }
        workload.statistics.latency.record(now - touched)
        recordMissed(now: now)
    }

    override func finish(now: Instant) {
        // One that is under way will do.
        guard touched == nil else { return }
        isLast = true
        touch(due: now, now: now)
    }

    override func ended(now: Instant) {
        guard state == .ending, checker.count == wanted else { return fail(.endedEarly, now: now) }
        complete(reset: false, now: now)
    }
}

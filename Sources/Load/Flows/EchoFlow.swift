import Primitives

/// Sends as fast as it can and gets everything back.
final class EchoFlow: LoadFlow {
    private var sender: PatternSender
    private var checker = PatternChecker()

    override init(workload: StreamWorkload, begin: Instant, now: Instant) {
        sender = PatternSender(place: workload.randomPlace())
        super.init(workload: workload, begin: begin, now: now)
    }

    override func connected(now: Instant) { send(now: now) }
    override func writable(now: Instant) { send(now: now) }

    private func send(now: Instant) {
        guard state == .open else { return }
        sender.send(workload.pattern) { write($0, now: now) }
    }

    override func received(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        let wrong = checker.check(bytes, against: workload.pattern)
        workload.statistics.wrongBytes += UInt64(wrong)
        if wrong > 0 { fail(.wrongBytes, now: now) }
    }

    override func finish(now: Instant) { finishWriting(now: now) }

    override func ended(now: Instant) {
        guard state == .ending, checker.count == sender.count else { return fail(.endedEarly, now: now) }
        workload.statistics.operations += 1
        complete(reset: false, now: now)
    }
}

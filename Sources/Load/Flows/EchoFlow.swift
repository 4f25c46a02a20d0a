import Primitives

/// Sends as fast as it can and gets everything back.
final class EchoFlow: SendingFlow {
    private var checker = PatternChecker()

    override func received(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        let wrong = checker.check(bytes, against: workload.pattern)
        workload.statistics.wrongBytes += UInt64(wrong)
        if wrong > 0 { fail(.wrongBytes, now: now) }
    }

    override func ended(now: Instant) {
        guard state == .ending, checker.count == sentCount else { return fail(.endedEarly, now: now) }
        workload.statistics.operations += 1
        complete(reset: false, now: now)
    }
}

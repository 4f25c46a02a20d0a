import Primitives

/// Receives as fast as it can from a source, which never ends.
final class DownloadFlow: LoadFlow {
    private var checker = PatternChecker()

    override func received(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        let wrong = checker.check(bytes, against: workload.pattern)
        workload.statistics.wrongBytes += UInt64(wrong)
        if wrong > 0 { fail(.wrongBytes, now: now) }
    }

    override func finish(now: Instant) {
        // Nothing at all is no success.
        guard checker.count > 0 else { return fail(.unfinished, now: now) }
        workload.statistics.operations += 1
        complete(reset: true, now: now)
    }
}

import Primitives

/// Sends as fast as it can to a sink, which says at the end what came.
final class UploadFlow: SendingFlow {
    private var report = SinkReport.Reader()

    override func received(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        if !report.take(bytes) { fail(.badAnswer, now: now) }
    }

    override func ended(now: Instant) {
        guard state == .ending else { return fail(.endedEarly, now: now) }
        guard let report = report.report else { return fail(.badAnswer, now: now) }
        workload.statistics.wrongBytes += report.wrong
        if report.wrong > 0 { return fail(.wrongBytes, now: now) }
        // Less than was sent: the end came without its bytes. More cannot be either.
        if report.count != sentCount { return fail(.endedEarly, now: now) }
        workload.statistics.operations += 1
        complete(reset: false, now: now)
    }
}

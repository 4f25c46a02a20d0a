import Primitives

/// Sends as fast as it can to a sink, which says at the end what came.
final class UploadFlow: LoadFlow {
    private var sender: PatternSender
    private var report = SinkReport.Reader()

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
        if !report.take(bytes) { fail(.badAnswer, now: now) }
    }

    override func finish(now: Instant) { finishWriting(now: now) }

    override func ended(now: Instant) {
        guard state == .ending else { return fail(.endedEarly, now: now) }
        guard let report = report.report else { return fail(.badAnswer, now: now) }
        workload.statistics.wrongBytes += report.wrong
        if report.wrong > 0 { return fail(.wrongBytes, now: now) }
        // Less than was sent: the end came without its bytes. More cannot be either.
        if report.count != sender.count { return fail(.endedEarly, now: now) }
        workload.statistics.operations += 1
        complete(reset: false, now: now)
    }
}

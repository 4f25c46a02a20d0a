import Primitives

/// Sends requests, one at a time, and checks the answers.
final class RequestFlow: LoadFlow {
    private enum Progress {
        /// Nothing is under way.
        case rest
        case head(due: Instant)
        case body(due: Instant)
        /// The answer came; the target has still to close, as it was asked to.
        case closing(due: Instant)
        /// Finished by this side, in order; the target will do the same.
        case leaving
    }

    struct Sizes: Hashable {
        var request: Int
        var response: Int
    }

    private let sizes: Sizes
    /// The flow is for one request.
    private let isSingle: Bool
    private var progress = Progress.rest
    private var request = OutgoingMessage()
    private var head = HTTPHead()
    private var body = IncomingBody()
    private var place: UInt64 = 0

    init(workload: StreamWorkload, sizes: Sizes, isSingle: Bool, begin: Instant, now: Instant) {
        self.sizes = sizes
        self.isSingle = isSingle
        super.init(workload: workload, begin: begin, now: now)
    }

    /// - Parameter due: what its latency is measured from.
    func start(due: Instant, now: Instant) {
        place = workload.randomPlace()
        request.setRequest(
            requestSize: sizes.request, responseSize: sizes.response, place: place, closes: isSingle)
        progress = .head(due: due)
        send(now: now)
    }

    override func connected(now: Instant) {
        if isSingle { start(due: begin, now: now) } else { workload.rested(self, now: now) }
    }

    override func writable(now: Instant) { send(now: now) }

    private func send(now: Instant) {
        if !request.isSent { request.send(workload.pattern) { write($0, now: now) } }
    }

    override func received(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        var rest = bytes
        while !rest.isEmpty {
            switch progress {
            case .rest, .closing, .leaving:
                return fail(.badAnswer, now: now)
            case .head(let due):
                switch head.take(&rest) {
                case .incomplete: return
                case .tooLong: return fail(.badAnswer, now: now)
                case .complete: guard beginBody(due: due, now: now) else { return }
                }
            case .body:
                body.take(&rest, workload.pattern)
            }
            if case .body(let due) = progress, body.isComplete { guard answered(due: due, now: now) else { return } }
        }
    }

    private func beginBody(due: Instant, now: Instant) -> Bool {
        defer { head.clear() }
        guard let status = head.status, let size = head.contentLength else {
            fail(.badAnswer, now: now)
            return false
        }
        if status == TargetFlow.wrongBytesStatus {
            // The target found that the request's bytes are not what was sent.
            workload.statistics.wrongBytes += 1
            fail(.wrongBytes, now: now)
            return false
        }
        guard status == 200, size == sizes.response else {
            fail(.badAnswer, now: now)
            return false
        }
        body.begin(size: size, place: place)
        progress = .body(due: due)
        return true
    }

    /// - Returns: false when the flow is over.
    private func answered(due: Instant, now: Instant) -> Bool {
        guard body.wrong == 0 else {
            workload.statistics.wrongBytes += UInt64(body.wrong)
            fail(.wrongBytes, now: now)
            return false
        }
        // An answer before the end of its request would not be one.
        guard request.isSent else {
            fail(.badAnswer, now: now)
            return false
        }
        if isSingle {
            progress = .closing(due: due)
            return true
        }
        progress = .rest
        workload.answered(after: now - due)
        workload.rested(self, now: now)
        return state != .over
    }

    override func ended(now: Instant) {
        switch progress {
        case .closing(let due):
            workload.answered(after: now - due)
            complete(reset: false, now: now)
        case .leaving: complete(reset: false, now: now)
        case .rest, .head, .body: fail(.endedEarly, now: now)
        }
    }

    override func recordWaiting(now: Instant) {
        switch progress {
        case .rest where isSingle: workload.statistics.latency.record(now - begin)
        case .head(let due), .body(let due), .closing(let due): workload.statistics.latency.record(now - due)
        case .rest, .leaving: break
        }
    }

    override func finish(now: Instant) { leave(now: now) }

    /// Ends in order, if nothing is under way.
    func leave(now: Instant) {
        guard case .rest = progress else { return }
        progress = .leaving
        finishWriting(now: now)
    }
}

import Primitives

/// Sends the pattern as fast as it can until the workload's time is over, then finishes; what comes back is its kinds' to judge.
class SendingFlow: LoadFlow {
    private var sender: PatternSender

    override init(workload: StreamWorkload, begin: Instant, now: Instant) {
        sender = PatternSender(place: workload.randomPlace())
        super.init(workload: workload, begin: begin, now: now)
    }

    /// Bytes that the channel took, those of the pattern's header included.
    final var sentCount: UInt64 { sender.count }

    final override func connected(now: Instant) { send(now: now) }
    final override func writable(now: Instant) { send(now: now) }
    final override func finish(now: Instant) { finishWriting(now: now) }

    private func send(now: Instant) {
        guard state == .open else { return }
        sender.send(workload.pattern) { write($0, now: now) }
    }
}

import Primitives

/// One flow of a workload: what it says, and how it judges what it hears. Its kinds are the subclasses.
///
/// The carrier's channel calls the `channel…` functions; they may call the channel back.
public class LoadFlow {
    enum State {
        case connecting
        case open
        /// The workload's time is over, and the flow ends in order.
        case ending
        case over
    }

    unowned let workload: StreamWorkload
    private(set) var state = State.connecting
    /// When this flow was due, for those that an arrival began; else when it was begun.
    let begin: Instant
    private var dialled: Instant
    private(set) var channel: (any FlowChannel)?
    /// Its place in the workload's list.
    var listIndex = -1

    init(workload: StreamWorkload, begin: Instant, now: Instant) {
        self.workload = workload
        self.begin = begin
        dialled = now
    }

    // MARK: - What the kinds do

    func connected(now: Instant) {}
    func received(_ bytes: UnsafeRawBufferPointer, now: Instant) {}
    func writable(now: Instant) {}
    /// The other end has finished. Not expected, unless a kind expects it.
    func ended(now: Instant) { fail(.endedEarly, now: now) }
    /// The workload's time is over; comes once, to a flow that is connected.
    func finish(now: Instant) { complete(reset: false, now: now) }

    /// The flow is given up. What it waits for has taken at least so long, which the percentiles must show.
    func recordWaiting(now: Instant) {}

    // MARK: - What they use

    /// - Returns: how many bytes the channel took.
    final func write(_ bytes: UnsafeRawBufferPointer, now: Instant) -> Int {
        guard let channel, !bytes.isEmpty else { return 0 }
        let taken = channel.write(bytes, now: now)
        workload.statistics.bytesSent += UInt64(taken)
        return taken
    }

    final func finishWriting(now: Instant) { channel?.finish(now: now) }

    final func fail(_ failure: FlowFailure, now: Instant) {
        guard state != .over else { return }
        let wasConnected = state != .connecting
        close(reset: true, now: now)
        workload.failed(self, failure, wasConnected: wasConnected, now: now)
    }

    final func complete(reset: Bool, now: Instant) {
        guard state != .over else { return }
        close(reset: reset, now: now)
        workload.completed(self, now: now)
    }

    private func close(reset: Bool, now: Instant) {
        state = .over
        let channel = channel
        self.channel = nil
        channel?.close(reset: reset, now: now)
    }

    // MARK: - From the workload

    final func open(on carrier: any FlowCarrier, now: Instant) throws(FlowFailure) {
        channel = try carrier.open(self, to: workload.destination, now: now)
    }

    /// The workload's time is over.
    final func endInOrder(now: Instant) {
        guard state == .open else { return }
        state = .ending
        finish(now: now)
    }

    /// Ends at once and is not counted.
    final func drop(now: Instant) { close(reset: true, now: now) }

    // MARK: - From the channel

    public final func channelOpened(now: Instant) {
        guard state == .connecting else { return }
        state = .open
        workload.connected(self, after: now - dialled)
        connected(now: now)
        if workload.isEnding { endInOrder(now: now) }
    }

    public final func channelReceived(_ bytes: UnsafeRawBufferPointer, now: Instant) {
        guard state != .over else { return }
        workload.statistics.bytesReceived += UInt64(bytes.count)
        received(bytes, now: now)
    }

    public final func channelWritable(now: Instant) {
        if state == .open || state == .ending { writable(now: now) }
    }

    /// The other end has finished its direction.
    public final func channelEnded(now: Instant) {
        if state != .over { ended(now: now) }
    }

    /// The flow was not opened, or broke. The channel is of no use any more.
    public final func channelFailed(_ failure: FlowFailure, now: Instant) { fail(failure, now: now) }
}

import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// A packet trace: one application on one side of a `FlowNAT`, its owner on the other, on a virtual clock.
///
/// Tests read like the examples of the RFCs: `app.sends(.syn, seq: 100)`, `nat.accepts()`, `app.expects([.syn, .ack],
/// seq: 0, ack: 101)`. The application's numbers are absolute; ours count from our initial sequence number. All payload
/// is a pattern of its position, so that every byte is checked wherever it turns up.
final class Trace {
    var nat: FlowNAT
    let pool: BlockPool
    var now: Instant
    var source = Endpoint("10.0.0.2:40000")!
    var destination = Endpoint("192.0.2.1:443")!
    /// The flow of the last `connect` event.
    var flow: FlowID?
    /// Where the application begins, and where we do; nil until seen.
    var applicationStart: UInt32 = 0
    var natStart: UInt32?
    /// Bytes that the consumer took, and how many more it will take.
    var delivered: [UInt8] = []
    var appetite = Int.max
    /// Bytes written by the owner so far.
    var written = 0
    /// All packets are of `source` and `destination`; false where packets are made up.
    var isPlain = true
    let buffer = PacketBuffer()
    private var reports: [Report] = []

    init(
        settings: FlowSettings = FlowSettings(), poolBytes: Int = 64 << 20, seed: UInt64 = 1,
        start: Instant = Instant(nanoseconds: 1_000_000_000_000)
    ) {
        pool = BlockPool(byteLimit: poolBytes)
        var random = SeededRandom(seed: seed)
        nat = FlowNAT(settings: settings, pool: pool, random: &random)
        now = start
    }

    /// A trace in which our initial sequence number is `number`: begun when RFC 6528's clock makes it so.
    convenience init(settings: FlowSettings = FlowSettings(), initialSequence number: UInt32) {
        let probe = Trace(settings: settings)
        probe.app.sends(.syn, seq: 100, ws: 7)
        probe.owner.accepts()
        let found = probe.nextPacket()!.tcp!.sequence.rawValue
        let steps = Int64(number &- found)
        self.init(settings: settings, start: probe.now + .microseconds(steps * 4))
    }

    var app: Application { Application(trace: self) }
    var owner: Owner { Owner(trace: self) }

    /// What FlowNAT told its owner, without the identifiers.
    enum Report: Equatable {
        case connect, established, finished, drained(Int), reset, closed
    }

    /// The events since the last call.
    func takeReports() -> [Report] {
        while let event = nat.nextEvent() {
            switch event {
            case .connect(let id, let addresses):
                if isPlain { #expect(addresses.source == source && addresses.destination == destination) }
                flow = id
                reports.append(.connect)
            case .established: reports.append(.established)
            case .finished: reports.append(.finished)
            case .drained(_, let count): reports.append(.drained(count))
            case .reset: reports.append(.reset)
            case .closed: reports.append(.closed)
            }
        }
        defer { reports = [] }
        return reports
    }

    func reports(_ expected: Report..., sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(takeReports() == expected, sourceLocation: sourceLocation)
    }

    /// Keeps what has been reported for the next `reports`, so that `flow` is known.
    private func collect() { reports = takeReports() }

    var state: TCPState? { flow.flatMap { nat.state(of: $0) } }

    /// What the flow keeps of the last timestamp that was echoed to it.
    var lastEcho: UInt32? { flow.flatMap { nat.lastEcho(of: $0) } }

    // MARK: Packets

    /// Gives a packet to FlowNAT as it comes from the TUN.
    func inject(_ packet: [UInt8], _ header: VirtioHeader = .none) {
        packet.withUnsafeBytes { bytes in
            nat.handle(bytes, offload: header, now: now) { _, bytes in
                let taken = min(bytes.count, appetite)
                if appetite != .max { appetite -= taken }
                delivered += bytes[..<taken]
                return taken
            }
        }
        collect()
    }

    /// The next packet to the TUN; every one is checked for its checksums and its virtio header.
    func nextPacket(sourceLocation: SourceLocation = #_sourceLocation) -> SentPacket? {
        guard nat.nextPacket(into: buffer, now: now) else { return nil }
        return SentPacket(buffer, sourceLocation: sourceLocation)
    }

    // MARK: Time

    /// Lets time pass, then calls the timers that came due.
    func after(_ interval: Interval) {
        now = now + interval
        nat.handleTimeout(now: now)
        collect()
    }

    /// The flow's timer that is due first.
    var timer: Instant? { flow.flatMap { nat.deadline(of: $0) } }

    /// Goes to the flow's next deadline; returns how long that took.
    @discardableResult
    func untilTimer(sourceLocation: SourceLocation = #_sourceLocation) -> Interval? {
        guard let deadline = timer, nat.nextDeadline.map({ $0 <= deadline }) == true else {
            Issue.record("no timer is running", sourceLocation: sourceLocation)
            return nil
        }
        let waited = deadline - now
        now = max(now, deadline)
        nat.handleTimeout(now: now)
        collect()
        return waited
    }

    /// Nothing is left of the flow: no memory, no timer, no event, no packet.
    func isOver(sourceLocation: SourceLocation = #_sourceLocation) {
        app.expectsNothing(sourceLocation: sourceLocation)
        #expect(takeReports() == [], sourceLocation: sourceLocation)
        #expect(nat.flowCount == 0, sourceLocation: sourceLocation)
        #expect(nat.halfOpenCount == 0, sourceLocation: sourceLocation)
        #expect(nat.nextDeadline == nil, sourceLocation: sourceLocation)
        #expect(pool.outstanding == 0, sourceLocation: sourceLocation)
        #expect(nat.heldSegmentBytes == 0, sourceLocation: sourceLocation)
    }

    /// The byte that belongs at an offset of either stream.
    static func pattern(_ offset: Int) -> UInt8 { UInt8(truncatingIfNeeded: offset &* 31 &+ offset >> 8) }

    /// What the consumer got is exactly what the application sent from its first byte on.
    func deliveredInOrder(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(delivered.count == count, sourceLocation: sourceLocation)
        #expect(
            delivered.indices.allSatisfy { delivered[$0] == Self.pattern($0) }, "bytes are not in order",
            sourceLocation: sourceLocation)
    }
}

// MARK: - The owner

/// What the engine behind the NAT does.
struct Owner {
    let trace: Trace

    func accepts() {
        guard let flow = trace.flow else { return }
        trace.nat.accept(flow)
    }

    func rejects(_ reason: RejectReason) {
        guard let flow = trace.flow else { return }
        trace.nat.reject(flow, reason)
    }

    /// Writes the next bytes of the pattern; returns how many found room.
    @discardableResult
    func writes(_ count: Int) -> Int {
        guard let flow = trace.flow else { return 0 }
        let bytes = (trace.written..<trace.written + count).map(Trace.pattern)
        let taken = trace.nat.withSendQueue(flow) { queue in bytes.withUnsafeBytes { queue.append($0) } } ?? 0
        trace.written += taken
        return taken
    }

    func finishes() { if let flow = trace.flow { trace.nat.finish(flow) } }
    func aborts() { if let flow = trace.flow { trace.nat.abort(flow) } }
    func releases(_ count: Int) { if let flow = trace.flow { trace.nat.release(flow, count) } }
}

import Packets
import Primitives

/// Ends TCP flows in user space: IP packets on one side, flows of bytes on the other. No system calls, no clock.
///
/// A packet's way in: `handle` parses it, finds its flow, and hands the bytes that are next in order to the consumer;
/// what else happened comes out of `nextEvent`. The way out: the owner writes into a flow's send queue
/// (`withSendQueue`), and `nextPacket` gathers segments from it. Nothing answers a SYN before `accept` or `reject`:
/// the application learns what really happened at the far end.
///
/// A window is a promise: it reopens only as the owner calls `release` for bytes that it has really passed on, and
/// `.drained` tells the owner how many bytes the application has really taken.
public struct FlowNAT: ~Copyable {
    public var settings: FlowSettings { _read { yield rules.pointee } }
    public internal(set) var counters: FlowCounters {
        _read { yield tally.pointee }
        nonmutating _modify { yield &tally.pointee }
    }

    /// Behind pointers, as everything large that is passed to the parts: a call would copy it.
    let rules: FlowSettings.Reference
    let tally: UnsafeMutablePointer<FlowCounters>

    let pool: BlockPool
    let sequence: InitialSequence
    var flows: FlowTable
    var sources: SourceTable
    /// The flows by how they may lose their place.
    var lists = FlowLists()
    var deadlines = DeadlineHeap()
    var replies: ReplyQueue
    var events = EventQueue()
    /// The flow of the last segment.
    private var latest: FlowID?
    /// Flows that may have something to send, in the order in which they asked: a list through `TCPFlow.nextReady`.
    private var ready: (first: UInt32?, last: UInt32?)
    private var challenges: RateLimit
    var unreachables: RateLimit
    var resets: RateLimit
    /// Send records of all flows; behind a pointer, since every flow takes from it.
    let records: UnsafeMutablePointer<SendRecordArena>
    /// Text that waits for its predecessors, of all flows.
    var heldMemory: ChunkStore
    /// UDP, see FlowNAT+Datagrams; fragments, see FlowNAT+Fragments.
    var associations: AssociationTable
    var reassembly: Reassembly
    /// Flows and associations take turns with their packets.
    private var isDatagramsTurn = false
    /// Where answers that belong to no flow are written before they are queued.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: PacketBuffer.headCapacity, alignment: 16)

    /// - Parameters:
    ///   - pool: where all payload is buffered.
    ///   - random: keys the initial sequence numbers and the tables.
    public init(settings: FlowSettings, pool: BlockPool, random: inout some RandomNumberGenerator) {
        rules = .allocate(settings)
        tally = .allocate(capacity: 1)
        tally.initialize(to: FlowCounters())
        self.pool = pool
        sequence = InitialSequence(random: &random, fixed: settings.initialSequence)
        let hash = FlowHash(random: &random)
        flows = FlowTable(hash: hash)
        sources = SourceTable(hash: hash)
        replies = ReplyQueue(limit: settings.maximumReplyBytes)
        challenges = RateLimit(perSecond: settings.challengeAcknowledgmentsPerSecond)
        unreachables = RateLimit(perSecond: settings.unreachablesPerSecond)
        resets = RateLimit(perSecond: settings.resetsPerSecond)
        records = .allocate(capacity: 1)
        records.initialize(
            to: SendRecordArena(
                limit: settings.maximumSendRecordsInAll, limitPerFlow: settings.maximumSendRecords))
        heldMemory = ChunkStore(pool: pool, byteLimit: settings.maximumHeldBytes)
        associations = AssociationTable(pool: pool, random: &random)
        reassembly = Reassembly(settings: settings)
    }

    deinit {
        scratch.deallocate()
        rules.deallocate()
        tally.deallocate()
        // No flow touches its records when it goes with the whole table.
        records.deinitialize(count: 1)
        records.deallocate()
    }

    /// Flows in the table, those in TIME-WAIT included.
    public var flowCount: Int { flows.count }
    /// Flows that are still somebody's business: all but those in TIME-WAIT.
    public var activeFlowCount: Int { flows.count - lists.count(of: .waiting) }
    /// Flows whose dial or handshake is not over.
    var halfOpenCount: Int { lists.count(of: .halfOpen) }
    /// What segments that wait for their predecessors take of `maximumHeldBytes`.
    var heldSegmentBytes: Int { heldMemory.usedBytes }
    /// Send records in use.
    var sendRecordCount: Int { records.pointee.used }

    /// Where a flow stands; nil when it is gone.
    func state(of id: FlowID) -> TCPState? { flows.find(id)?.pointee.state }
    func lastEcho(of id: FlowID) -> UInt32? { flows.find(id)?.pointee.lastEcho }
    /// Entries in the heap of timers.
    var timerCount: Int { deadlines.count }
    /// When a flow's own timer is due; `nextDeadline` may be earlier, see `DeadlineHeap`.
    func deadline(of id: FlowID) -> Instant? { flows.find(id)?.pointee.nextDeadline }
    /// When a flow's silence has consequences.
    func lifetimeDeadline(of id: FlowID) -> Instant? { flows.find(id)?.pointee.lifetimeDeadline(settings: rules) }

    // MARK: - Packets in

    /// Takes one IP packet from the TUN: a plain one, or a super-segment as its virtio header says. UDP is refused.
    ///
    /// - Parameter deliver: called with the flow's next bytes, which lie in `packet`; returns how many it took.
    public mutating func handle(
        _ packet: UnsafeRawBufferPointer, offload: VirtioHeader, now: Instant, deliver: FlowConsumer
    ) {
        counters.packetsIn += 1
        handle(
            packet, offload: offload, now: now, carriesDatagrams: false, deliver: deliver, datagrams: { _, _, _ in })
    }

    mutating func handle(
        _ packet: UnsafeRawBufferPointer, offload: VirtioHeader, now: Instant, carriesDatagrams: Bool,
        deliver: FlowConsumer, datagrams: DatagramConsumer
    ) {
        if offload.gsoType != .none { counters.superPacketsIn += 1 }
        let span = packet.bytes
        let ip: IPHeader
        do {
            ip = try IPHeader.parse(span)
        } catch {
            counters.malformed += 1
            return
        }
        if ip.headerLength != PacketWriter.ipHeaderLength(isIPv4: ip.isIPv4), !admitsOptions(ip, span) { return }
        guard !ip.isFragment else {
            return handleFragment(
                ip, packet, offload: offload, now: now, carriesDatagrams: carriesDatagrams, deliver: deliver,
                datagrams: datagrams)
        }
        switch ip.protocol {
        case IPProtocol.tcp: break
        case IPProtocol.udp where carriesDatagrams:
            return handleUDP(ip, packet, offload: offload, now: now, datagrams: datagrams)
        case IPProtocol.icmp where ip.isIPv4, IPProtocol.icmpv6 where !ip.isIPv4:
            return handleICMP(ip, packet, offload: offload, now: now)
        default: return refuseProtocol(ip, packet, now: now)
        }
        let message = span.extracting(ip.upperLayer)
        let tcp: TCPHeader
        do {
            tcp = try TCPHeader.parse(message)
        } catch {
            counters.malformed += 1
            return
        }
        guard offload.checksumIsTrusted || Self.hasValidChecksum(message, ip) else {
            counters.badChecksum += 1
            return
        }
        let addresses = FlowAddresses(
            source: Endpoint(ip.source, tcp.sourcePort), destination: Endpoint(ip.destination, tcp.destinationPort))
        let payload = UnsafeRawBufferPointer(rebasing: packet[ip.headerLength + tcp.headerLength..<ip.totalLength])
        counters.bytesIn += payload.count
        handle(
            tcp, payload, addresses, isMarked: ExplicitCongestion.isMarked(ip.trafficClass), now: now, deliver: deliver)
    }

    private static func hasValidChecksum(_ message: RawSpan, _ ip: IPHeader) -> Bool {
        let pseudo = Checksum.pseudoHeader(
            source: ip.source, destination: ip.destination, protocol: IPProtocol.tcp, length: message.byteCount)
        return Checksum.finish(Checksum.sum(message, initial: pseudo)) == 0
    }

    private mutating func handle(
        _ tcp: TCPHeader, _ payload: UnsafeRawBufferPointer, _ addresses: FlowAddresses, isMarked: Bool, now: Instant,
        deliver: FlowConsumer
    ) {
        guard let flow = find(addresses) else {
            return handleUnknown(tcp, payload, addresses, now: now)
        }
        if Self.opens(tcp), replaces(flow, tcp, now: now) {
            return replace(flow, tcp, now: now)
        }
        counters.flowSegments += 1
        if flow.pointee.life.isNewTick(now), lists.list(of: flow.pointee.id.slot) == .active {
            lists.move(flow.pointee.id.slot, to: .active)
        }
        let mark = flow.pointee.mark
        let outcome = flow.pointee.receive(
            tcp, payload: payload, isMarked: isMarked, now: now, settings: rules, counters: &tally.pointee,
            memory: &heldMemory, deliver: deliver)
        flow.pointee.noteHeard(since: mark, now: now)
        if outcome.isEmpty { return scheduleAcknowledgment(flow) }
        apply(outcome, to: flow, tcp: tcp, payloadCount: payload.count, now: now)
    }

    /// Segments come in bursts: the last one's flow is looked at first.
    @inline(__always)
    private mutating func find(_ addresses: FlowAddresses) -> UnsafeMutablePointer<TCPFlow>? {
        if let latest, let flow = flows.find(latest), flow.pointee.addresses == addresses { return flow }
        let flow = flows.find(addresses)
        latest = flow?.pointee.id
        return flow
    }

    /// Whether a SYN begins a new connection in the place of this one.
    private func replaces(_ flow: UnsafeMutablePointer<TCPFlow>, _ tcp: TCPHeader, now: Instant) -> Bool {
        switch flow.pointee.state {
        case .timeWait:
            // RFC 9293, section 3.6.1: a higher sequence number or a later timestamp cannot be an old duplicate's.
            flow.pointee.mayBeReused(by: tcp, settings: rules)
        case .opening:
            // The application gave up its first attempt and makes another from the same port. Not at once, or each of
            // many SYNs would be dialled.
            tcp.sequence != flow.pointee.initialReceive
                && flow.pointee.life.created + rules.pointee.halfOpenPatience <= now
        case .synReceived, .established, .finWait1, .finWait2, .closeWait, .closing, .lastAck:
            false
        }
    }

    /// A SYN that asks for a connection, and says nothing else.
    private static func opens(_ tcp: TCPHeader) -> Bool {
        tcp.flags.contains(.syn) && tcp.flags.isDisjoint(with: [.ack, .rst, .fin])
    }

    private mutating func handleUnknown(
        _ tcp: TCPHeader, _ payload: UnsafeRawBufferPointer, _ addresses: FlowAddresses, now: Instant
    ) {
        guard Self.isPossible(addresses) else {
            counters.impossibleAddress += 1
            return
        }
        guard Self.opens(tcp) else {
            counters.noFlow += 1
            return answerWithReset(tcp, payloadCount: payload.count, addresses, now: now)
        }
        guard admits(addresses.source.address, now: now), makeRoom(now: now) else { return }
        open(tcp, addresses, after: nil, now: now)
    }

    // MARK: - Commands

    /// The dial succeeded: the application gets its SYN-ACK.
    public mutating func accept(_ id: FlowID) {
        guard let flow = flows.find(id), flow.pointee.state == .opening else { return }
        flow.pointee.state = .synReceived
        markReady(flow)
    }

    /// The dial failed: the application is told as the far end told the server. The flow is gone.
    public mutating func reject(_ id: FlowID, _ reason: RejectReason) {
        guard let flow = flows.find(id), flow.pointee.state == .opening else { return }
        counters.rejected += 1
        switch reason {
        case .refused: sendReset(flow)
        case .networkUnreachable: sendUnreachable(flow, .network)
        case .hostUnreachable: sendUnreachable(flow, .host)
        case .prohibited: sendUnreachable(flow, .administrativelyProhibited)
        case .silence: break
        }
        forget(flow)
    }

    /// Writes bytes for the application: `body` appends to the flow's queue. Nil when the flow is gone or finished.
    public mutating func withSendQueue<Result, Failure: Error>(
        _ id: FlowID, _ body: (inout BlockQueue) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard let flow = flows.find(id), !flow.pointee.isFinishing else { return nil }
        defer { markReady(flow) }
        return try body(&flow.pointee.sendQueue)
    }

    /// Bytes in a flow's send queue, staged ones included.
    public func heldBytes(_ id: FlowID) -> Int {
        guard let flow = flows.find(id) else { return 0 }
        return flow.pointee.sendQueue.count + flow.pointee.sendQueue.staged
    }

    /// Nothing more will be written: a FIN follows what is queued. The other direction goes on.
    public mutating func finish(_ id: FlowID) {
        guard let flow = flows.find(id) else { return }
        flow.pointee.isFinishing = true
        markReady(flow)
    }

    /// Cuts the flow with a RST. No event follows.
    public mutating func abort(_ id: FlowID) {
        guard let flow = flows.find(id) else { return }
        if flow.pointee.state != .timeWait {
            counters.resetByUs += 1
            sendReset(flow)
        }
        forget(flow)
    }

    /// Cuts every flow with a RST.
    public mutating func abortAll() {
        for id in flows.identifiers { abort(id) }
    }

    /// `count` bytes that the consumer took have left it: the application may send as many more.
    public mutating func release(_ id: FlowID, _ count: Int) {
        guard let flow = flows.find(id) else { return }
        if flow.pointee.release(count, settings: rules).contains(.ready) { markReady(flow) }
    }

    /// Bounds the receive windows of all flows, below what the settings allow, from here on: what an application may send that
    /// its consumer cannot pass on soon would only grow old here. What a flow was promised before, it keeps.
    public func limitWindows(to bytes: Int) {
        UnsafeMutablePointer(mutating: rules).pointee.windowBound = max(bytes, Self.leastWindow)
    }

    /// No window is bounded below this many bytes: an application with large segments would wait for each to be passed on.
    public static let leastWindow = 32 << 10

    // MARK: - Events and packets out

    /// What happened since the last call, oldest first; nil when there is no more. Ask until then after `handle` and
    /// `handleTimeout`: what is not asked for stays, with at most one `.drained` of each flow.
    public mutating func nextEvent() -> FlowEvent? {
        while let event = events.next() {
            guard case .drained(let id, 0) = event else { return event }
            guard let flow = flows.find(id) else { continue }
            flow.pointee.isDrainQueued = false
            let count = flow.pointee.drained
            flow.pointee.drained = 0
            if count > 0 { return .drained(id, count) }
        }
        return nil
    }

    /// The next packet for the TUN; false when there is none. Call until then after every other call.
    public mutating func nextPacket(into buffer: PacketBuffer, now: Instant) -> Bool {
        if !replies.isEmpty, replies.next(into: buffer) {
            counters.packetsOut += 1
            return true
        }
        isDatagramsTurn.toggle()
        if isDatagramsTurn, !associations.isAtRest, nextDatagramPacket(into: buffer) { return true }
        while let slot = ready.first {
            guard let flow = flows.find(slot: slot) else { preconditionFailure("a ready flow is always in the table") }
            let sent = write(flow, into: buffer, now: now)
            if !sent || flow.pointee.hasSentAll {
                unmarkReady(flow)
            } else if flow.pointee.nextReady != nil {
                unmarkReady(flow)
                markReady(flow)  // behind the others: every flow gets its turn
            }
            if !sent { flow.pointee.persistIfStalled(now: now) }
            schedule(flow)
            if sent {
                counters.packetsOut += 1
                counters.bytesOut += buffer.payloadCount
                if buffer.offload.gsoType != .none { counters.superPacketsOut += 1 }
                return true
            }
        }
        return !isDatagramsTurn && !associations.isAtRest && nextDatagramPacket(into: buffer)
    }

    private mutating func write(
        _ flow: UnsafeMutablePointer<TCPFlow>, into buffer: PacketBuffer, now: Instant
    ) -> Bool {
        let retransmissions = counters.retransmissions
        guard flow.pointee.nextSegment(into: buffer, now: now, settings: rules, counters: &tally.pointee) else {
            return flow.pointee.nextKeepalive(into: buffer, now: now, settings: rules, counters: &tally.pointee)
        }
        flow.pointee.life.retransmissions &+= UInt32(truncatingIfNeeded: counters.retransmissions - retransmissions)
        flow.pointee.noteSent(now: now)
        return true
    }

    /// When `handleTimeout` has something to do, or earlier; nil while no timer runs. Other calls move it.
    public var nextDeadline: Instant? {
        earliest(deadlines.next, earliest(associations.nextDeadline, reassembly.nextDeadline))
    }

    /// Does what is due by `now`; packets and events may follow. Too early or too often does no harm.
    public mutating func handleTimeout(now: Instant) {
        while let (slot, deadline) = deadlines.popDue(now: now) {
            guard let flow = flows.find(slot: slot), flow.pointee.scheduled == deadline else { continue }
            flow.pointee.scheduled = nil
            if endIfDialTimedOut(flow, now: now) { continue }
            var outcome = flow.pointee.handleTimeout(now: now, settings: rules, counters: &tally.pointee)
            if !outcome.contains(.giveUp) {
                outcome.formUnion(flow.pointee.handleLifetime(now: now, settings: rules, counters: &tally.pointee))
            }
            apply(outcome, to: flow, tcp: nil, payloadCount: 0, now: now)
        }
        handleDatagramTimeouts(now: now)
    }

    // MARK: - Carrying out

    mutating func apply(
        _ outcome: FlowOutcome, to flow: UnsafeMutablePointer<TCPFlow>, tcp: TCPHeader?, payloadCount: Int, now: Instant
    ) {
        let id = flow.pointee.id
        if outcome.contains(.refuseSegment), let tcp {
            answerWithReset(tcp, payloadCount: payloadCount, flow.pointee.addresses, now: now)
        }
        if outcome.contains(.established) {
            sources.establish(flow.pointee.life.source)
            lists.move(id.slot, to: .active)
            counters.established += 1
            events.append(.established(id))
        }
        if outcome.contains(.closed), flow.pointee.drained > 0 {
            // The flow may be gone when the event is taken: it says by itself how many bytes that were.
            events.append(.drained(id, flow.pointee.drained))
            flow.pointee.drained = 0
        } else if outcome.contains(.drained), !flow.pointee.isDrainQueued {
            flow.pointee.isDrainQueued = true
            events.append(.drained(id, 0))
        }
        if outcome.contains(.finished) { events.append(.finished(id)) }
        if outcome.contains(.closed) {
            counters.closed += 1
            events.append(.closed(id))
            if flow.pointee.state == .timeWait { enterWaiting(flow) }
        }
        if outcome.contains(.challenge), mayChallenge(flow, now: now) {
            flow.pointee.acknowledgment = .immediate
            markReady(flow)
        }
        if outcome.contains(.giveUp) {
            counters.resetByUs += 1
            sendReset(flow)
        }
        if !outcome.isDisjoint(with: [.giveUp, .resetByPeer]) {
            if outcome.contains(.resetByPeer) { counters.resetByPeer += 1 }
            if flow.pointee.state != .timeWait { events.append(.reset(id)) }
            return forget(flow)
        }
        if outcome.contains(.remove) { return forget(flow) }
        if outcome.contains(.ready) { markReady(flow) }
        schedule(flow)
    }

    mutating func schedule(_ flow: UnsafeMutablePointer<TCPFlow>) {
        let lifetime = flow.pointee.lifetimeDeadline(settings: rules)
        guard let deadline = earliest(flow.pointee.nextDeadline, lifetime) else { return }
        deadlines.schedule(flow.pointee.id.slot, at: deadline, scheduled: &flow.pointee.scheduled)
    }

    /// After a segment that can have moved no deadline nearer but that of its ACK.
    @inline(__always)
    private mutating func scheduleAcknowledgment(_ flow: UnsafeMutablePointer<TCPFlow>) {
        guard let scheduled = flow.pointee.scheduled else { return schedule(flow) }
        guard let deadline = flow.pointee.nextDeadline, deadline < scheduled else { return }
        deadlines.schedule(flow.pointee.id.slot, at: deadline, scheduled: &flow.pointee.scheduled)
    }

    private mutating func markReady(_ flow: UnsafeMutablePointer<TCPFlow>) {
        guard !flow.pointee.isReady else { return }
        flow.pointee.isReady = true
        flow.pointee.nextReady = nil
        flow.pointee.previousReady = ready.last
        if let last = ready.last, let tail = flows.find(slot: last) {
            tail.pointee.nextReady = flow.pointee.id.slot
        } else {
            ready.first = flow.pointee.id.slot
        }
        ready.last = flow.pointee.id.slot
    }

    mutating func unmarkReady(_ flow: UnsafeMutablePointer<TCPFlow>) {
        guard flow.pointee.isReady else { return }
        flow.pointee.isReady = false
        let (previous, next) = (flow.pointee.previousReady, flow.pointee.nextReady)
        if let previous, let before = flows.find(slot: previous) {
            before.pointee.nextReady = next
        } else {
            ready.first = next
        }
        if let next, let after = flows.find(slot: next) {
            after.pointee.previousReady = previous
        } else {
            ready.last = previous
        }
    }

    /// RFC 5961, section 7: challenge ACKs are few, so that they cannot be used to probe or to flood.
    private mutating func mayChallenge(_ flow: UnsafeMutablePointer<TCPFlow>, now: Instant) -> Bool {
        guard flow.pointee.life.answers.hasRoom(now: now) else {
            counters.acknowledgmentsSkipped += 1
            return false
        }
        guard challenges.take(now: now) else {
            counters.challengesSkipped += 1
            return false
        }
        _ = flow.pointee.life.answers.take(now: now)
        counters.challengeAcknowledgments += 1
        return true
    }
}

import Primitives
import QuicTransport
import Tunnel
import Users

/// What a user may have: counts, rates, quota. All loops look at the same `Account`, which tells them together what they may do.
///
/// Rates hold where bytes leave the server for good: up at the write to the dialled socket, down at the read from it. What a client
/// sends faster than that waits in its flow's queue, so its credit is not renewed, whatever number of streams or sessions it opens.
/// Datagrams beyond the rate are dropped. A flow that has to wait stands in a queue of its session, and gets its turn in order.
extension ServerEngine {
    /// How often a flow looks again whether its user's buffered bytes have become fewer: other loops may hold them.
    private static let bufferPause = Interval.milliseconds(20)

    // MARK: - Counts

    /// Notes a flow of the user, unless there are as many as may be.
    func takeFlow(_ session: ServerSession) -> Bool { session.account?.flows.take() ?? true }

    func giveBackFlow(_ session: ServerSession) { session.account?.flows.giveBack() }

    /// Notes a dial under way, one of several of a flow to a name, unless the client or its user has as many as may be.
    func beginDial(_ flow: OutboundFlow) -> Bool {
        let session = flow.session
        guard session.dials < settings.maximumDialsPerConnection, session.account?.halfOpen.take() ?? true else {
            return false
        }
        session.dials += 1
        flow.dials += 1
        return true
    }

    /// The flow's dials are over, but for so many.
    func endDials(_ flow: OutboundFlow, but rest: Int = 0) {
        while flow.dials > rest {
            flow.dials -= 1
            flow.session.dials -= 1
            flow.session.account?.halfOpen.giveBack()
        }
    }

    /// Brings the user's sums up to date with the memory that the session holds now: whole blocks of the pool, of queues towards
    /// sockets and of streams towards the client, until these are acknowledged.
    func noteBuffered(_ session: ServerSession) {
        guard let account = session.account else { return }
        note(EachWay(up: session.kept.bytes, down: session.connection.queued.bytes), session, account)
    }

    /// The same when the session ends; what is left of its memory goes with the connection.
    func forgetBuffered(_ session: ServerSession) {
        if let account = session.account { note(EachWay(up: 0, down: 0), session, account) }
    }

    @inline(__always)
    private func note(_ held: EachWay<Int>, _ session: ServerSession, _ account: Account) {
        let (up, down) = (held.up - session.noted.up, held.down - session.noted.down)
        guard up != 0 || down != 0 else { return }
        account.bufferedBytes.adjust(by: up + down)
        account.bufferedDown.adjust(by: down)
        session.noted = held
    }

    /// Whether the user may have more memory for what waits for the client.
    func mayQueue(_ session: ServerSession) -> Bool {
        noteBuffered(session)
        return session.account?.bufferedDown.isFull != true
    }

    /// Bounds what the client may have on its way, by the user's share of memory: half of it for what comes up, in equal parts for
    /// all sessions, though none has less than its first window. So what waits for a destination that does not read is held back at
    /// the client, and no flow has to end for it.
    func boundWindow(_ session: ServerSession) {
        guard let account = session.account else { return }
        let limit = account.bufferedBytes.limit.map { $0 / 2 / max(account.sessions.count, 1) }
        guard session.windowLimit != limit else { return }
        session.windowLimit = limit
        session.connection.limitConnectionWindow(limit ?? .max)
    }

    /// Whether bytes that have come for a flow may be kept. They came under the promise of a window, one of those that every connection
    /// begins with, so that there is nothing left but to end the flow.
    func mayKeep(_ flow: OutboundFlow) -> Bool {
        let session = flow.session
        noteBuffered(session)
        guard let account = session.account, flow.queue.count + flow.queue.staged > 0,
            account.bufferedBytes.isFull
        else { return true }
        counters.flowsCutByUserLimit += 1
        return false
    }

    /// The flow ends while it may wait for a rate. Its place in the queue is passed over.
    func leaveQueues(_ flow: OutboundFlow) {
        for direction in [Account.Direction.up, .down] where flow.waits[direction] {
            flow.session.account?.noteWaiting(-1, direction)
        }
    }

    // MARK: - Rates

    /// Bytes that may be written to the socket now. With none, the flow waits for its turn.
    func roomToWrite(_ flow: OutboundFlow) -> Int {
        guard let account = flow.session.account, account.up.isLimited, !flow.queue.isEmpty else { return .max }
        let room = isNext(flow, .up) ? account.up.room(now: last) : 0
        if room == 0 { wait(flow, .up, until: account.up.opens(now: last)) }
        return room
    }

    /// Bytes that the user's limits let be read from the socket now. With none, the flow waits for its turn.
    func roomOfUser(_ flow: OutboundFlow) -> Int {
        guard let account = flow.session.account else { return .max }
        guard mayQueue(flow.session) else {
            wait(flow, .down, until: last + Self.bufferPause)
            return 0
        }
        let left = account.quotaRoom
        guard left > 0 else {
            spend(flow.session)
            return 0
        }
        guard account.down.isLimited else { return left }
        let room = isNext(flow, .down) ? account.down.room(now: last) : 0
        if room == 0 { wait(flow, .down, until: account.down.opens(now: last)) }
        return min(room, left)
    }

    /// Whether the flow need not stand behind others: it has its turn, or nobody waits.
    private func isNext(_ flow: OutboundFlow, _ direction: Account.Direction) -> Bool {
        guard !flow.hasTurn[direction] else {
            flow.hasTurn[direction] = false
            return true
        }
        return flow.session.waiting[direction].count == 0
    }

    /// Notes bytes of a stream that have passed.
    func notePassed(_ count: Int, _ direction: Account.Direction, _ session: ServerSession) {
        guard let account = session.account, !account.pass(count, direction, now: last) else { return }
        spend(session)
    }

    /// Whether a datagram passes; one beyond the rate is lost, as on a path of that rate.
    @inline(__always)
    func passes(_ count: Int, _ direction: Account.Direction, _ session: ServerSession) -> Bool {
        guard let account = session.account else { return true }
        guard account.take(count, direction, now: last) else {
            datagramCounters.droppedForRate += 1
            return false
        }
        if account.isQuotaSpent { spend(session) }
        return true
    }

    // MARK: - Turns

    private func wait(_ flow: OutboundFlow, _ direction: Account.Direction, until: Instant) {
        guard !flow.waits[direction] else { return }
        flow.waits[direction] = true
        flow.session.account?.noteWaiting(1, direction)
        let session = flow.session
        forgetGone(session, direction)
        session.waiting[direction].append(flow.id)
        counters.rateWaits += 1
        // Not in this very moment: what is asked for now was just refused.
        session.turnDeadline = earliest(session.turnDeadline, max(until, last + .microseconds(1)))
        markDirty(session)
    }

    /// Flows that end while they wait stay in the queue; before it is twice as long as the flows that may wait, they go.
    private func forgetGone(_ session: ServerSession, _ direction: Account.Direction) {
        let count = session.waiting[direction].count
        guard count >= 2 * settings.maximumFlowsPerConnection else { return }
        for _ in 0..<count {
            if let id = session.waiting[direction].popFirst(), flow(id) != nil { session.waiting[direction].append(id) }
        }
    }

    /// Gives the flow that has waited longest its turn, in each direction. One at a time: it may take all there is, and the others keep
    /// their places.
    func giveTurns(_ session: ServerSession) {
        session.turnDeadline = nil
        guard let account = session.account else { return }
        guard !session.isSpent else { return kick(session.id, reason: "the quota of this month is spent", now: last) }
        giveTurn(session, .up, account.up.room(now: last) > 0, opens: account.up.opens(now: last))
        if account.bufferedDown.isFull {
            giveTurn(session, .down, false, opens: last + Self.bufferPause)
        } else {
            giveTurn(session, .down, account.down.room(now: last) > 0, opens: account.down.opens(now: last))
        }
    }

    private func giveTurn(_ session: ServerSession, _ direction: Account.Direction, _ hasRoom: Bool, opens: Instant) {
        var next = opens
        if hasRoom {
            while let id = session.waiting[direction].popFirst() {
                guard let flow = flow(id) else { continue }
                flow.waits[direction] = false
                session.account?.noteWaiting(-1, direction)
                flow.hasTurn[direction] = true
                switch direction {
                case .up: append(.write(id))
                case .down: append(.read(id))
                }
                break
            }
            next = last
        }
        guard session.waiting[direction].count > 0 else { return }
        session.turnDeadline = earliest(session.turnDeadline, max(next, last + .microseconds(1)))
    }

    // MARK: - The end of a session

    /// The user's quota is spent.
    private func spend(_ session: ServerSession) {
        guard case .open = session.phase, !session.isSpent else { return }
        session.isSpent = true
        // Not in the midst of what has just passed: its flow is still at work.
        session.turnDeadline = last
        markDirty(session)
    }

    /// Ends the sessions of a user that this loop has.
    /// - Parameters:
    ///   - account: `Account.id`.
    ///   - reason: for the client's log.
    public func kick(account: Int64, reason: String, now: Instant) {
        last = now
        for session in sessions {
            if let session, session.account?.id == account { kick(session.id, reason: reason, now: now) }
        }
    }
}

/// One thing for each direction.
struct EachWay<Value> {
    var up: Value
    var down: Value

    subscript(direction: Account.Direction) -> Value {
        get {
            switch direction {
            case .up: up
            case .down: down
            }
        }
        _modify {
            switch direction {
            case .up: yield &up
            case .down: yield &down
            }
        }
    }
}

import Primitives
import QuicTransport
import Tunnel
import Users

/// What the program tells the engine of its sockets.
extension ServerEngine {
    /// - Parameter bound: the address that the socket dialled from.
    /// - Returns: whether the flow goes on with this connection; if not, it is closed by an action.
    @discardableResult
    public func dialSucceeded(_ id: OutboundID, bound: Endpoint?, now: Instant) -> Bool {
        last = now
        guard let flow = dialling(id) else { return false }
        if let named = flow.named {
            let endpoint = named.dialled[Int(id.attempt) - 1]
            flow.destination = OutboundFlow.Destination(endpoint: endpoint, name: named.name)
        }
        if let destination = flow.destination, !mayStillGo(destination, flow.session) {
            deny(flow, .denied(by: .user), .endpoint(destination.endpoint), .tcp)
            return false
        }
        if flow.named != nil { finishRace(flow, winner: id) }
        flow.phase = .open
        endDials(flow)
        counters.dialsSucceeded += 1
        let reply = FlowReply(.succeeded, bound: bound ?? .unspecified)
        guard flow.sealed.send(message: reply.encode(), to: flow.stream) else {
            cut(flow, .resourceLimit)
            return false
        }
        markDirty(flow.session)
        requestWrite(flow)
        return true
    }

    public func dialFailed(_ id: OutboundID, _ failure: DialFailure, now: Instant) {
        last = now
        guard let flow = dialling(id) else { return }
        if flow.named != nil { return attemptFailed(flow, id, failure) }
        counters.dialsFailed += 1
        refuse(flow, failure.reply)
    }

    /// The flow that has this dial under way, be it one of several attempts.
    private func dialling(_ id: OutboundID) -> OutboundFlow? {
        guard let flow = flow(id.attempt(0)), case .dialling = flow.phase else { return nil }
        return flow.named == nil ? (flow.id == id ? flow : nil) : (isUnderWay(id, flow) ? flow : nil)
    }

    /// How many bytes may be read from the socket now; zero asks the program to wait for `ServerAction.read`.
    public func roomToRead(_ id: OutboundID) -> Int {
        guard let flow = flow(id), case .open = flow.phase, !flow.socketEnded else { return 0 }
        let room = unsentLimit(of: flow.session) - flow.stream.unsent
        if room <= 0 {
            flow.isPaused = true
            return 0
        }
        return min(room, roomOfUser(flow))
    }

    /// Sealed bytes that may wait on a stream now: what its path needs, within what memory allows.
    func unsentLimit(of session: ServerSession) -> Int {
        let limit = min(settings.unsentLimit, session.connection.readyBytes)
        return pool.outstanding < pool.limit / 4 * 3 ? limit : min(limit, settings.unsentLimitUnderPressure)
    }

    /// Bytes that were read from the socket.
    public func socketRead(_ id: OutboundID, _ bytes: UnsafeRawBufferPointer, now: Instant) {
        last = now
        guard let flow = flow(id), case .open = flow.phase else { return }
        let taken = flow.sealed.seal(bytes, to: flow.stream)
        counters.bytesSealed += UInt64(taken)
        notePassed(taken, .down, flow.session)
        markDirty(flow.session)
        // Bytes that were read cannot be given back to the socket.
        if taken < bytes.count { cut(flow, .resourceLimit) }
    }

    /// The socket's FIN.
    public func socketEnded(_ id: OutboundID, now: Instant) {
        last = now
        guard let flow = flow(id), !flow.socketEnded else { return }
        flow.socketEnded = true
        flow.session.connection.finish(flow.stream)
        markDirty(flow.session)
        releaseIfDone(flow)
    }

    /// The socket's RST, or any other end of it.
    public func socketFailed(_ id: OutboundID, now: Instant) {
        last = now
        guard let flow = flow(id) else { return }
        counters.flowsReset += 1
        cut(flow, .flowReset)
    }

    /// The bytes that may be written to the socket now, where they lie. `body` returns false to stop.
    public func pendingRegions(_ id: OutboundID, _ body: (UnsafeRawBufferPointer) -> Bool) {
        guard let flow = flow(id) else { return }
        var room = roomToWrite(flow)
        flow.queue.forEachRegion { region in
            guard room > 0 else { return false }
            let part = UnsafeRawBufferPointer(rebasing: region.prefix(room))
            room -= part.count
            return body(part)
        }
    }

    /// The socket took so many of them.
    public func wrote(_ id: OutboundID, _ count: Int, now: Instant) {
        last = now
        guard let flow = flow(id) else { return }
        flow.queue.consume(count)
        notePassed(count, .up, flow.session)
        noteBuffered(flow.session)
        extendCredit(flow)
        if flow.queue.isEmpty {
            flow.isWriting = false
            finishWritingIfDue(flow)
        }
    }

    // MARK: - Shared with the stream's side

    func requestWrite(_ flow: OutboundFlow) {
        guard case .open = flow.phase else { return }
        if !flow.queue.isEmpty {
            if !flow.isWriting {
                flow.isWriting = true
                append(.write(flow.id))
            }
        } else {
            finishWritingIfDue(flow)
        }
    }

    private func finishWritingIfDue(_ flow: OutboundFlow) {
        guard flow.clientFinished, !flow.toldFinished, flow.queue.isEmpty else { return }
        flow.toldFinished = true
        append(.finishWriting(flow.id))
        releaseIfDone(flow)
    }

    /// Both directions are through: the socket can go. The stream finishes on its own.
    private func releaseIfDone(_ flow: OutboundFlow) {
        if flow.toldFinished && flow.socketEnded { release(flow, reset: false) }
    }

    func extendCredit(_ flow: OutboundFlow) {
        let credit = flow.sealed.newCredit(held: flow.queue.count + flow.queue.staged)
        guard credit > 0 else { return }
        let session = flow.session
        boundWindow(session)
        session.connection.extendCredit(on: flow.stream, by: credit)
        markDirty(session)
    }

    /// Ends a flow with a reply that says no.
    func refuse(_ flow: OutboundFlow, _ code: FlowReplyCode) {
        let connection = flow.session.connection
        if flow.sealed.send(message: FlowReply(code).encode(), to: flow.stream) {
            connection.finish(flow.stream)
        } else {
            connection.reset(flow.stream, code: TunnelErrorCode.resourceLimit.rawValue)
        }
        connection.stopReceiving(flow.stream, code: TunnelErrorCode.noError.rawValue)
        markDirty(flow.session)
        release(flow, reset: true)
    }

    /// Ends a flow both ways at once.
    func cut(_ flow: OutboundFlow, _ code: TunnelErrorCode) {
        let connection = flow.session.connection
        connection.reset(flow.stream, code: code.rawValue)
        connection.stopReceiving(flow.stream, code: code.rawValue)
        markDirty(flow.session)
        release(flow, reset: true)
    }
}

import Primitives
import QuicTransport
import Tunnel

/// A move that could not be made at once.
struct PendingMove {
    let local: Endpoint
    /// When waiting is given up, and another connection made.
    let deadline: Instant
}

/// The network below the client changes, and its flows go on (RFC 9000, section 9).
extension ClientEngine {
    /// Datagrams to the server leave from another local address from now on: the program has a new socket, whose
    /// address this is. Those that come on the old one may still be handed in.
    ///
    /// A connection that cannot be moved is given up at once, and `.connectionWanted` follows; so does it where the
    /// engine was waiting for its next attempt, since the new network may have a way.
    public func migrate(to local: Endpoint, now: Instant) {
        last = now
        switch link {
        case .down:
            link = .down(until: now)
        case .wanted, .stopped:
            break
        case .handshaking:
            leave("the network changed while the connection was being made", now: now)
        case .greeting, .up:
            pendingMove = PendingMove(local: local, deadline: now + settings.migrationPatience)
            tryToMove(now: now)
        }
        carryOutConnectionEvents(now: now)
    }

    /// Gives up a connection whose server cannot be reached over any network there is now, but at another address.
    public func abandonPath(_ reason: String, now: Instant) {
        last = now
        if connection != nil { leave(reason, now: now) }
    }

    /// Called after everything that may have brought what the move waits for.
    func tryToMove(now: Instant) {
        guard let pending = pendingMove, let connection else { return }
        switch connection.migrate(to: pending.local, now: now) {
        case .started, .unchanged:
            pendingMove = nil
            unheard = pending.local
        case .notYet:
            if pending.deadline <= now { leave("the connection could not move to another network in time", now: now) }
        case .impossible:
            leave("the connection cannot move to another network", now: now)
        }
    }

    /// Both directions of the new path work.
    func pathValidated(from local: Endpoint) {
        unheard = nil
        failedMoves = 0
        events.append(.moved(to: local))
    }

    /// No challenge of ours was answered. The server answers none for a while after it has followed another change
    /// (`PathGate`), so one more attempt or two may bring what this one did not.
    func pathFailed(from local: Endpoint, now: Instant) {
        guard pendingMove == nil, connection?.local == local else { return }
        // Whom we hear from at the new address has followed us there, and hears us.
        guard unheard == local else { return pathValidated(from: local) }
        failedMoves += 1
        guard failedMoves < settings.migrationAttempts else {
            return leave("nothing comes back over the network that the connection moved to", now: now)
        }
        events.append(.anotherSocketWanted)
    }

    private func leave(_ reason: String, now: Instant) {
        if let connection { close(connection, .noError, "the client's network has changed") }
        lose(reason, triesNext: true, now: now)
    }
}

import Primitives
import QuicTransport
import Tunnel

/// Going away in order: no new flows, the old ones may end by themselves for a while.
extension ServerEngine {
    /// How far the server is on its way out.
    enum Leaving {
        case no
        /// Flows that there are may go on until then; new ones and new clients are sent away.
        case draining(until: Instant)
        case stopping
    }

    public var isDraining: Bool {
        if case .draining = leaving { true } else { false }
    }

    /// Tells every client that no flow is taken any more (control message drain), and closes each connection when its last
    /// flow is over. At the end of the grace period, `stop` ends what is left.
    /// - Parameter reason: for the clients' logs.
    public func drain(grace: Interval, reason: String, now: Instant) {
        last = now
        guard case .no = leaving else { return }
        leaving = .draining(until: now + grace)
        for session in sessions {
            guard let session else { continue }
            switch session.phase {
            case .open:
                tell(session, .drain(reason: reason))
            case .handshaking, .exchanging, .loggingIn:
                close(session, .shuttingDown, goodbye)
            case .ended:
                break
            }
            markDirty(session)
        }
    }

    /// Nothing is left to wait for: every connection is closed, but for the last packets that say so.
    public var isDrained: Bool {
        switch leaving {
        case .no: false
        case .draining, .stopping:
            sessions.allSatisfy { session in
                if case .ended? = session?.phase { true } else { session == nil }
            }
        }
    }

    /// What the last packet of a connection says.
    var goodbye: String { "the server stops" }

    /// Called when a connection has sent all it can: what it was told, and the answers to its last flows, have left.
    func closeIfDrained(_ session: ServerSession) {
        guard isDraining, case .open = session.phase, session.flows.isEmpty, session.connection.openStreams <= 1,
            session.control?.stream.unsent == 0
        else { return }
        close(session, .shuttingDown, goodbye)
    }

    /// At the end of the grace period.
    func endDrainIfDue(now: Instant) {
        if case .draining(let until) = leaving, until <= now { stop(now: now) }
    }

    var drainDeadline: Instant? {
        if case .draining(let until) = leaving { until } else { nil }
    }
}

import Primitives
import QuicTransport
import Sealing
import Tunnel

/// One client's connection.
final class ServerSession {
    enum Phase {
        case handshaking
        /// The secret is known, the hello has not come.
        case awaitingHello(SessionSecret, deadline: Instant)
        case open(SessionSecret)
        case ended
    }

    let connection: QuicConnection
    let index: Int
    var phase = Phase.handshaking
    var control: (stream: QuicStream, sealed: ControlStream)?
    /// Live flows of this client, by their index in the engine's table.
    var flows: Set<Int> = []
    var dials = 0
    /// Flows that wait for a name, or dial its addresses.
    var waitingForNames = 0
    /// The user that the client has logged in as, for rules of the policy; nil where there are no users.
    var user: String?
    /// Those of the flows that carry UDP, by their stream.
    var associations: [Int64: OutboundFlow] = [:]
    /// The one of the client's last datagram: they come in bursts.
    var latestAssociation: OutboundFlow?
    /// Flows that the client may give up before they are answered.
    var abandonedFlows: RateBudget
    /// In the engine's list of connections that may have something to send.
    var isDirty = false
    /// The connection's earliest entry in the engine's deadline heap.
    var scheduled: Instant?

    /// When a client that has not said hello is sent away.
    var helloDeadline: Instant? {
        switch phase {
        case .awaitingHello(_, let deadline): deadline
        case .handshaking, .open, .ended: nil
        }
    }

    func association(of stream: Int64) -> OutboundFlow? {
        if let latestAssociation, latestAssociation.stream.id.rawValue == stream { return latestAssociation }
        guard let found = associations[stream] else { return nil }
        latestAssociation = found
        return found
    }

    init(connection: QuicConnection, index: Int, abandonedFlows: RateBudget) {
        self.abandonedFlows = abandonedFlows
        self.connection = connection
        self.index = index
    }
}

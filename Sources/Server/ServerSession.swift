import Primitives
import QuicTransport
import Sealing
import Tunnel
import Users

/// One client's connection.
final class ServerSession {
    enum Phase {
        case handshaking
        /// The QUIC handshake is over; key exchange and hello are to come until then.
        case exchanging(deadline: Instant)
        /// The program decides whether the client may come in.
        case loggingIn(deadline: Instant)
        case open
        case ended
    }

    let connection: QuicConnection
    let id: SessionID
    /// It has not logged in yet, and may still do so.
    var isNewcomer: Bool {
        switch phase {
        case .handshaking, .exchanging, .loggingIn: true
        case .open, .ended: false
        }
    }
    var index: Int { id.index }
    @exclusivity(unchecked) var phase = Phase.handshaking
    var control: (stream: QuicStream, sealed: ControlStream)?
    /// Of the client's program; known from its hello on.
    var software = ""
    /// Who was let in, for rules of the policy as well.
    var user: String?
    /// The connection is closed with this code once the client has the last message, or then.
    @exclusivity(unchecked) var leaving: (code: TunnelErrorCode, deadline: Instant)?
    /// Key exchanges that the client may ask for.
    var rekeys: RateBudget
    /// When the client's certificate expires.
    var certificateEnd: Instant?
    /// When secrets of former epochs are wiped.
    var wipeOldKeys: Instant?
    /// Live flows of this client, by their index in the engine's table.
    var flows: Set<Int> = []
    var dials = 0
    /// The user's place and account, from login to the end.
    var seat: Seat? {
        didSet { account = seat?.account }
    }
    @exclusivity(unchecked) private(set) var account: Account?
    /// Flows that wait until the user's rates let them go on, and when the next one gets its turn.
    @exclusivity(unchecked) var waiting = EachWay(up: Fifo<OutboundID>(), down: Fifo<OutboundID>())
    @exclusivity(unchecked) var turnDeadline: Instant?
    /// What the queues towards the dialled sockets hold.
    let kept = BlockTally()
    /// Bytes of memory that are in the account's sums for this session: of those queues, and of the streams towards the client.
    @exclusivity(unchecked) var noted = EachWay(up: 0, down: 0)
    /// What `ServerEngine.boundWindow` has set.
    @exclusivity(unchecked) var windowLimit: Int?
    /// The user's quota is spent: the session ends with the next turn.
    var isSpent = false
    /// Flows that wait for a name, or dial its addresses.
    var waitingForNames = 0
    /// Those of the flows that carry UDP, by their stream.
    var associations: [Int64: OutboundFlow] = [:]
    /// The one of the client's last datagram: they come in bursts.
    var latestAssociation: OutboundFlow?
    /// Flows that the client may give up before they are answered.
    var abandonedFlows: RateBudget
    /// In the engine's list of connections that may have something to send.
    @exclusivity(unchecked) var isDirty = false
    /// The connection's earliest entry in the engine's deadline heap.
    var scheduled: Instant?

    /// When something is to be done that the transport does not know of.
    var deadline: Instant? {
        let phaseDeadline: Instant? =
            switch phase {
            case .exchanging(let deadline), .loggingIn(let deadline): deadline
            case .handshaking, .open, .ended: nil
            }
        return earliest(
            earliest(earliest(phaseDeadline, turnDeadline), earliest(leaving?.deadline, wipeOldKeys)), certificateEnd)
    }

    func association(of stream: Int64) -> OutboundFlow? {
        if let latestAssociation, latestAssociation.stream.id.rawValue == stream { return latestAssociation }
        guard let found = associations[stream] else { return nil }
        latestAssociation = found
        return found
    }

    init(connection: QuicConnection, id: SessionID, settings: ServerSettings, now: Instant) {
        self.connection = connection
        self.id = id
        rekeys = RateBudget(burst: settings.rekeyBurst, perSecond: settings.rekeysPerSecond, now: now)
        abandonedFlows = RateBudget(
            burst: settings.abandonedFlowBurst, perSecond: settings.abandonedFlowsPerSecond, now: now)
    }
}

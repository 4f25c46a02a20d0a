import Primitives
import QuicTransport
import Tunnel

/// One flow: a client's stream on one side, a dialled socket on the other.
final class OutboundFlow {
    enum Phase {
        /// The request is not whole yet.
        case awaitingRequest
        case dialling(deadline: Instant)
        case open
        /// A UDP association with its socket.
        case associated
        /// The reply said no; the stream ends.
        case refused
    }

    /// The far end of a TCP flow, once one is dialled.
    struct Destination {
        let endpoint: Endpoint
        /// What the client asked for, where that was a name.
        var name: DomainName?
    }

    /// Changes once at most: to that of the attempt that has won.
    var id: OutboundID
    unowned let session: ServerSession
    let stream: QuicStream
    let sealed: FlowStream
    /// Bytes for the socket. What opens chunks into it calls nobody meanwhile.
    @exclusivity(unchecked) var queue: BlockQueue
    @exclusivity(unchecked) var phase = Phase.awaitingRequest
    /// Set when the request asks for UDP; `queue` then holds records whose rest has not come yet.
    @exclusivity(unchecked) var association: ServerAssociation?
    /// Set while the destination is a name that is looked up, or whose addresses are dialled.
    @exclusivity(unchecked) var named: NamedDial?
    /// Where the socket goes, once there is one for good.
    var destination: Destination?
    /// The client's FIN has come.
    @exclusivity(unchecked) var clientFinished = false
    /// The socket has been told of it.
    var toldFinished = false
    /// The socket has reached its end; our FIN is on the stream.
    var socketEnded = false
    /// The socket is not read because the stream's queue is full.
    @exclusivity(unchecked) var isPaused = false
    /// The program has been asked to write and has not emptied the queue yet.
    @exclusivity(unchecked) var isWriting = false
    /// In the session's queue of those that wait for the user's rate.
    var waits = EachWay(up: false, down: false)
    /// It stood first there, and may go before the others once.
    var hasTurn = EachWay(up: false, down: false)
    /// Dials of this flow that count for its connection and its user: see `ServerEngine.beginDial`.
    @exclusivity(unchecked) var dials = 0
    /// The program has a socket for this flow.
    var hasSocket = false

    init(id: OutboundID, session: ServerSession, stream: QuicStream, sealed: FlowStream, pool: BlockPool) {
        self.id = id
        self.session = session
        self.stream = stream
        self.sealed = sealed
        queue = BlockQueue(pool: pool, tally: session.kept)
    }
}

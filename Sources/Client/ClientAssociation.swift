import FlowNAT
import Primitives
import QuicTransport
import Tunnel

/// One UDP association and its stream: while there is one, the server holds a socket for it.
///
/// FlowNAT's association, which is the application's port, may outlive it: the next datagram then makes another.
final class ClientAssociation {
    enum Phase {
        /// The server has not answered: datagrams go over the stream, right behind the request.
        case opening
        case open
        /// The server said no. Until then, datagrams are told so without asking again.
        case refused(RejectReason, until: Instant)
    }

    let id: AssociationID
    let stream: QuicStream
    let sealed: FlowStream
    let channel: DatagramChannel
    /// Records from the server whose rest has not come yet.
    var queue: BlockQueue
    var phase = Phase.opening

    init(id: AssociationID, stream: QuicStream, sealed: FlowStream, channel: DatagramChannel, pool: BlockPool) {
        self.id = id
        self.stream = stream
        self.sealed = sealed
        self.channel = channel
        queue = BlockQueue(pool: pool)
    }
}

/// The client's associations, found by FlowNAT's number and by their stream.
struct ClientAssociationTable {
    private var byIndex: [ClientAssociation?] = []
    private var byStream: [Int64: ClientAssociation] = [:]
    /// The association of the last datagram from the server: they come in bursts.
    private var latest: ClientAssociation?

    var count: Int { byStream.count }

    /// Whoever has the place of this identifier, be it a former one.
    subscript(index: Int) -> ClientAssociation? { index < byIndex.count ? byIndex[index] : nil }

    mutating func find(stream: Int64) -> ClientAssociation? {
        if let latest, latest.stream.id.rawValue == stream { return latest }
        guard let found = byStream[stream] else { return nil }
        latest = found
        return found
    }

    mutating func insert(_ association: ClientAssociation) {
        while byIndex.count <= association.id.index { byIndex.append(nil) }
        byIndex[association.id.index] = association
        byStream[association.stream.id.rawValue] = association
    }

    mutating func remove(_ association: ClientAssociation) {
        if latest === association { latest = nil }
        byStream[association.stream.id.rawValue] = nil
        if self[association.id.index] === association { byIndex[association.id.index] = nil }
    }

    mutating func removeAll() {
        latest = nil
        byIndex.removeAll(keepingCapacity: true)
        byStream.removeAll(keepingCapacity: true)
    }
}

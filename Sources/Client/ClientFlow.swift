import FlowNAT
import QuicTransport
import Tunnel

/// One flow and its stream. The engine forgets it when the TCP side is over; the stream may end a little later.
final class ClientFlow {
    let id: FlowID
    let stream: QuicStream
    let sealed: FlowStream
    /// The server has said that its dial succeeded.
    @exclusivity(unchecked) var isConnected = false
    /// The TCP side is over: nothing more may be asked of FlowNAT about it.
    @exclusivity(unchecked) var isFlowOver = false
    @exclusivity(unchecked) var isStreamOver = false

    init(id: FlowID, stream: QuicStream, sealed: FlowStream) {
        self.id = id
        self.stream = stream
        self.sealed = sealed
    }
}

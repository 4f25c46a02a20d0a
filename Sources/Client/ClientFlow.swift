import FlowNAT
import QuicTransport
import Tunnel

/// One flow and its stream. It lives until both the TCP side and the stream are over.
final class ClientFlow {
    let id: FlowID
    let stream: QuicStream
    let sealed: FlowStream
    /// The server has said that its dial succeeded.
    var isConnected = false
    /// The TCP side is over: nothing more may be asked of FlowNAT about it.
    var isFlowOver = false
    var isStreamOver = false

    init(id: FlowID, stream: QuicStream, sealed: FlowStream) {
        self.id = id
        self.stream = stream
        self.sealed = sealed
    }
}

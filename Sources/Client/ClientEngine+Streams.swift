import FlowNAT
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// What the transport tells the engine of its streams.
extension ClientEngine: QuicConnectionOwner {
    /// The flow of a stream that still has one.
    private func flow(of stream: QuicStream) -> ClientFlow? {
        guard stream.context >= 0, stream.context < flows.count, let flow = flows[stream.context],
            flow.stream === stream
        else { return nil }
        return flow
    }

    public func connection(_ connection: QuicConnection, opened stream: QuicStream) {
        // A server opens no streams; the limit is zero, so the transport refuses them already.
        connection.reset(stream, code: TunnelErrorCode.protocolViolation.rawValue)
    }

    public func connection(
        _ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream
    ) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return receiveControl(bytes) }
        guard let flow = flow(of: stream) else {
            if let association = association(of: stream) { return receive(bytes, of: association, connection) }
            return connection.extendCredit(on: stream, by: bytes.count)
        }
        let before = flow.sealed.bytesOpened
        do {
            let message = try nat.withSendQueue(flow.id) { (queue: inout BlockQueue) throws(OpenError) -> [UInt8]? in
                try flow.sealed.open(bytes, into: &queue)
            }
            counters.bytesOpened += flow.sealed.bytesOpened - before
            if case .some(.some(let message)) = message { answer(flow, message) }
            if !flow.isFlowOver { extendCredit(flow) }
        } catch {
            counters.sealingFailures += 1
            cut(flow)
        }
    }

    public func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return controlEnded(connection) }
        if let association = association(of: stream) { return endStream(of: association) }
        guard let flow = flow(of: stream) else { return }
        guard flow.isConnected, flow.sealed.isBetweenChunks else {
            counters.sealingFailures += 1
            return cut(flow)
        }
        nat.finish(flow.id)
    }

    public func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return controlEnded(connection) }
        if let flow = flow(of: stream) { cut(flow) }
        if let association = association(of: stream) { cutStream(of: association) }
    }

    public func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return controlEnded(connection) }
        if let flow = flow(of: stream) { cut(flow) }
        if let association = association(of: stream) { cutStream(of: association) }
    }

    public func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream) {
        guard let flow = flow(of: stream) else { return }
        let released = flow.sealed.left(count, remaining: stream.unsent)
        if released > 0 { nat.release(flow.id, released) }
    }

    public func connection(_ connection: QuicConnection, closed stream: QuicStream) {
        flow(of: stream)?.isStreamOver = true
    }

    public func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer) {
        receive(datagram: bytes)
    }

    public func connectionCanOpenStreams(_ connection: QuicConnection) {}
}

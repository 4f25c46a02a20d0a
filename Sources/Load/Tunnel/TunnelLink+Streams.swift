import Primitives
import QuicTransport
import Sealing
import Tunnel

/// What the transport tells the link of its streams.
extension TunnelLink: QuicConnectionOwner {
    public func connection(_ connection: QuicConnection, opened stream: QuicStream) {
        // A server opens no streams; the limit is zero, so the transport refuses them already.
        connection.reset(stream, code: TunnelErrorCode.protocolViolation.rawValue)
    }

    public func connection(
        _ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream
    ) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return receiveControl(bytes, on: stream) }
        if let association = association(of: stream.id.rawValue) { return association.receive(bytes) }
        guard let channel = channel(of: stream) else { return connection.extendCredit(on: stream, by: bytes.count) }
        channel.receive(bytes)
    }

    public func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return controlEnded() }
        association(of: stream.id.rawValue)?.streamEnded()
        channel(of: stream)?.receiveEnd()
    }

    public func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return controlEnded() }
        association(of: stream.id.rawValue)?.streamEnded()
        channel(of: stream)?.receiveReset(code: code)
    }

    public func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64) {
        if stream.id.rawValue == TunnelProtocol.controlStream { return controlEnded() }
        channel(of: stream)?.receiveReset(code: code)
    }

    public func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream) {
        channel(of: stream)?.left(count)
    }

    public func connection(_ connection: QuicConnection, closed stream: QuicStream) {
        channel(of: stream)?.streamClosed()
    }

    public func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer) {
        guard let stream = DatagramFormat.stream(of: bytes) else { return }
        association(of: stream)?.receive(datagram: bytes)
    }

    public func connectionCanOpenStreams(_ connection: QuicConnection) { startWaiting() }

    /// A connection without its control stream cannot be told anything any more.
    private func controlEnded() { close(.protocolViolation, "the control stream has ended") }
}

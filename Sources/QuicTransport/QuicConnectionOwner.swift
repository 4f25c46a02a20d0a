/// Who uses a connection. Called from inside `handle…` and `nextBatch` of the connection; may use every command of it
/// (append, finish, reset, extend credit, close), but may not call `handle…` or `nextBatch`.
public protocol QuicConnectionOwner: AnyObject {
    /// The peer has opened a stream.
    func connection(_ connection: QuicConnection, opened stream: QuicStream)
    /// Bytes in order. The memory is valid during the call only.
    func connection(_ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream)
    /// The peer's FIN, after all bytes.
    func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream)
    /// RESET_STREAM: the peer gave up sending.
    func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64)
    /// STOP_SENDING: the peer does not want more. What was queued is gone; RESET_STREAM was sent as the answer.
    func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64)
    /// `count` queued bytes have left in a packet for the first time.
    func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream)
    /// Both directions are over; the last call for this stream. Not called for the streams of a connection that ends:
    /// `ConnectionEvent.closed` ends them all.
    func connection(_ connection: QuicConnection, closed stream: QuicStream)
    func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer)
    /// The peer allows more streams than before.
    func connectionCanOpenStreams(_ connection: QuicConnection)
}

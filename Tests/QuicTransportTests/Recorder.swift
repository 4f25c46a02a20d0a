import Primitives
import QuicTransport

/// An owner that writes down what it is told, sends what it is given, and passes bytes on at once unless told not to.
final class Recorder: QuicConnectionOwner {
    /// What is still to be sent on a stream.
    struct Outgoing {
        var bytes: [UInt8]
        var offset = 0
        var finishes = true
    }

    /// Bytes that a stream's queue is kept filled with at most.
    static let queueTarget = 128 * 1024

    var streams: [StreamID: QuicStream] = [:]
    var received: [StreamID: [UInt8]] = [:]
    var receivedCount: [StreamID: Int] = [:]
    var finished: Set<StreamID> = []
    var resets: [StreamID: UInt64] = [:]
    var stops: [StreamID: UInt64] = [:]
    var closed: [StreamID] = []
    var closedSet: Set<StreamID> = []
    var sent: [StreamID: Int] = [:]
    var datagrams: [[UInt8]] = []
    var canOpenCalls = 0
    var events: [ConnectionEvent] = []
    var outgoing: [StreamID: Outgoing] = [:]
    var callsAfterClosed = 0

    /// Extend credit as bytes arrive.
    var passesOn = true
    var keepsBytes = true
    /// Send this back on every stream that the peer opens.
    var answer: [UInt8]?
    var onOpened: ((QuicConnection, QuicStream) -> Void)?
    var onReceived: ((QuicConnection, QuicStream) -> Void)?

    var isEstablished: Bool { events.contains(.established) }
    var closeReason: CloseReason? {
        for case .closed(let reason) in events { return reason }
        return nil
    }

    func send(_ bytes: [UInt8], on stream: QuicStream, _ connection: QuicConnection, finishes: Bool = true) {
        streams[stream.id] = stream
        outgoing[stream.id] = Outgoing(bytes: bytes, finishes: finishes)
        refill(stream, connection)
    }

    func refill(_ stream: QuicStream, _ connection: QuicConnection) {
        guard var next = outgoing[stream.id] else { return }
        while next.offset < next.bytes.count, stream.unsent < Self.queueTarget,
            let space = connection.sendSpace(on: stream, minimum: 1)
        {
            let count = min(space.count, next.bytes.count - next.offset)
            next.bytes.withUnsafeBytes {
                space.baseAddress!.copyMemory(from: $0.baseAddress! + next.offset, byteCount: count)
            }
            next.offset += count
            connection.send(count, on: stream)
        }
        outgoing[stream.id] = next
        if next.offset == next.bytes.count {
            outgoing[stream.id] = nil
            if next.finishes { connection.finish(stream) }
        }
    }

    private func note(_ stream: QuicStream) { if closedSet.contains(stream.id) { callsAfterClosed += 1 } }

    func connection(_ connection: QuicConnection, opened stream: QuicStream) {
        streams[stream.id] = stream
        if let answer { send(answer, on: stream, connection) }
        onOpened?(connection, stream)
    }

    func connection(_ connection: QuicConnection, received bytes: UnsafeRawBufferPointer, on stream: QuicStream) {
        note(stream)
        if keepsBytes { received[stream.id, default: []].append(contentsOf: bytes) }
        receivedCount[stream.id, default: 0] += bytes.count
        if passesOn { connection.extendCredit(on: stream, by: bytes.count) }
        onReceived?(connection, stream)
    }

    func connection(_ connection: QuicConnection, finishedReceiving stream: QuicStream) {
        note(stream)
        finished.insert(stream.id)
    }

    func connection(_ connection: QuicConnection, wasReset stream: QuicStream, code: UInt64) {
        note(stream)
        resets[stream.id] = code
    }

    func connection(_ connection: QuicConnection, stopped stream: QuicStream, code: UInt64) {
        note(stream)
        stops[stream.id] = code
        outgoing[stream.id] = nil
    }

    func connection(_ connection: QuicConnection, sent count: Int, on stream: QuicStream) {
        note(stream)
        sent[stream.id, default: 0] += count
        refill(stream, connection)
    }

    func connection(_ connection: QuicConnection, closed stream: QuicStream) {
        note(stream)
        closed.append(stream.id)
        closedSet.insert(stream.id)
        streams[stream.id] = nil
    }

    func connection(_ connection: QuicConnection, receivedDatagram bytes: UnsafeRawBufferPointer) {
        datagrams.append(Array(bytes))
    }

    func connectionCanOpenStreams(_ connection: QuicConnection) { canOpenCalls += 1 }
}

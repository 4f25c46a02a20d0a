/// Whose turn it is to send: deficit round robin with a list of its own for sparse streams, as in FQ-CoDel (RFC 8290,
/// section 4.2). Streams without anything to send are in no list, so thousands of them cost nothing.
///
/// A stream that had nothing to send goes before those that send all the time, for one quantum. So a keystroke or a
/// request leaves with the next packet, however many downloads there are; and one that has emptied its queue waits behind
/// the others once before it counts as sparse again, so that none gains by sending in small pieces.
struct SendSchedule {
    /// Bytes that a stream may send before the next one: about a packet.
    static let quantum = 1_500
    /// Charged for each turn on top of what was sent, so that many single bytes are not for free.
    static let turnCost = 32

    enum Place {
        case none, sparse, bulk
    }

    private var sparse = StreamList()
    private var bulk = StreamList()
    /// Streams that have something to send. Others may linger among the bulk until their turn would come.
    private(set) var waiting = 0

    /// The stream has something to send.
    mutating func add(_ stream: QuicStream) {
        if !stream.wantsTurn {
            stream.wantsTurn = true
            waiting += 1
        }
        guard stream.place == .none else { return }
        stream.deficit = Self.quantum
        stream.place = .sparse
        sparse.append(stream)
    }

    /// The stream has something to send that must not wait for others.
    mutating func addFirst(_ stream: QuicStream) {
        remove(stream)
        stream.wantsTurn = true
        waiting += 1
        stream.deficit = Self.quantum
        stream.place = .sparse
        sparse.prepend(stream)
    }

    /// The stream whose turn it is, nil when none has anything to send.
    mutating func next() -> QuicStream? {
        guard waiting > 0 else { return nil }
        while let stream = sparse.first ?? bulk.first {
            if !stream.wantsTurn {
                unlink(stream)
            } else if stream.deficit <= 0 {
                stream.deficit += Self.quantum
                moveBehindBulk(stream)
            } else {
                return stream
            }
        }
        return nil
    }

    /// The stream has sent so many bytes.
    mutating func charge(_ stream: QuicStream, _ count: Int) { stream.deficit -= count + Self.turnCost }

    /// The stream has sent all that it had.
    mutating func rest(_ stream: QuicStream) {
        guard stream.wantsTurn else { return }
        stream.wantsTurn = false
        waiting -= 1
        guard stream.place == .sparse else { return }
        if bulk.isEmpty { unlink(stream) } else { moveBehindBulk(stream) }
    }

    /// The stream is over, or must wait for something else than its turn.
    mutating func remove(_ stream: QuicStream) {
        if stream.wantsTurn {
            stream.wantsTurn = false
            waiting -= 1
        }
        unlink(stream)
    }

    private mutating func moveBehindBulk(_ stream: QuicStream) {
        unlink(stream)
        stream.place = .bulk
        bulk.append(stream)
    }

    private mutating func unlink(_ stream: QuicStream) {
        switch stream.place {
        case .none: return
        case .sparse: sparse.remove(stream)
        case .bulk: bulk.remove(stream)
        }
        stream.place = .none
    }
}

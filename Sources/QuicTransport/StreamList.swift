/// A list linked through the streams themselves. A stream is in one list at most; the caller knows in which.
struct StreamList {
    private(set) unowned(unsafe) var first: QuicStream?
    private unowned(unsafe) var last: QuicStream?

    var isEmpty: Bool { first == nil }

    mutating func append(_ stream: QuicStream) {
        stream.previousInTurn = last
        stream.nextInTurn = nil
        if let last { last.nextInTurn = stream } else { first = stream }
        last = stream
    }

    mutating func prepend(_ stream: QuicStream) {
        stream.previousInTurn = nil
        stream.nextInTurn = first
        if let first { first.previousInTurn = stream } else { last = stream }
        first = stream
    }

    mutating func remove(_ stream: QuicStream) {
        if let previous = stream.previousInTurn {
            previous.nextInTurn = stream.nextInTurn
        } else {
            first = stream.nextInTurn
        }
        if let next = stream.nextInTurn {
            next.previousInTurn = stream.previousInTurn
        } else {
            last = stream.previousInTurn
        }
        stream.nextInTurn = nil
        stream.previousInTurn = nil
    }
}

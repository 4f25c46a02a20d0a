/// The streams that have something to send, in the order of their turns: a list linked through the streams, so that
/// thousands of idle streams cost nothing.
struct ReadyList {
    private(set) unowned(unsafe) var first: QuicStream?
    private unowned(unsafe) var last: QuicStream?

    /// More than one stream is ready.
    var hasSeveral: Bool { first?.nextReady != nil }

    mutating func append(_ stream: QuicStream) {
        guard !stream.isReady else { return }
        stream.isReady = true
        stream.previousReady = last
        stream.nextReady = nil
        if let last { last.nextReady = stream } else { first = stream }
        last = stream
    }

    mutating func prepend(_ stream: QuicStream) {
        guard !stream.isReady else { return }
        stream.isReady = true
        stream.previousReady = nil
        stream.nextReady = first
        if let first { first.previousReady = stream } else { last = stream }
        first = stream
    }

    mutating func remove(_ stream: QuicStream) {
        guard stream.isReady else { return }
        stream.isReady = false
        if let previous = stream.previousReady { previous.nextReady = stream.nextReady } else { first = stream.nextReady }
        if let next = stream.nextReady { next.previousReady = stream.previousReady } else { last = stream.previousReady }
        stream.nextReady = nil
        stream.previousReady = nil
    }

    /// The first stream had its turn.
    mutating func rotate() {
        guard hasSeveral, let stream = first else { return }
        remove(stream)
        append(stream)
    }
}

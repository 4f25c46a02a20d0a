/// A head and a body of the pattern, on their way out. Made once and filled again for each message.
struct OutgoingMessage {
    private(set) var head: [UInt8] = []
    private var place: UInt64 = 0
    private var bodySize: UInt64 = 0
    private var sent: UInt64 = 0

    var isSent: Bool { sent == UInt64(head.count) + bodySize }

    /// `POST /SIZE/PLACE`: a body of the pattern from `place` on, and the wish for an answer of `responseSize` bytes from
    /// there, too.
    mutating func setRequest(requestSize: Int, responseSize: Int, place: UInt64, closes: Bool) {
        head.removeAll(keepingCapacity: true)
        head.append(text: "POST /")
        head.append(decimal: UInt64(responseSize))
        head.append(text: "/")
        head.append(decimal: place)
        head.append(text: " HTTP/1.1\r\nHost: load\r\nContent-Length: ")
        head.append(decimal: UInt64(requestSize))
        head.append(text: closes ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n")
        start(place: place, bodySize: UInt64(requestSize))
    }

    mutating func setResponse(_ line: StaticString, size: UInt64, place: UInt64) {
        head.removeAll(keepingCapacity: true)
        head.append(text: "HTTP/1.1 ")
        head.append(text: line)
        head.append(text: "\r\nContent-Length: ")
        head.append(decimal: size)
        head.append(text: "\r\n\r\n")
        start(place: place, bodySize: size)
    }

    private mutating func start(place: UInt64, bodySize: UInt64) {
        self.place = place
        self.bodySize = bodySize
        sent = 0
    }

    /// Offers what is left to `write`, which returns how many bytes it takes, until it takes fewer than offered.
    mutating func send(_ pattern: Pattern, write: (UnsafeRawBufferPointer) -> Int) {
        while !isSent {
            let taken: Int
            let offered: Int
            let headSize = UInt64(head.count)
            if sent < headSize {
                offered = Int(headSize - sent)
                taken = head.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[Int(sent)...])) }
            } else {
                let done = sent - headSize
                let slice = pattern.slice(at: place &+ done, limit: Int(clamping: bodySize - done))
                offered = slice.count
                taken = write(slice)
            }
            sent += UInt64(taken)
            if taken < offered { return }
        }
    }
}

/// A body of the pattern that comes in, of a size that the head told.
struct IncomingBody {
    private var place: UInt64 = 0
    private var left = 0
    private(set) var wrong = 0

    var isComplete: Bool { left == 0 }

    mutating func begin(size: Int, place: UInt64) {
        left = size
        self.place = place
        wrong = 0
    }

    /// Takes the body's bytes off the front of `input`.
    mutating func take(_ input: inout UnsafeRawBufferPointer, _ pattern: Pattern) {
        let part = UnsafeRawBufferPointer(rebasing: input[..<min(left, input.count)])
        wrong += pattern.mismatches(in: part, at: place)
        place &+= UInt64(part.count)
        left -= part.count
        input = UnsafeRawBufferPointer(rebasing: input[part.count...])
    }
}

import Primitives

/// One connection at the target, and what it answers. It knows no sockets: `penstock load serve` and the tests join it to
/// theirs.
///
/// While `wantsBytes`, give it what has come, and `finishReceiving` after the last; then `write`, until it offers nothing.
public final class TargetFlow {
    /// What a request is answered whose bytes were not those it announced.
    static let wrongBytesStatus = 422
    /// The longest answer that may be asked for, in bytes.
    static let maximumAnswer: UInt64 = 1 << 40

    private let service: any ServiceFlow

    /// - Parameters:
    ///   - place: where in the pattern a source begins.
    ///   - pool: what an echo keeps bytes in that could not be written yet.
    public init(_ service: TargetService, pattern: Pattern, place: UInt64, pool: BlockPool) {
        self.service =
            switch service {
            case .echo: EchoService(pool: pool)
            case .sink: SinkService(pattern: pattern)
            case .source: SourceService(pattern: pattern, place: place)
            case .requests: RequestService(pattern: pattern)
            }
    }

    /// Bytes are taken now. False while earlier ones wait to be answered: what it does not take, the sender's window
    /// holds back.
    public var wantsBytes: Bool { service.wantsBytes }

    /// - Returns: false when the connection is to be reset: these bytes cannot be answered.
    public func receive(_ bytes: UnsafeRawBufferPointer) -> Bool { service.receive(bytes) }

    /// The other end has finished.
    public func finishReceiving() { service.finishReceiving() }

    /// Offers what is to be written to `write`, which returns how many bytes it took, until it takes fewer than offered
    /// or there is no more.
    public func write(_ write: (UnsafeRawBufferPointer) -> Int) { service.write(write) }

    /// Everything is written, and nothing more comes: time to finish the other direction as well.
    public var isDone: Bool { service.isDone }

    /// Bytes that were not what they should be, so far.
    public var wrongBytes: UInt64 { service.wrongBytes }
}

/// What one port of the target does with a connection.
protocol ServiceFlow: AnyObject {
    var wantsBytes: Bool { get }
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool
    func finishReceiving()
    func write(_ write: (UnsafeRawBufferPointer) -> Int)
    var isDone: Bool { get }
    var wrongBytes: UInt64 { get }
}

/// Sends back what it gets.
final class EchoService: ServiceFlow {
    private var queue: BlockQueue
    private var isFinished = false

    init(pool: BlockPool) { queue = BlockQueue(pool: pool) }

    /// One read's worth waits at most.
    var wantsBytes: Bool { queue.isEmpty }

    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool { queue.append(bytes) == bytes.count }

    func finishReceiving() { isFinished = true }

    func write(_ write: (UnsafeRawBufferPointer) -> Int) {
        while !queue.isEmpty {
            var offered = 0
            var taken = 0
            queue.forEachRegion { region in
                let count = write(region)
                offered += region.count
                taken += count
                return count == region.count
            }
            queue.consume(taken)
            if taken < offered { return }
        }
    }

    var isDone: Bool { isFinished && queue.isEmpty }
    var wrongBytes: UInt64 { 0 }
}

/// Takes everything, and says at the end what came.
final class SinkService: ServiceFlow {
    private let pattern: Pattern
    private var checker = PatternChecker()
    private var report: [UInt8]?
    private var written = 0

    init(pattern: Pattern) { self.pattern = pattern }

    var wantsBytes: Bool { true }

    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        checker.check(bytes, against: pattern)
        return true
    }

    func finishReceiving() { report = SinkReport(count: checker.count, wrong: checker.wrong).encode() }

    func write(_ write: (UnsafeRawBufferPointer) -> Int) {
        guard let report else { return }
        while written < report.count {
            let taken = report.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[written...])) }
            written += taken
            if written < report.count { return }
        }
    }

    var isDone: Bool { written == SinkReport.byteCount }
    var wrongBytes: UInt64 { checker.wrong }
}

/// Sends the pattern without end, and takes no notice of what comes.
final class SourceService: ServiceFlow {
    private let pattern: Pattern
    private var sender: PatternSender
    private var isFinished = false

    init(pattern: Pattern, place: UInt64) {
        self.pattern = pattern
        sender = PatternSender(place: place)
    }

    var wantsBytes: Bool { true }
    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool { true }
    func finishReceiving() { isFinished = true }

    func write(_ write: (UnsafeRawBufferPointer) -> Int) {
        if !isFinished { sender.send(pattern, write: write) }
    }

    var isDone: Bool { isFinished }
    var wrongBytes: UInt64 { 0 }
}

/// Answers requests of the form `POST /SIZE/PLACE`, one after the other; see docs/LOAD.md.
final class RequestService: ServiceFlow {
    private enum Progress {
        case head
        /// The request's body; the answer it wants follows.
        case body(answer: UInt64, place: UInt64, closes: Bool)
        case answer(closes: Bool)
        case end
    }

    private let pattern: Pattern
    private var progress = Progress.head
    private var head = HTTPHead()
    private var body = IncomingBody()
    private var answer = OutgoingMessage()
    private(set) var wrongBytes: UInt64 = 0

    init(pattern: Pattern) { self.pattern = pattern }

    /// Between requests and in the midst of one; not while an answer waits: no request follows before it is read.
    var wantsBytes: Bool {
        switch progress {
        case .head, .body: true
        case .answer, .end: false
        }
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            switch progress {
            case .head:
                switch head.take(&rest) {
                case .incomplete: return true
                case .tooLong: refuse()
                case .complete: begin()
                }
            case .body:
                body.take(&rest, pattern)
            // What follows a request without waiting for its answer (pipelining) is not taken.
            case .answer: return false
            case .end: return true
            }
            endBody()
        }
        return true
    }

    private func begin() {
        defer { head.clear() }
        guard let wanted = head.wantedAnswer, wanted.size <= TargetFlow.maximumAnswer, let size = head.contentLength
        else { return refuse() }
        body.begin(size: size, place: wanted.place)
        progress = .body(answer: wanted.size, place: wanted.place, closes: head.closes)
    }

    private func endBody() {
        guard case .body(let size, let place, let closes) = progress, body.isComplete else { return }
        if body.wrong > 0 {
            wrongBytes += UInt64(body.wrong)
            answer.setResponse("422 Wrong Bytes", size: 0, place: 0)
        } else {
            answer.setResponse("200 OK", size: size, place: place)
        }
        progress = .answer(closes: closes)
    }

    private func refuse() {
        answer.setResponse("400 Bad Request", size: 0, place: 0)
        progress = .answer(closes: true)
    }

    func finishReceiving() {
        switch progress {
        case .head, .body, .end: progress = .end
        case .answer: progress = .answer(closes: true)
        }
    }

    func write(_ write: (UnsafeRawBufferPointer) -> Int) {
        guard case .answer(let closes) = progress else { return }
        answer.send(pattern, write: write)
        if answer.isSent { progress = closes ? .end : .head }
    }

    var isDone: Bool {
        if case .end = progress { true } else { false }
    }
}

import FlowNAT
import Primitives

/// One connection and what its service has still to do. The server acts on the flow; this only keeps the books.
final class Connection {
    let id: FlowID
    let service: Service

    /// The client's FIN has come.
    var isFinishedByClient = false
    /// We have finished or reset: nothing more is written.
    var isFinishedByUs = false
    /// Is in the server's list of connections to look at.
    var isDue = false
    /// The earliest entry in the server's heap of deadlines.
    var scheduled: Instant?
    /// When the service wants to be woken.
    var wakeUp: Instant?

    /// The first 16 bytes that came, where the service has a request.
    private(set) var request: (first: UInt64, second: UInt64) = (0, 0)
    private var requestCount = 0
    var hasWholeRequest: Bool { !service.hasRequest || requestCount == Self.requestSize }
    static let requestSize = 16

    /// What is to be echoed.
    var inbox: BlockQueue
    var digest = StreamDigest()
    /// What is sent, or what is expected to come.
    var stream: SeededStream
    /// Bytes of `stream` that are not written yet.
    var unwritten: UInt64 = 0
    /// Something else came than `stream`.
    var isCorrupt = false
    /// Bytes taken, and neither released nor kept back.
    var releasable = 0
    /// Bytes taken that a slow reader has not read yet.
    var unread = 0

    init(id: FlowID, service: Service, pool: BlockPool) {
        self.id = id
        self.service = service
        inbox = BlockQueue(pool: pool)
        stream = SeededStream(seed: 0)
        if service == .chargen { unwritten = .max }
    }

    /// Takes the flow's next bytes; fewer than given when there is no memory for them.
    func take(_ bytes: UnsafeRawBufferPointer, now: Instant) -> Int {
        var bytes = bytes
        var taken = 0
        if !hasWholeRequest {
            taken = takeRequest(bytes, now: now)
            bytes = UnsafeRawBufferPointer(rebasing: bytes[taken...])
            releasable += taken
        }
        switch service {
        case .echo:
            return taken + inbox.append(bytes)
        case .sink:
            digest.add(bytes)
            releasable += bytes.count
        case .slowSink, .pausedSink:
            digest.add(bytes)
            unread += bytes.count
            if wakeUp == nil, unread > 0 { wakeUp = now + Service.slowInterval }
        case .finishThenSink:
            if !stream.matches(bytes) { isCorrupt = true }
            releasable += bytes.count
        case .chargen, .source, .sourceThenReset, .sourceAfterFinish, .refuse, .neverAccept, .hostUnreachable,
            .prohibited, .resetAtOnce, .simultaneousClose:
            releasable += bytes.count
        }
        return taken + bytes.count
    }

    private func takeRequest(_ bytes: UnsafeRawBufferPointer, now: Instant) -> Int {
        let count = min(bytes.count, Self.requestSize - requestCount)
        for byte in bytes[..<count] {
            if requestCount < 8 {
                request.first = request.first << 8 | UInt64(byte)
            } else {
                request.second = request.second << 8 | UInt64(byte)
            }
            requestCount += 1
        }
        if hasWholeRequest {
            switch service {
            case .pausedSink:
                wakeUp = now + .milliseconds(Int64(clamping: request.first))
            case .finishThenSink:
                stream = SeededStream(seed: request.first)
            case .source, .sourceThenReset, .sourceAfterFinish:
                stream = SeededStream(seed: request.first)
                unwritten = request.second
            case .echo, .sink, .chargen, .slowSink, .refuse, .neverAccept, .hostUnreachable, .prohibited, .resetAtOnce,
                .simultaneousClose:
                break
            }
        }
        return count
    }
}

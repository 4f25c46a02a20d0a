import FlowNAT
import Primitives

/// What flowtun does with a connection: the destination port says.
///
/// A *request* is what the client sends first: two numbers of eight bytes, highest first. For most it is a seed and a
/// count of bytes. An *account* is what flowtun answers at the client's FIN: the count of bytes that it took and their
/// digest, in the same form.
enum Service: UInt16, CaseIterable {
    /// Sends back all that comes; UDP has this service too.
    case echo = 7
    /// Takes all, and answers with an account.
    case sink = 9
    /// Sends without end, the stream of seed 0, until the client resets or finishes.
    case chargen = 19
    /// Request; sends that many bytes of that stream, fewer when the client finishes first.
    case source = 20
    /// Request; sends that many bytes, then resets when they are acknowledged.
    case sourceThenReset = 21
    /// Request; sends as many bytes, but only after the client's FIN: half closed.
    case sourceAfterFinish = 22
    /// Request; finishes at once, then compares what comes with that stream: half closed the other way.
    case finishThenSink = 23
    /// A sink that reads 64 KiB in 20 ms.
    case slowSink = 24
    /// Request: milliseconds to wait, and zero. A sink that reads nothing for so long.
    case pausedSink = 25
    /// RST in place of the SYN-ACK.
    case refuse = 26
    /// Nothing in place of the SYN-ACK, and no decision.
    case neverAccept = 27
    case hostUnreachable = 28
    case prohibited = 29
    /// RST as soon as the connection stands.
    case resetAtOnce = 30
    /// Finishes 5 ms after the connection stands, when a client that does the same some milliseconds later crosses it.
    case simultaneousClose = 31

    /// How long after `established` the connection of `simultaneousClose` is finished.
    static let finishDelay: Interval = .milliseconds(5)
    /// What a slow sink reads each time, bytes, and how often.
    static let slowStep = 64 << 10
    static let slowInterval: Interval = .milliseconds(20)

    var hasRequest: Bool {
        switch self {
        case .source, .sourceThenReset, .sourceAfterFinish, .finishThenSink, .pausedSink: true
        case .echo, .sink, .chargen, .slowSink, .refuse, .neverAccept, .hostUnreachable, .prohibited, .resetAtOnce,
            .simultaneousClose:
            false
        }
    }

    /// What becomes of the SYN.
    enum Answer {
        case accept, ignore
        case reject(RejectReason)
    }

    var answer: Answer {
        switch self {
        case .refuse: .reject(.refused)
        case .hostUnreachable: .reject(.hostUnreachable)
        case .prohibited: .reject(.prohibited)
        case .neverAccept: .ignore
        case .echo, .sink, .chargen, .source, .sourceThenReset, .sourceAfterFinish, .finishThenSink, .slowSink,
            .pausedSink, .resetAtOnce, .simultaneousClose:
            .accept
        }
    }
}

import Primitives

/// How much may be outstanding towards the application: NewReno (RFC 5681 with byte counting of RFC 3465).
///
/// Across a TUN nothing is lost, so this opens at once and stays out of the way; with a LAN behind the client it is what
/// keeps a lossy last hop from collapsing.
struct CongestionWindow {
    private let segment: Int
    private(set) var window: Int
    private var threshold = Int.max
    /// Bytes acknowledged since the window last grew in congestion avoidance.
    private var credit = 0

    /// Nothing needs a larger window than the peer can ever advertise (RFC 7323, section 2.3: 2^30).
    private static let limit = 1 << 30

    init(segment: Int) {
        self.segment = segment
        window = 10 * segment  // RFC 6928
    }

    mutating func acknowledged(_ bytes: Int, wasLimited: Bool) {
        guard wasLimited else { return }  // RFC 7661: a window that was not used proves nothing
        if window < threshold {
            window = min(window + bytes, Self.limit)
        } else {
            credit += bytes
            if credit >= window {
                credit -= window
                window = min(window + segment, Self.limit)
            }
        }
    }

    /// Three duplicate ACKs: half of what is in flight (RFC 5681, section 3.2).
    mutating func fastRetransmit(inFlight: Int) {
        threshold = max(inFlight / 2, 2 * segment)
        window = threshold + 3 * segment
    }

    /// Congestion was signalled without a loss (RFC 3168, section 6.1.2): the same reduction.
    mutating func congestionEvent(inFlight: Int, now: Instant) {
        threshold = max(inFlight / 2, 2 * segment)
        window = min(window, threshold)
        credit = 0
    }

    /// Each further duplicate ACK says that a segment has left the network.
    mutating func inflate() { window = min(window + segment, Self.limit) }

    /// A partial ACK: what it acknowledges has left the network, and one segment follows (RFC 6582, section 3.2, step 3).
    mutating func partialDeflate(_ bytes: Int) {
        window = max(max(window - bytes, 0) + (bytes >= segment ? segment : 0), segment)
    }

    mutating func deflate() { window = min(window, threshold) }

    /// - Parameter inFlight: all that was sent and not acknowledged, so that a second timeout for the same flight leaves
    ///   the threshold as it is (RFC 5681, section 3.1).
    mutating func timeout(inFlight: Int) {
        threshold = max(inFlight / 2, 2 * segment)
        window = segment
        credit = 0
    }
}

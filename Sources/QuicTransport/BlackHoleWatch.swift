import Primitives

/// Notices that the path carries large packets no more (RFC 8899, section 4.3): a route has changed, and routers that drop what
/// does not fit say nothing. ngtcp2 0.12 probes once for how large packets may be, and never doubts it: small packets would
/// keep such a connection alive, and no transfer on it would ever go on.
///
/// Packets then stay at the size that every path carries, until it is time to try again: it may have been a short outage.
struct BlackHoleWatch {
    /// Probe timeouts, and the time at least, in which something of what left in large packets must have arrived.
    static let patience: Int64 = 4
    static let shortestPatience = Interval.seconds(1)
    /// When larger packets are tried again, and at the longest: twice as long after each time that it was in vain.
    static let firstRetry = Interval.seconds(60)
    static let longestRetry = Interval.seconds(3_600)
    /// Bytes acknowledged at once that can only have come in a large packet, or in many small ones.
    static let large = 1_000

    /// Packets are to stay at 1200 bytes.
    private(set) var isSmall = false
    /// Since when large packets wait for an answer.
    private var unanswered: Instant?
    private var retryAt: Instant?
    private var retryAfter = firstRetry

    /// A packet of more than 1200 bytes has left.
    mutating func sentLarge(now: Instant) { if unanswered == nil { unanswered = now } }

    /// So many bytes were acknowledged by one datagram of the peer.
    mutating func acknowledged(_ count: Int) { if count >= Self.large { unanswered = nil } }

    /// All that has left is acknowledged or given up.
    mutating func nothingInFlight() { unanswered = nil }

    /// - Returns: whether large packets have just been found not to arrive.
    mutating func check(probeTimeout: Interval, now: Instant) -> Bool {
        if isSmall {
            guard let retryAt, retryAt <= now else { return false }
            isSmall = false
            unanswered = nil
        }
        guard let unanswered, now - unanswered > max(probeTimeout * Self.patience, Self.shortestPatience) else {
            return false
        }
        isSmall = true
        self.unanswered = nil
        // What went well for longer than the last pause begins anew.
        if let retryAt, now - retryAt > retryAfter { retryAfter = Self.firstRetry }
        retryAt = now + retryAfter
        retryAfter = min(retryAfter * 2, Self.longestRetry)
        return true
    }
}

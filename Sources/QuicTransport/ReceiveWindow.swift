import Primitives

/// How far a peer may send ahead of what was passed on (RFC 9000, section 4): a window that grows with the path.
///
/// What was passed on in a round trip is what the path carries. On a path that loses, a multiple of that lies behind the gap while
/// the lost packet is on its way again, and not a byte is passed on meanwhile; a window that asks for a quarter of itself in two
/// round trips grows to between eight and sixteen times what the path holds, and one that asks for all of itself not at all.
struct ReceiveWindow {
    /// The part of the window that must be passed on within so many round trips for it to double.
    static let growthDivisor = 4
    static let growthRoundTrips: Int64 = 2

    private(set) var size: Int
    /// Bytes that the window may grow to. A window above a limit that became lower shrinks to it: what is passed on is not
    /// granted anew, since a grant cannot be taken back (RFC 9000, section 4.1).
    var limit: Int
    /// Passed on since the last measurement began.
    private var passedOn = 0
    private var began: Instant

    /// - Parameters:
    ///   - initial: bytes that the peer was granted at the start.
    ///   - limit: bytes that the window may grow to.
    init(initial: Int, limit: Int, now: Instant) {
        size = initial
        self.limit = limit
        began = now
    }

    /// Half of the window is taken by bytes that are not passed on.
    /// - Returns: bytes to grant now.
    mutating func makeRoom() -> Int {
        guard size < limit else { return 0 }
        let growth = min(size, limit - size)
        size += growth
        return growth
    }

    /// Bytes were passed on.
    /// - Parameter roundTrip: asked for only when a measurement ends.
    /// - Returns: bytes to grant now.
    mutating func passOn(_ count: Int, now: Instant, roundTrip: () -> Interval) -> Int {
        guard size < limit else {
            let excess = min(count, size - limit)
            size -= excess
            return count - excess
        }
        passedOn += count
        guard passedOn >= size / Self.growthDivisor else { return count }
        let isUsed = now - began <= roundTrip() * Self.growthRoundTrips
        passedOn = 0
        began = now
        guard isUsed else { return count }
        let growth = min(size, limit - size)
        size += growth
        return count + growth
    }
}

import Primitives

/// Which addresses a server lets a connection's datagrams come from: one change of the path at a time.
///
/// A client may move (RFC 9000, section 9), and a NAT may move it. ngtcp2 0.12.1 takes that in its stride as long as
/// the path holds until its validation is over. When it changes again before, the library ends the whole process with
/// an assertion: if the discovery of the path's MTU has begun by then, and if the peer has left 16 retirements of
/// connection IDs without an acknowledgement. Both are in the hands of any client, with no key needed.
///
/// Only a datagram that a key of the connection opens counts as a change: whoever has seen no more than a connection ID
/// must not lock the gate.
///
/// So after each change the datagrams of all other paths are dropped for a while, as if the network had lost them. A
/// client whose address changes twice within that time stalls for the rest of it, and goes on.
struct PathGate: Equatable {
    struct Path: Equatable {
        var remote: Endpoint
        var local: Endpoint
    }

    /// The path that ngtcp2 sends on.
    private(set) var current: Path
    /// A new path that was let in, and that ngtcp2 may move to.
    private(set) var guest: Path?
    /// Nobody else is let in before this.
    private(set) var lockedUntil: Instant?

    init(current: Path) { self.current = current }

    /// Whether anything but the current path is in play.
    var isActive: Bool { lockedUntil != nil }

    /// Asks for a datagram to be let in.
    /// - Parameter patience: longer than ngtcp2 takes to validate a path, or to give up.
    mutating func admits(_ path: Path, now: Instant, patience: Interval) -> Bool {
        if path == current || path == guest { return true }
        guard lockedUntil == nil else { return false }
        guest = path
        lockedUntil = now + patience
        return true
    }

    /// Tells where ngtcp2 sends now.
    /// - Returns: whether that is another path than before.
    mutating func moved(to path: Path, now: Instant, patience: Interval) -> Bool {
        guard path != current else { return false }
        current = path
        guest = nil
        lockedUntil = now + patience
        return true
    }

    /// Opens the gate when its time has come and ngtcp2 is about to forget the validation, which it does as it writes.
    /// - Parameter canWrite: whether ngtcp2 may send anything: with a full congestion window it does not even look.
    mutating func handleTimeout(now: Instant, canWrite: Bool) {
        guard let until = lockedUntil, until <= now else { return }
        guard canWrite else {
            lockedUntil = now + Self.retryDelay
            return
        }
        guest = nil
        lockedUntil = nil
    }

    /// How long to wait for room in the congestion window.
    static let retryDelay = Interval.seconds(1)
    /// What ngtcp2 takes for a probe timeout on a path it knows nothing of: from its initial round trip of 333 ms.
    static let initialProbeTimeout = Interval.milliseconds(1_100)
}

import LinuxIO
import Logging
import Primitives
import Server

/// Tells what addresses the kernel delivers to this machine: at once, and when that has changed.
final class OwnAddressWatch {
    /// Changes come in bursts, and on a router all day long: the addresses are read this seldom at most.
    private static let pause = Interval.milliseconds(200)

    private let netlink: Netlink
    private let logger = Logger(label: "server")
    private let tell: (PrefixSet) -> Void
    private var monitor: NetworkMonitor?
    private var known: PrefixSet?
    private var notBefore = Instant(nanoseconds: 0)
    /// When `readIfDue` is to be called.
    private(set) var nextDeadline: Instant?

    /// - Parameter tell: called on the loop's thread, the first time before this returns.
    init(loop: EventLoop, tell: @escaping (PrefixSet) -> Void) throws(SystemError) {
        self.tell = tell
        netlink = try Netlink()
        let monitor = try NetworkMonitor { [unowned self] in nextDeadline = max(MonotonicClock.now, notBefore) }
        try loop.add(monitor.descriptor, monitor, interest: .readable)
        self.monitor = monitor
        // The monitor listens already: what changes from here on is told.
        take(try netlink.ownAddresses())
    }

    func readIfDue(now: Instant) {
        guard let due = nextDeadline, due <= now else { return }
        nextDeadline = nil
        notBefore = now + Self.pause
        do {
            take(try netlink.ownAddresses())
        } catch {
            // What is known stays, and the question is asked again.
            logger.warning("the server's own addresses cannot be read", metadata: ["error": "\(error)"])
            nextDeadline = notBefore
        }
    }

    private func take(_ prefixes: [IPPrefix]) {
        let addresses = PrefixSet(prefixes)
        guard addresses != known else { return }
        known = addresses
        logger.debug("own addresses", metadata: ["count": "\(prefixes.count)"])
        tell(addresses)
    }
}

import Glibc
import LinuxIO
import Primitives
import QuicTransport

/// All connections of one attack, moved on together while the attack waits for something. A script reads best from above to
/// below, so there is no event loop: whoever waits turns the crank.
final class Network {
    /// How long the server may take for anything, the time that a lost packet costs included.
    static let patience: Interval = .seconds(5)

    private var connections: [Connection] = []

    func add(_ connection: Connection) { connections.append(connection) }

    /// - Returns: false when `condition` did not become true in time.
    func wait(until condition: () throws(Failure) -> Bool) throws(Failure) -> Bool {
        let end = MonotonicClock.now + Self.patience
        while true {
            for connection in connections { connection.flush() }
            if try condition() { return true }
            let now = MonotonicClock.now
            guard now < end else { return false }
            sleep(until: connections.reduce(end) { earliest($0, $1.connection.nextDeadline)! }, now: now)
            for connection in connections { connection.read() }
        }
    }

    /// Waits for what must come, whatever the attack does.
    func need(_ what: String, until condition: () throws(Failure) -> Bool) throws(Failure) {
        guard try wait(until: condition) else { throw .trouble("waited in vain for \(what)") }
    }

    /// Sleeps until a socket is readable, or the time has come.
    private func sleep(until deadline: Instant, now: Instant) {
        var sockets = connections.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        let milliseconds = max(0, (deadline - now).nanoseconds + 999_999) / 1_000_000
        _ = poll(&sockets, nfds_t(sockets.count), Int32(clamping: milliseconds))
    }

    /// Tells the server, so that it need not wait for its idle timeout.
    func closeAll() {
        for connection in connections { connection.close() }
    }
}

import Glibc
import LinuxIO
import Primitives

/// All connections of one attack, moved on together while the attack waits for something. A script reads best from above to
/// below, so there is no event loop: whoever waits turns the crank.
final class Network {
    /// How long the server may take for anything, the time that a lost packet costs included.
    static let patience: Interval = .seconds(5)
    /// Sleeps no longer than this, whatever the deadlines say.
    private static let longestSleep: Interval = .seconds(1)

    private var parties: [any Party] = []

    func add(_ party: any Party) { parties.append(party) }

    /// - Returns: false when `condition` did not become true in time.
    func wait(until condition: () throws(Failure) -> Bool) throws(Failure) -> Bool {
        let end = MonotonicClock.now + Self.patience
        while true {
            for party in parties { party.flush() }
            if try condition() { return true }
            guard MonotonicClock.now < end else { return false }
            sleepAndRead()
        }
    }

    /// Waits for what must come, whatever the attack does.
    func need(_ what: String, until condition: () throws(Failure) -> Bool) throws(Failure) {
        guard try wait(until: condition) else { throw .trouble("waited in vain for \(what)") }
    }

    /// Until the process is ended.
    func run() -> Never {
        while true {
            for party in parties { party.flush() }
            sleepAndRead()
        }
    }

    /// Sleeps until a socket is readable, or somebody's time has come.
    private func sleepAndRead() {
        let now = MonotonicClock.now
        var wakeUp = now + Self.longestSleep
        for party in parties { if let deadline = party.nextDeadline { wakeUp = min(wakeUp, deadline) } }
        var sockets = parties.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        let milliseconds = max(0, (wakeUp - now).nanoseconds + 999_999) / 1_000_000
        _ = poll(&sockets, nfds_t(sockets.count), Int32(clamping: milliseconds))
        for party in parties { party.read() }
    }

    /// Tells the server, so that it need not wait for its idle timeout.
    func closeAll() {
        for party in parties { party.close() }
    }
}

import CLinux
import Synchronization

/// Jobs that other threads hand to the loop's thread.
public final class Mailbox: Sendable {
    /// The most jobs that wait.
    public static let limit = 4096

    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var refused = 0
    }

    private let wakeup: Descriptor
    private let state = Mutex(State())

    init() throws(SystemError) { wakeup = try Descriptor(clinux_eventfd(), "eventfd") }

    var descriptor: Int32 { wakeup.number }

    /// Jobs not taken because `limit` of them were waiting.
    public var refused: Int { state.withLock { $0.refused } }

    /// Runs `job` on the loop's thread, in the order of posting.
    /// - Returns: false when the mailbox is full; the job is not kept.
    @discardableResult
    public func post(_ job: @escaping @Sendable () -> Void) -> Bool {
        let waiting: Int? = state.withLock { state in
            guard state.jobs.count < Self.limit else {
                state.refused += 1
                return nil
            }
            state.jobs.append(job)
            return state.jobs.count
        }
        guard let waiting else { return false }
        // Later jobs find the loop awake already.
        if waiting == 1 { clinux_eventfd_signal(wakeup.number) }
        return true
    }

    /// Runs what is waiting now; what these jobs post runs in the next turn.
    func runAll() {
        clinux_eventfd_drain(wakeup.number)
        let jobs = state.withLock { state in
            let jobs = state.jobs
            state.jobs = []
            return jobs
        }
        for job in jobs { job() }
    }
}

final class MailboxHandler: EventHandler {
    private let mailbox: Mailbox

    init(_ mailbox: Mailbox) { self.mailbox = mailbox }

    func ready(_ readiness: Readiness) { mailbox.runAll() }
}

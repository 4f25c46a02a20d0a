import CLinux
import Synchronization

/// Jobs that other threads hand to the loop's thread.
public final class Mailbox: Sendable {
    /// The most jobs that wait, besides one for each topic.
    public static let limit = 4096

    /// Something of which the newest job alone counts, such as settings. There are as many as a byte can tell apart.
    public struct Topic: Hashable, Sendable {
        private let number: UInt8
        public init(_ number: UInt8) { self.number = number }
    }

    private struct State {
        var jobs: [@Sendable () -> Void] = []
        /// In the order of posting, one for each topic at most.
        var newest: [(topic: Topic, job: @Sendable () -> Void)] = []
        var refused = 0
        var replaced = 0

        var waiting: Int { jobs.count + newest.count }
    }

    private let wakeup: Descriptor
    private let state = Mutex(State())

    init() throws(SystemError) { wakeup = try Descriptor(clinux_eventfd(), "eventfd") }

    var descriptor: Int32 { wakeup.number }

    /// Jobs not taken because `limit` of them were waiting.
    public var refused: Int { state.withLock { $0.refused } }

    /// Jobs of a topic that another one took the place of before they ran.
    public var replaced: Int { state.withLock { $0.replaced } }

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
            return state.waiting
        }
        guard let waiting else { return false }
        wake(waiting)
        return true
    }

    /// Runs `job` on the loop's thread, behind the others. One of the same topic that waits still is dropped for it; so it has a place
    /// however many jobs wait, and is never lost.
    public func post(newest job: @escaping @Sendable () -> Void, of topic: Topic) {
        let waiting = state.withLock { state in
            if let former = state.newest.firstIndex(where: { $0.topic == topic }) {
                state.newest.remove(at: former)
                state.replaced += 1
            }
            state.newest.append((topic, job))
            return state.waiting
        }
        wake(waiting)
    }

    /// Later jobs find the loop awake already.
    private func wake(_ waiting: Int) { if waiting == 1 { clinux_eventfd_signal(wakeup.number) } }

    /// Runs what is waiting now; what these jobs post runs in the next turn.
    func runAll() {
        clinux_eventfd_drain(wakeup.number)
        let (jobs, newest) = state.withLock { state in
            defer {
                state.jobs = []
                state.newest = []
            }
            return (state.jobs, state.newest)
        }
        for job in jobs { job() }
        for (_, job) in newest { job() }
    }
}

final class MailboxHandler: EventHandler {
    private let mailbox: Mailbox

    init(_ mailbox: Mailbox) { self.mailbox = mailbox }

    func ready(_ readiness: Readiness) { mailbox.runAll() }
}

import Configuration
import LinuxIO
import Primitives
import Server
import Synchronization
import Tunnel
import UserStore

/// Decides who comes in, and keeps the books of those who are in: on a thread of its own, since a password takes a tenth of a second
/// and the database may wait for the disk. The loops only hand it questions, and get the answers through their mailboxes.
final class LoginDesk: Sendable {
    typealias Decision = Result<Admission, LoginRefusal>

    /// Logins that may wait for their turn: as many as one thread hashes the passwords of in some six seconds. Whoever comes then is
    /// asked to come later.
    static let maximumWaiting = 64
    /// When those should come again, in seconds.
    static let pause: UInt32 = 5
    /// After that nobody waits for an answer any more (`ServerSettings.loginTimeout`).
    static let patience = Interval.seconds(10)

    /// What only the desk's thread may touch; the others post to its mailbox.
    private struct Inside: @unchecked Sendable {
        let books: LoginBooks
    }

    private let inside: Inside
    private let mailbox: Mailbox
    private let thread = Mutex<LoopThread?>(nil)
    private let waiting = Atomic<Int>(0)

    /// Opens the database; the thread begins with `start`.
    init(_ settings: UserSettings) throws {
        let books = try LoginBooks(settings)
        inside = Inside(books: books)
        mailbox = books.loop.mailbox
    }

    /// - Parameter kick: ends the sessions of an account in all loops; false where a loop could not be told, so that it is asked
    ///   again.
    func start(kick: @escaping @Sendable (AccountBook.Kick) -> Bool) throws(SystemError) {
        let inside = inside
        let started = try LoopThread(name: "penstock-users") { inside.books.run(kick: kick) }
        thread.withLock { $0 = started }
    }

    /// Asks for a decision. `answer` is called once, here or on the desk's thread.
    func ask(_ request: LoginRequest, answer: @escaping @Sendable (Decision) -> Void) {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= Self.maximumWaiting,
            mailbox.post({ [self] in
                inside.books.take(request) { [self] decision in
                    waiting.wrappingSubtract(1, ordering: .relaxed)
                    answer(decision)
                }
            })
        else {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            return answer(.failure(.tryLater(seconds: Self.pause)))
        }
    }

    /// Warns of keys that are users' and in the configuration's list as well.
    func check(_ clients: [ServerConfiguration.KnownClient]) {
        mailbox.post { [self] in inside.books.warnOfListed(clients) }
    }

    /// Writes a line of statistics.
    func logFigures() { mailbox.post { [self] in inside.books.logFigures() } }

    /// Writes what is left to write, and ends the thread. To be called when the loops have ended.
    func stop() {
        mailbox.post { [self] in inside.books.stop() }
        thread.withLock { $0 }?.join()
    }
}

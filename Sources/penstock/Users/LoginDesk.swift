import Configuration
import LinuxIO
import Primitives
import Server
import Synchronization
import Tunnel
import UserStore

extension Mailbox.Topic {
    fileprivate static let clients = Self(1)
    fileprivate static let figures = Self(2)
    fileprivate static let stop = Self(3)
}

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

    /// Has one loop carry out an order; false where it could not be told, so that it is asked again.
    typealias OrderTaker = @Sendable (AccountBook.Order) -> Bool

    func start(loops: [OrderTaker]) throws(SystemError) {
        let inside = inside
        let started = try LoopThread(name: "penstock-users") { inside.books.run(loops: loops) }
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
        mailbox.post(newest: { [self] in inside.books.warnOfListed(clients) }, of: .clients)
    }

    /// Writes a line of statistics.
    func logFigures() { mailbox.post(newest: { [self] in inside.books.logFigures() }, of: .figures) }

    /// Writes what is left to write, and ends the thread. To be called when the loops have ended.
    func stop() {
        mailbox.post(newest: { [self] in inside.books.stop() }, of: .stop)
        thread.withLock { $0 }?.join()
    }
}

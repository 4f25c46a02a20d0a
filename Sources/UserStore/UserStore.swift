import GRDB
import Users

/// The users of a server and what they have used: one SQLite file, which the server and `penstock user` open at the same time.
///
/// Write-ahead log: readers and a writer do not wait for each other, and a process that is killed in the midst of a
/// transaction leaves the state before it. One connection for each process: `hasChanged` then tells what others have written, and
/// not what this one has.
///
/// Every function may wait for another process (`busyTimeout`) and for the disk: none belongs into an event loop.
public final class UserStore: Sendable {
    /// Who opens it.
    public enum Purpose: Sendable {
        /// An administrator's command. What it has reported stays, even when the power fails in the next moment: every commit waits for
        /// the disk (`synchronous = FULL`).
        case administration
        /// A server, which writes usage every few seconds. A crash of the program loses nothing that was written, a crash of the
        /// machine perhaps the last seconds of usage, and nothing breaks (`synchronous = NORMAL`).
        case service
    }

    /// Seconds that it waits for another process. A transaction here takes milliseconds; what holds it longer is a backup or a person with a shell.
    public static let busyTimeout = 5.0

    private let queue: DatabaseQueue
    private let seen: SeenVersion

    /// Opens the database, and makes or renews its tables.
    /// - Parameter path: must exist, be it empty: whoever makes it says who may read it.
    public init(path: String, for purpose: Purpose) throws(UserStoreError) {
        var configuration = Configuration()
        configuration.busyMode = .timeout(Self.busyTimeout)
        configuration.journalMode = .wal
        configuration.label = "users"
        configuration.prepareDatabase { db in
            switch purpose {
            case .administration: try db.execute(sql: "PRAGMA synchronous = FULL")
            case .service: try db.execute(sql: "PRAGMA synchronous = NORMAL")
            }
        }
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
            let migrator = UserSchema.migrator
            guard try !queue.read(migrator.hasBeenSuperseded) else { throw UserStoreError.tooNew }
            try migrator.migrate(queue)
            seen = try SeenVersion(queue.read(Self.version))
        } catch {
            throw UserStoreError(error)
        }
    }

    /// Ends it in order: the write-ahead log becomes part of the file.
    public func close() { try? queue.close() }

    func read<Value>(_ body: (Database) throws -> Value) throws(UserStoreError) -> Value {
        do { return try queue.read(body) } catch { throw UserStoreError(error) }
    }

    /// All of `body`, or nothing.
    func write<Value>(_ body: (Database) throws -> Value) throws(UserStoreError) -> Value {
        do { return try queue.write(body) } catch { throw UserStoreError(error) }
    }

    // MARK: - Changes

    /// Whether another process has written since this was asked last. It costs a look into the shared memory of the log.
    public func hasChanged() throws(UserStoreError) -> Bool { seen.isNew(try read(Self.version)) }

    private static func version(_ db: Database) throws -> Int {
        try Int.fetchOne(db, sql: "PRAGMA data_version") ?? 0
    }
}

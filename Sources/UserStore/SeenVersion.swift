import Synchronization

/// The number of the database that was seen last (SQLite's `data_version`, which other connections' commits change).
final class SeenVersion: Sendable {
    private let version: Atomic<Int>

    init(_ version: Int) { self.version = Atomic(version) }

    func isNew(_ other: Int) -> Bool { version.exchange(other, ordering: .relaxed) != other }
}

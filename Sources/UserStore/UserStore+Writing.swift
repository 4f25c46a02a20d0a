import Foundation
import GRDB
import Users

extension [UInt8] {
    var databaseBlob: Data { Data(self) }
}

extension UserStore {
    // MARK: - Users

    /// - Parameter now: seconds since 1970, UTC.
    @discardableResult
    public func add(
        _ name: UserName, keys: [[UInt8]] = [], password: PasswordHash? = nil, expires: Int64? = nil,
        limits: UserLimits = UserLimits(), now: Int64
    ) throws(UserStoreError) -> User {
        try write { db in
            guard try Self.find(name, db) == nil else { throw UserStoreError.exists(name) }
            try db.execute(
                sql: "INSERT INTO user (name, password, created) VALUES (?, ?, ?)",
                arguments: [name.text, password?.description, now])
            var user = User(id: db.lastInsertedRowID, name: name, created: now)
            user.keys = keys
            user.expires = expires
            user.limits = limits
            try Self.store(user, db)
            return try Self.demand(name, db)
        }
    }

    /// Changes a user in one step, whoever else does the same. A key that is taken away ends the user's sessions.
    /// - Returns: the user as stored.
    @discardableResult
    public func change(_ name: UserName, _ body: (inout User) -> Void) throws(UserStoreError) -> User {
        try write { db in
            var user = try Self.demand(name, db)
            let keys = Set(user.keys)
            body(&user)
            try Self.store(user, db)
            if !keys.isSubset(of: user.keys) { try Self.kick(.name(name), db) }
            return try Self.demand(name, db)
        }
    }

    /// Whoever is logged in by the former one is sent away.
    /// - Parameter hash: nil takes the password away.
    public func setPassword(of name: UserName, _ hash: PasswordHash?) throws(UserStoreError) {
        try write { db in
            // Whether there was one is asked of the row as it was.
            try Self.execute(
                "UPDATE user SET kicks = kicks + (password IS NOT NULL), password = ?", [hash?.description],
                on: .name(name), db)
        }
    }

    // These ask nothing of the row but that it is there, so they hold for one that is damaged.

    /// Servers end the sessions of this user; new ones may begin.
    public func kick(_ user: UserReference) throws(UserStoreError) {
        try write { db in try Self.kick(user, db) }
    }

    private static func kick(_ user: UserReference, _ db: Database) throws {
        try execute("UPDATE user SET kicks = kicks + 1", on: user, db)
    }

    /// Whether the user is let in.
    public func setDisabled(_ user: UserReference, _ isDisabled: Bool) throws(UserStoreError) {
        try write { db in try Self.execute("UPDATE user SET disabled = ?", [isDisabled], on: user, db) }
    }

    /// With what the user has used.
    public func remove(_ user: UserReference) throws(UserStoreError) {
        try write { db in try Self.execute("DELETE FROM user", on: user, db) }
    }

    private static func execute(
        _ sql: String, _ arguments: StatementArguments = StatementArguments(), on user: UserReference, _ db: Database
    ) throws {
        let (column, value) = place(user)
        try db.execute(sql: "\(sql) WHERE \(column) = ?", arguments: arguments + [value])
        guard db.changesCount > 0 else { throw user.isUnknown }
    }

    // MARK: - Usage

    /// Adds what users have used: all of it in one transaction, or nothing. Users who are gone are left out.
    public func record(_ usages: [(user: Int64, usage: Usage)], in month: Month) throws(UserStoreError) {
        guard usages.contains(where: { !$0.usage.isEmpty }) else { return }
        try write { db in
            // Sums stay below 2^62, so that none ever becomes a number that SQLite would turn into a fraction.
            let statement = try db.makeStatement(
                sql: """
                    INSERT INTO usage (user, month, up, down)
                    SELECT :user, :month, :up, :down WHERE EXISTS (SELECT 1 FROM user WHERE id = :user)
                    ON CONFLICT (user, month) DO UPDATE SET
                        up = min(up, \(Self.largestSum)) + excluded.up, down = min(down, \(Self.largestSum)) + excluded.down
                    """)
            for (user, usage) in usages where !usage.isEmpty {
                try statement.execute(arguments: [
                    "user": user, "month": month.code, "up": min(max(usage.up, 0), Self.largestSum),
                    "down": min(max(usage.down, 0), Self.largestSum),
                ])
            }
        }
    }

    private static let largestSum = 1 << 61

    // MARK: - Rows

    /// Everything of a user but name, password and what only grows.
    private static func store(_ user: User, _ db: Database) throws {
        let limits = user.limits
        try db.execute(
            sql: """
                UPDATE user SET disabled = :disabled, expires = :expires, sessions = :sessions, flows = :flows,
                    half_open = :half_open, associations = :associations, buffered_bytes = :buffered_bytes,
                    rate_up = :rate_up, rate_down = :rate_down, monthly_quota = :monthly_quota
                WHERE id = :id
                """,
            arguments: [
                "disabled": user.isDisabled, "expires": user.expires, "sessions": limits.sessions,
                "flows": limits.flows, "half_open": limits.halfOpen, "associations": limits.associations,
                "buffered_bytes": limits.bufferedBytes, "rate_up": limits.rateUp, "rate_down": limits.rateDown,
                "monthly_quota": limits.monthlyQuota, "id": user.id,
            ])
        try db.execute(sql: "DELETE FROM destination WHERE user = ?", arguments: [user.id])
        for (position, rule) in limits.destinations.enumerated() {
            try db.execute(
                sql: "INSERT INTO destination (user, position, rule) VALUES (?, ?, ?)",
                arguments: [user.id, position, rule.description])
        }
        guard user.keys.count <= User.maximumKeys else { throw UserStoreError.tooManyKeys }
        try db.execute(sql: "DELETE FROM user_key WHERE user = ?", arguments: [user.id])
        for key in user.keys {
            do {
                try db.execute(
                    sql: "INSERT INTO user_key (user, key) VALUES (?, ?)", arguments: [user.id, key.databaseBlob])
            } catch let error as DatabaseError where error.extendedResultCode == .SQLITE_CONSTRAINT_UNIQUE {
                throw UserStoreError.keyTaken
            }
        }
    }
}

import Foundation
import GRDB
import Users

extension UserStore {
    /// Everybody, by name.
    public func users() throws(UserStoreError) -> [User] {
        try read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM user ORDER BY name").map { try Self.user($0, db) }
        }
    }

    public func user(_ name: UserName) throws(UserStoreError) -> User? {
        try read { db in try Self.find(name, db) }
    }

    public func user(id: Int64) throws(UserStoreError) -> User? {
        try read { db in
            try Row.fetchOne(db, sql: "SELECT * FROM user WHERE id = ?", arguments: [id]).map { try Self.user($0, db) }
        }
    }

    /// Whose public key this is.
    public func user(key: [UInt8]) throws(UserStoreError) -> User? {
        try read { db in
            try Row.fetchOne(
                db, sql: "SELECT * FROM user WHERE id = (SELECT user FROM user_key WHERE key = ?)",
                arguments: [key.databaseBlob]
            ).map { try Self.user($0, db) }
        }
    }

    /// The hash of a user's password; nil where there is none, or no such user.
    public func passwordHash(of name: UserName) throws(UserStoreError) -> PasswordHash? {
        try read { db in
            let text = try String.fetchOne(
                db, sql: "SELECT password FROM user WHERE name = ?", arguments: [name.text])
            guard let text else { return nil }
            guard let hash = PasswordHash(text) else {
                throw UserStoreError.damaged("the password of '\(name)' is no hash; set it anew")
            }
            return hash
        }
    }

    // MARK: - Usage

    /// What a user has used in a month.
    public func usage(of id: Int64, in month: Month) throws(UserStoreError) -> Usage {
        try read { db in
            try Row.fetchOne(
                db, sql: "SELECT up, down FROM usage WHERE user = ? AND month = ?", arguments: [id, month.code]
            ).map { Usage(up: $0["up"], down: $0["down"]) } ?? Usage()
        }
    }

    /// The latest months that a user has used anything in, the latest first.
    public func usages(of id: Int64, months: Int) throws(UserStoreError) -> [(month: Month, usage: Usage)] {
        try read { db in
            try Row.fetchAll(
                db, sql: "SELECT month, up, down FROM usage WHERE user = ? ORDER BY month DESC LIMIT ?",
                arguments: [id, months]
            ).compactMap { row in
                Month(code: row["month"]).map { ($0, Usage(up: row["up"], down: row["down"])) }
            }
        }
    }

    // MARK: - Rows

    static func find(_ name: UserName, _ db: Database) throws -> User? {
        try Row.fetchOne(db, sql: "SELECT * FROM user WHERE name = ?", arguments: [name.text])
            .map { try user($0, db) }
    }

    static func demand(_ name: UserName, _ db: Database) throws -> User {
        guard let user = try find(name, db) else { throw UserStoreError.unknown(name) }
        return user
    }

    private static func user(_ row: Row, _ db: Database) throws -> User {
        let id: Int64 = row["id"]
        guard let name = UserName(row["name"]) else { throw UserStoreError.damaged("user \(id) has no name") }
        var limits = UserLimits()
        limits.sessions = row["sessions"]
        limits.flows = row["flows"]
        limits.halfOpen = row["half_open"]
        limits.associations = row["associations"]
        limits.bufferedBytes = row["buffered_bytes"]
        limits.rateUp = row["rate_up"]
        limits.rateDown = row["rate_down"]
        limits.monthlyQuota = row["monthly_quota"]
        limits.destinations = try String.fetchAll(
            db, sql: "SELECT rule FROM destination WHERE user = ? ORDER BY position", arguments: [id]
        ).map { text in
            do { return try DestinationRule(text) } catch {
                // Leaving it out could leave none, and then everything would be allowed.
                throw UserStoreError.damaged("'\(name)' has a destination that is none")
            }
        }
        let keys = try Row.fetchAll(db, sql: "SELECT key FROM user_key WHERE user = ? ORDER BY id", arguments: [id])
            .map { row in Array(row["key"] as Data) }
        return User(
            id: id, name: name, keys: keys, hasPassword: row["password"] as String? != nil,
            isDisabled: row["disabled"], expires: row["expires"], limits: limits, kicks: row["kicks"],
            created: row["created"])
    }
}

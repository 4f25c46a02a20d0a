import Foundation
import GRDB
import Users

extension UserStore {
    /// Everybody, by name; a damaged row hides no other one.
    public func users() throws(UserStoreError) -> [StoredUser] {
        try read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM user ORDER BY name").map { try Self.stored($0, db) }
        }
    }

    public func user(_ name: UserName) throws(UserStoreError) -> User? {
        try read { db in try Self.find(name, db) }
    }

    /// What is there in this row; nil where there is none.
    public func stored(_ reference: UserReference) throws(UserStoreError) -> StoredUser? {
        try read { db in
            let (column, value) = Self.place(reference)
            return try Row.fetchOne(db, sql: "SELECT * FROM user WHERE \(column) = ?", arguments: [value])
                .map { try Self.stored($0, db) }
        }
    }

    /// Where a row is looked for: a column, and the value that it has there.
    static func place(_ reference: UserReference) -> (column: String, value: DatabaseValue) {
        switch reference {
        case .name(let name): ("name", name.text.databaseValue)
        case .number(let number): ("id", number.databaseValue)
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

    /// The password of a user, and whose it is; nil where there is none, or no such user.
    public func password(of name: UserName) throws(UserStoreError) -> StoredPassword? {
        try read { db in
            try Row.fetchOne(
                db, sql: "SELECT id, password FROM user WHERE name = ? AND password IS NOT NULL", arguments: [name.text]
            ).map { row in
                let text = try row.decode(String.self, forColumn: "password")
                return StoredPassword(user: row["id"], text: text)
            }
        }
    }

    /// The user who has this password still: nil when it was changed, or the user removed, since it was read.
    public func user(with password: StoredPassword) throws(UserStoreError) -> User? {
        try read { db in
            try Row.fetchOne(
                db, sql: "SELECT * FROM user WHERE id = ? AND password = ?", arguments: [password.user, password.text]
            ).map { try Self.user($0, db) }
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

    static func stored(_ row: Row, _ db: Database) throws -> StoredUser {
        do {
            return .good(try user(row, db))
        } catch UserStoreError.damagedUser(let damaged) {
            return .damaged(damaged)
        }
    }

    private static func user(_ row: Row, _ db: Database) throws -> User {
        let id: Int64 = row["id"]
        let text = try row.decode(String.self, forColumn: "name")
        func damaged(_ reason: String) -> UserStoreError {
            .damagedUser(DamagedUser(id: id, name: text, reason: reason))
        }
        do {
            guard let name = UserName(text) else { throw damaged("its name is none that a user may have") }
            let password = try row.decode(String?.self, forColumn: "password")
            guard password.map({ PasswordHash($0) != nil }) ?? true else {
                throw damaged("its password is no hash; 'penstock user passwd' sets another one")
            }
            let rules = try String.fetchAll(
                db, sql: "SELECT rule FROM destination WHERE user = ? ORDER BY position", arguments: [id])
            let keys = try Data.fetchAll(
                db, sql: "SELECT key FROM user_key WHERE user = ? ORDER BY id", arguments: [id])
            return User(
                id: id, name: name, keys: keys.map(Array.init), hasPassword: password != nil,
                isDisabled: try row.decode(Bool.self, forColumn: "disabled"),
                expires: try row.decode(Int64?.self, forColumn: "expires"), limits: try limits(row, rules, damaged),
                kicks: try row.decode(Int.self, forColumn: "kicks"),
                created: try row.decode(Int64.self, forColumn: "created"))
        } catch is RowDecodingError {
            throw damaged("a column does not have the type that it should have")
        }
    }

    private static func limits(
        _ row: Row, _ rules: [String], _ damaged: (String) -> UserStoreError
    ) throws -> UserLimits {
        var limits = UserLimits()
        limits.sessions = try row.decode(Int?.self, forColumn: "sessions")
        limits.flows = try row.decode(Int?.self, forColumn: "flows")
        limits.halfOpen = try row.decode(Int?.self, forColumn: "half_open")
        limits.associations = try row.decode(Int?.self, forColumn: "associations")
        limits.bufferedBytes = try row.decode(Int?.self, forColumn: "buffered_bytes")
        limits.rateUp = try row.decode(Int?.self, forColumn: "rate_up")
        limits.rateDown = try row.decode(Int?.self, forColumn: "rate_down")
        limits.monthlyQuota = try row.decode(Int?.self, forColumn: "monthly_quota")
        limits.destinations = try rules.map { text in
            do { return try DestinationRule(text) } catch {
                // Leaving it out could leave none, and then everything would be allowed.
                throw damaged("one of its destinations is none: \(error)")
            }
        }
        return limits
    }
}

import GRDB

/// The tables of the database of users, version by version. A step that has been released is never changed.
enum UserSchema {
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in try db.execute(sql: first) }
        return migrator
    }

    /// Rates are bits per second, sizes bytes, times seconds since 1970 (UTC), months numbers such as 202601. STRICT, so that a column holds
    /// what it says; AUTOINCREMENT, so that the usage and the sessions of a user who was removed never become those of another.
    private static let first = """
        CREATE TABLE user (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            password TEXT,
            disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
            expires INTEGER CHECK (expires >= 0),
            sessions INTEGER CHECK (sessions > 0),
            flows INTEGER CHECK (flows > 0),
            half_open INTEGER CHECK (half_open > 0),
            associations INTEGER CHECK (associations > 0),
            buffered_bytes INTEGER CHECK (buffered_bytes > 0),
            rate_up INTEGER CHECK (rate_up > 0),
            rate_down INTEGER CHECK (rate_down > 0),
            monthly_quota INTEGER CHECK (monthly_quota > 0),
            kicks INTEGER NOT NULL DEFAULT 0,
            created INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE user_key (
            id INTEGER PRIMARY KEY,
            user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
            key BLOB NOT NULL UNIQUE CHECK (length(key) = 32)
        ) STRICT;
        CREATE INDEX user_key_user ON user_key (user);
        CREATE TABLE destination (
            user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            rule TEXT NOT NULL,
            PRIMARY KEY (user, position)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE usage (
            user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,
            month INTEGER NOT NULL,
            up INTEGER NOT NULL DEFAULT 0 CHECK (up >= 0),
            down INTEGER NOT NULL DEFAULT 0 CHECK (down >= 0),
            PRIMARY KEY (user, month)
        ) STRICT, WITHOUT ROWID;
        """
}

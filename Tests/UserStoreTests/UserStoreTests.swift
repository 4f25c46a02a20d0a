import Foundation
import GRDB
import Testing
import UserStore
import Users

@Suite struct UserStoreTests {
    private var random = Numbers()

    @Test func whatIsStoredComesBack() throws {
        let file = try TemporaryDatabase()
        let store = try file.open()
        var limits = UserLimits()
        limits.sessions = 2
        limits.flows = 300
        limits.halfOpen = 20
        limits.associations = 10
        limits.bufferedBytes = 8 << 20
        limits.rateUp = 10_000_000
        limits.rateDown = 50_000_000
        limits.monthlyQuota = 500_000_000_000
        limits.destinations = try [DestinationRule("192.0.2.0/24:443"), DestinationRule("*.example.org")]
        let anna = try store.add(name("anna"), keys: [key(1), key(2)], expires: july, limits: limits, now: july - 5)
        #expect(anna.limits == limits && anna.keys == [key(1), key(2)] && anna.expires == july)
        #expect(anna.created == july - 5 && !anna.isDisabled && !anna.hasPassword && anna.kicks == 0)
        store.close()

        let again = try file.open(.service)
        #expect(try again.user(name("anna")) == anna)
        #expect(try again.user(key: key(2)) == anna && again.stored(.number(anna.id)) == .good(anna))
        #expect(try again.user(key: key(3)) == nil && again.user(name("bert")) == nil)
        let problems = try DatabaseQueue(path: file.path).read {
            try String.fetchAll($0, sql: "PRAGMA integrity_check")
        }
        #expect(problems == ["ok"])
        #expect(anna.isExpired(at: july) && !anna.isExpired(at: july - 1))
    }

    @Test func usersChangeAndGo() throws {
        let store = try TemporaryDatabase().open()
        let first = try store.add(name("anna"), keys: [key(1)], now: july)
        try store.add(name("bert"), now: july)
        #expect(throws: UserStoreError.exists(name("anna"))) { try store.add(name("anna"), now: july) }
        #expect(throws: UserStoreError.keyTaken) { try store.add(name("carl"), keys: [key(1)], now: july) }
        #expect(try store.user(name("carl")) == nil, "a user who could not be added whole is not there")
        #expect(throws: UserStoreError.tooManyKeys) {
            try store.change(name("bert")) { user in user.keys = (10..<40).map(key) }
        }
        let changed = try store.change(name("bert")) { user in
            user.isDisabled = true
            user.keys = [key(9)]
            user.limits.rateDown = 1_000_000
        }
        #expect(changed.isDisabled && changed.keys == [key(9)] && changed.limits.rateDown == 1_000_000)
        #expect(try store.users() == [.good(first), .good(changed)])
        try store.kick(.name(name("bert")))
        #expect(try store.user(name("bert"))?.kicks == 1)

        try store.remove(.name(name("anna")))
        #expect(throws: UserStoreError.unknown(name("anna"))) { try store.remove(.name(name("anna"))) }
        #expect(throws: UserStoreError.unknown(name("anna"))) { try store.kick(.name(name("anna"))) }
        #expect(throws: UserStoreError.unknown(name("anna"))) { try store.change(name("anna")) { _ in } }
        #expect(throws: UserStoreError.unknown(name("anna"))) { try store.setPassword(of: name("anna"), nil) }
        #expect(try store.user(key: key(1)) == nil)
        let second = try store.add(name("anna"), keys: [key(1)], now: july)
        #expect(second.id > first.id, "a number is never used again")
    }

    @Test mutating func passwords() throws {
        let store = try TemporaryDatabase().open()
        let password = try #require(Password("correct horse".utf8))
        let hash = try #require(PasswordHash(password, cost: quick, random: &random))
        try store.add(name("anna"), password: hash, now: july)
        #expect(try store.user(name("anna"))?.hasPassword == true)
        #expect(try store.password(of: name("anna"))?.hash == hash)
        // Other settings leave it alone.
        try store.change(name("anna")) { $0.isDisabled = true }
        #expect(try store.password(of: name("anna"))?.hash == hash)
        try store.setPassword(of: name("anna"), nil)
        #expect(try store.user(name("anna"))?.hasPassword == false && store.password(of: name("anna")) == nil)
        #expect(try store.password(of: name("bert")) == nil)
    }

    /// Hashing takes a tenth of a second, in which the user may become another one of the same name, or get another password.
    @Test mutating func aPasswordCountsForTheRowThatItWasReadFrom() throws {
        let store = try TemporaryDatabase().open()
        let first = try quickHash("the first one", &random)
        let anna = try store.add(name("anna"), password: first, now: july)
        let read = try #require(try store.password(of: name("anna")))
        #expect(try store.user(with: read) == anna)
        try store.setPassword(of: name("anna"), try quickHash("the second one", &random))
        #expect(try store.user(with: read) == nil)
        let second = try #require(try store.password(of: name("anna")))
        #expect(try store.user(with: second)?.id == anna.id)
        try store.remove(.name(name("anna")))
        #expect(try store.user(with: second) == nil)
        try store.add(name("anna"), password: second.hash, now: july)
        #expect(try store.user(with: second) == nil, "not even with the same hash")
    }

    @Test func usageAddsUp() throws {
        let file = try TemporaryDatabase()
        let store = try file.open(.service)
        let anna = try store.add(name("anna"), now: july).id
        let bert = try store.add(name("bert"), now: july).id
        let month = Month(unixSeconds: july)
        let next = Month(unixSeconds: july + 31 * 86_400)
        try store.record([(anna, Usage(up: 5, down: 7)), (bert, Usage())], in: month)
        try store.record(
            [(anna, Usage(up: 10, down: 20)), (bert, Usage(up: 1, down: 0)), (999, Usage(up: 1))], in: month)
        try store.record([(anna, Usage(up: 3, down: 0))], in: next)
        #expect(try store.usage(of: anna, in: month) == Usage(up: 15, down: 27))
        #expect(try store.usage(of: bert, in: month) == Usage(up: 1, down: 0))
        #expect(try store.usages(of: anna, months: 5).map(\.month) == [next, month])
        // No sum of what is stored leaves the whole numbers.
        for _ in 0..<5 { try store.record([(anna, Usage(up: .max, down: .max))], in: month) }
        #expect(try store.usage(of: anna, in: month).up > 1 << 61)
        try store.remove(.name(name("anna")))
        #expect(try store.usage(of: anna, in: month).isEmpty)
    }

    @Test func othersWritingShows() throws {
        let file = try TemporaryDatabase()
        let server = try file.open(.service)
        let command = try file.open()
        _ = try server.hasChanged()
        let anna = try server.add(name("anna"), now: july).id
        try server.record([(anna, Usage(up: 1, down: 1))], in: Month(unixSeconds: july))
        #expect(try !server.hasChanged(), "what it has written itself is no news")
        try command.change(name("anna")) { $0.isDisabled = true }
        #expect(try server.hasChanged())
        #expect(try !server.hasChanged())
        #expect(try server.user(name("anna"))?.isDisabled == true)
    }

    @Test func aLaterVersionIsLeftAlone() throws {
        let file = try TemporaryDatabase()
        try file.open().close()
        let queue = try DatabaseQueue(path: file.path)
        try queue.write { db in try db.execute(sql: "INSERT INTO grdb_migrations VALUES ('2')") }
        try queue.close()
        #expect(throws: UserStoreError.tooNew) { try file.open() }
    }

    @Test func whatIsNoDatabaseIsToldAndNotTouched() throws {
        let file = try TemporaryDatabase()
        let text = Data(repeating: 65, count: 4_096)
        try text.write(to: URL(filePath: file.path))
        #expect {
            try file.open()
        } throws: { error in
            if case .damaged? = error as? UserStoreError { true } else { false }
        }
        #expect(try Data(contentsOf: URL(filePath: file.path)) == text)
    }

    @Test func nonsenseInTheTablesIsTold() throws {
        let file = try TemporaryDatabase()
        let store = try file.open()
        try store.add(name("anna"), now: july)
        let queue = try DatabaseQueue(path: file.path)
        try queue.write { db in
            try db.execute(sql: "INSERT INTO destination SELECT id, 0, 'no rule' FROM user")
            try db.execute(sql: "UPDATE user SET password = 'plain'")
        }
        try store.add(name("bert"), now: july)
        let row = DamagedUser(
            id: 1, name: "anna", reason: "its password is no hash; 'penstock user passwd' sets another one")
        #expect(throws: UserStoreError.damagedUser(row)) { try store.user(name("anna")) }
        #expect(try store.password(of: name("anna"))?.hash == nil)
        let bert = try #require(try store.user(name("bert")))
        #expect(try store.users() == [.damaged(row), .good(bert)])
        // Whatever is wrong with it, it can be shut, and taken away.
        try store.setDisabled(.name(name("anna")), true)
        try store.kick(.number(1))
        try store.setPassword(of: name("anna"), nil)
        guard case .damaged(let left)? = try store.stored(.number(1)) else {
            Issue.record("a destination that is none is taken for one")
            return
        }
        #expect(left.reason.hasPrefix("one of its destinations is none: "))
        try queue.write { try $0.execute(sql: "DELETE FROM destination") }
        let mended = try #require(try store.user(name("anna")))
        #expect(mended.isDisabled && mended.kicks == 2 && !mended.hasPassword)
        try queue.write { try $0.execute(sql: "UPDATE user SET name = 'No Name' WHERE id = 1") }
        #expect(
            try store.stored(.number(1))
                == .damaged(
                    DamagedUser(id: 1, name: "No Name", reason: "its name is none that a user may have")))
        try store.remove(.number(1))
        #expect(throws: UserStoreError.noSuchNumber(1)) { try store.remove(.number(1)) }
        #expect(try store.users() == [.good(bert)])
    }
}

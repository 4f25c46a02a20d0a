import GRDB
import Primitives
import Testing
import UserStore
import Users

/// `#expect` takes apart what it is given, which cannot be done with what cannot be copied.
extension Account {
    fileprivate var isSlowed: Bool { down.isLimited }
    fileprivate var flowLimit: Int? { flows.limit }
    fileprivate var sessionCount: Int { sessions.count }
}

/// Accounts and the database, as the server's thread for logins sees them, beside an administrator's commands.
@Suite struct AccountBookTests {
    private let file: TemporaryDatabase
    private let server: UserStore
    private let command: UserStore
    private let start = Instant(nanoseconds: 1_000_000_000_000)

    init() throws {
        file = try TemporaryDatabase()
        server = try file.open(.service)
        command = try file.open()
        try command.add(name("anna"), keys: [key(1)], now: july)
        _ = try server.hasChanged()
    }

    private func seat(
        _ book: inout AccountBook, _ text: String = "anna", at time: Int64 = july, now: Instant? = nil
    ) throws -> Seat {
        let user = try #require(try server.user(name(text)))
        guard case .seat(let seat) = try book.admit(user, unixSeconds: time, now: now ?? start) else {
            throw UserStoreError.failed("no seat")
        }
        return seat
    }

    private func reasons(_ book: inout AccountBook, at time: Int64 = july) throws -> [String] {
        book.look(unixSeconds: time, now: start).compactMap { order in
            if case .endSessions(let reason) = order.action { reason } else { nil }
        }
    }

    @Test func whatAnAdministratorChangesHolds() throws {
        var book = AccountBook(store: server, unixSeconds: july)
        let seat = try seat(&book)
        #expect(try reasons(&book) == [])
        #expect(!seat.account.isSlowed)
        try command.change(name("anna")) { user in
            user.limits.rateDown = 1_000_000
            user.limits.flows = 7
        }
        #expect(try reasons(&book) == [])
        #expect(seat.account.isSlowed && seat.account.flowLimit == 7)
        try command.kick(.name(name("anna")))
        #expect(try reasons(&book) == ["an administrator ended the session"])
        #expect(try reasons(&book) == [])
        try command.change(name("anna")) { $0.isDisabled = true }
        #expect(try reasons(&book) == ["the account was disabled"])
        #expect(try reasons(&book) == [])
        try command.remove(.name(name("anna")))
        #expect(try reasons(&book) == ["the account was removed"])
        let count = book.count
        #expect(count == 0)
    }

    /// Loops hear once of each change of the destinations, also where a login has brought it into the account before.
    @Test func otherDestinationsAreJudgedOnce() throws {
        var book = AccountBook(store: server, unixSeconds: july)
        let first = try seat(&book)
        let judged = AccountBook.Order(account: first.account.id, name: name("anna"), .judgeFlows)
        #expect(book.look(unixSeconds: july, now: start) == [])
        let rule = try DestinationRule("192.0.2.0/24")
        try command.change(name("anna")) { $0.limits.destinations = [rule] }
        let second = try seat(&book)
        #expect(book.look(unixSeconds: july, now: start) == [judged])
        #expect(book.look(unixSeconds: july, now: start) == [])
        try command.change(name("anna")) { $0.limits.flows = 7 }
        #expect(book.look(unixSeconds: july, now: start) == [])
        try command.change(name("anna")) { $0.limits.destinations = [] }
        #expect(book.look(unixSeconds: july, now: start) == [judged])
        _ = (first, second)
    }

    /// Whoever had got hold of a key or a password is sent away with it.
    @Test func aLoginThatIsTakenAwayEndsTheSessions() throws {
        var book = AccountBook(store: server, unixSeconds: july)
        var numbers = Numbers()
        let seat = try seat(&book)
        try command.change(name("anna")) { $0.keys.append(key(2)) }
        try command.setPassword(of: name("anna"), quickHash("first one", &numbers))
        #expect(try reasons(&book) == [], "nothing was taken away")
        try command.change(name("anna")) { $0.keys = [key(2)] }
        #expect(try reasons(&book) == ["an administrator ended the session"])
        try command.setPassword(of: name("anna"), quickHash("second one", &numbers))
        #expect(try reasons(&book) == ["an administrator ended the session"])
        try command.setPassword(of: name("anna"), nil)
        #expect(try reasons(&book) == ["an administrator ended the session"])
        _ = seat
    }

    /// A row that somebody has mended by hand into nonsense is said, ends the sessions that it can limit no more, and hides nothing of the
    /// others, now and later.
    @Test func aUserWhoCannotBeReadHidesNobody() throws {
        try command.add(name("bert"), keys: [key(2)], now: july)
        var book = AccountBook(store: server, unixSeconds: july)
        let seats = try [seat(&book), seat(&book, "bert")]
        let anna = try #require(try server.user(name("anna"))).id
        try DatabaseQueue(path: file.path).write {
            try $0.execute(
                sql: "INSERT INTO destination (user, position, rule) VALUES (?, 0, 'no such rule!')", arguments: [anna])
        }
        try command.kick(.name(name("bert")))
        #expect(
            try reasons(&book) == ["the account's entry is damaged", "an administrator ended the session"])
        guard case .damagedUser(let row)? = book.trouble else {
            Issue.record("not told")
            return
        }
        #expect(row.id == anna)
        try command.change(name("bert")) { $0.isDisabled = true }
        #expect(try reasons(&book) == ["the account was disabled"])
        try DatabaseQueue(path: file.path).write { try $0.execute(sql: "DELETE FROM destination") }
        #expect(try reasons(&book) == [])
        #expect(book.trouble == nil)
        _ = seats
    }

    @Test func timeRunsOut() throws {
        try command.change(name("anna")) { $0.expires = july + 100 }
        var book = AccountBook(store: server, unixSeconds: july)
        let seat = try seat(&book)
        #expect(try reasons(&book, at: july + 99) == [])
        #expect(try reasons(&book, at: july + 100) == ["the account has expired"])
        #expect(try reasons(&book, at: july + 101) == [])
        _ = seat
    }

    @Test func sessionsAreCounted() throws {
        try command.change(name("anna")) { $0.limits.sessions = 1 }
        var book = AccountBook(store: server, unixSeconds: july)
        var first: Seat? = try seat(&book)
        let user = try #require(try server.user(name("anna")))
        guard case .tooManySessions = try book.admit(user, unixSeconds: july, now: start) else {
            Issue.record("a second session")
            return
        }
        #expect(first?.account.sessionCount == 1)
        first = nil
        let second = try seat(&book)
        #expect(second.account.sessionCount == 1)
    }

    @Test func usageIsWrittenAndTheQuotaOutlivesARestart() throws {
        try command.change(name("anna")) { $0.limits.monthlyQuota = 1_000 }
        var seatBefore: Seat?
        do {
            var book = AccountBook(store: server, unixSeconds: july)
            let seat = try seat(&book)
            seat.account.pass(300, .up, now: start)
            try book.write(unixSeconds: july, now: start)
            seat.account.pass(300, .down, now: start)
            // Counted anew in the midst of it, nothing is lost and nothing twice.
            try command.change(name("anna")) { $0.limits.flows = 3 }
            #expect(try reasons(&book) == [])
            #expect(!seat.account.isQuotaSpent)
            try book.write(unixSeconds: july, now: start)
            seatBefore = seat
        }
        _ = seatBefore
        let month = Month(unixSeconds: july)
        let id = try #require(try server.user(name("anna"))).id
        #expect(try server.usage(of: id, in: month) == Usage(up: 300, down: 300))

        // The server starts again.
        let again = try file.open(.service)
        var book = AccountBook(store: again, unixSeconds: july)
        let seat = try seat(&book)
        #expect(seat.account.pass(399, .up, now: start))
        #expect(!seat.account.pass(1, .up, now: start))
        #expect(try reasons(&book) == ["the quota of this month is spent"])
        #expect(try reasons(&book) == [])
        try book.write(unixSeconds: july, now: start)
        let user = try #require(try again.user(name("anna")))
        guard case .quotaSpent = try book.admit(user, unixSeconds: july, now: start) else {
            Issue.record("let in without a quota")
            return
        }
        // More quota, or another month, and it goes on.
        try command.change(name("anna")) { $0.limits.monthlyQuota = 2_000 }
        #expect(try reasons(&book) == [] && !seat.account.isQuotaSpent)
        try command.change(name("anna")) { $0.limits.monthlyQuota = 1_000 }
        #expect(try reasons(&book) == ["the quota of this month is spent"])
        let august = july + 31 * 86_400
        seat.account.pass(5, .up, now: start)
        #expect(try reasons(&book, at: august) == [] && !seat.account.isQuotaSpent)
        #expect(try again.usage(of: id, in: month) == Usage(up: 705, down: 300))
        seat.account.pass(11, .up, now: start)
        try book.write(unixSeconds: august, now: start)
        #expect(try again.usage(of: id, in: Month(unixSeconds: august)) == Usage(up: 11))
    }

    @Test func whoIsAwayForLongIsForgotten() throws {
        var book = AccountBook(store: server, unixSeconds: july)
        var there: Seat? = try seat(&book)
        let later = start + .seconds(10_000)
        try book.write(unixSeconds: july, now: later)
        #expect(book.count == 1)
        _ = book.look(unixSeconds: july, now: later)
        there?.account.pass(5, .up, now: later)
        there = nil
        try book.write(unixSeconds: july, now: later + .seconds(599))
        #expect(book.count == 1)
        try book.write(unixSeconds: july, now: later + .seconds(600))
        #expect(book.count == 0)
        let id = try #require(try server.user(name("anna"))).id
        #expect(try server.usage(of: id, in: Month(unixSeconds: july)).up == 5)
    }
}

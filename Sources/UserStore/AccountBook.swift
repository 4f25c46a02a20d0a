import Primitives
import Users

/// The accounts of those who are, or were lately, logged in, kept in step with the database: what an administrator changes goes into
/// them, what they have used goes into the database.
///
/// For one thread, which may wait for the disk.
public struct AccountBook {
    /// Something that every loop is to do with the sessions that an account has there.
    public struct Order: Hashable, Sendable {
        public enum Action: Hashable, Sendable {
            /// - Parameter reason: for the client and the log.
            case endSessions(reason: String)
            /// The destinations have changed: flows to where the user may not go any more end.
            case judgeFlows
        }

        /// `Account.id`
        public let account: Int64
        public let name: UserName
        public let action: Action

        public init(account: Int64, name: UserName, _ action: Action) {
            self.account = account
            self.name = name
            self.action = action
        }
    }

    public enum Answer: Sendable {
        case seat(Seat)
        case tooManySessions
        case quotaSpent
    }

    /// How long the account of somebody who has left is kept, with what is owed to the rate.
    public static let memory = Interval.seconds(600)

    fileprivate struct Entry {
        let account: Account
        var kicks: Int
        var isDisabled = false
        var expires: Int64?
        var quota: Int?
        /// The last moment at which there was a session.
        var seen: Instant
        /// The sessions that there are have been told to end for the quota.
        var isSpent = false
        /// `Account.destinationsVersion` when loops were told last to judge flows by it.
        var judged: Int
    }

    private let store: UserStore
    private var entries: [Int64: Entry] = [:]
    private var month: Month
    /// Something could not be read when it had changed: it is read again.
    private var mustLook = false
    /// What went wrong with the last `look`.
    public private(set) var trouble: UserStoreError?

    /// - Parameter unixSeconds: seconds since 1970, UTC; so everywhere here.
    public init(store: UserStore, unixSeconds: Int64) {
        self.store = store
        month = Month(unixSeconds: unixSeconds)
    }

    /// Accounts that are kept.
    public var count: Int { entries.count }

    // MARK: - Logins

    /// Gives a user who was let in a place.
    public mutating func admit(_ user: User, unixSeconds: Int64, now: Instant) throws(UserStoreError) -> Answer {
        if entries[user.id] == nil {
            let account = Account(id: user.id, name: user.name, limits: user.limits)
            entries[user.id] = Entry(
                account: account, kicks: user.kicks, quota: nil, seen: now, judged: account.destinationsVersion)
        }
        guard var entry = entries[user.id] else { return .tooManySessions }
        try apply(user, to: &entry, Month(unixSeconds: unixSeconds))
        entry.seen = now
        entry.isDisabled = false
        entries[user.id] = entry
        guard !entry.account.isQuotaSpent else { return .quotaSpent }
        guard let seat = Seat(entry.account) else { return .tooManySessions }
        return .seat(seat)
    }

    private func apply(_ user: User, to entry: inout Entry, _ month: Month) throws(UserStoreError) {
        entry.account.apply(user.limits)
        entry.expires = user.expires
        entry.quota = user.limits.monthlyQuota
        try setQuota(&entry, month)
    }

    /// What is left is counted anew: what the database has, and what has not been written yet.
    private func setQuota(_ entry: inout Entry, _ month: Month) throws(UserStoreError) {
        guard let quota = entry.quota else { return entry.account.set(quotaLeft: nil) }
        let used = try store.usage(of: entry.account.id, in: month)
        let pending = entry.account.takeUsage()
        entry.account.giveBack(pending)
        let (left, overflow) = quota.subtractingReportingOverflow(used.total)
        let (rest, again) = left.subtractingReportingOverflow(pending.total)
        entry.account.set(quotaLeft: overflow || again ? 0 : rest)
        if !entry.account.isQuotaSpent { entry.isSpent = false }
    }

    // MARK: - Changes

    /// To be called several times a second. One user who cannot be read keeps nobody else from what was changed: see `trouble`.
    /// - Returns: what is to be done with sessions.
    public mutating func look(unixSeconds: Int64, now: Instant) -> [Order] {
        var orders: [Order] = []
        let month = Month(unixSeconds: unixSeconds)
        trouble = nil
        do throws(UserStoreError) {
            if try store.hasChanged() || mustLook {
                mustLook = false
                for id in entries.keys.sorted() { renewOrNote(id, month, &orders) }
            } else if month != self.month {
                try beginMonth(month)
            }
            self.month = month
        } catch {
            trouble = error
        }
        for (id, entry) in entries {
            let isThere = entry.account.sessions.count > 0
            if isThere { entries[id]?.seen = now }
            if isThere, let expires = entry.expires, expires <= unixSeconds {
                entries[id]?.expires = nil  // said once; the login finds it in the database
                orders.append(Order(id, entry, end: "the account has expired"))
            }
            if isThere, entry.account.isQuotaSpent, !entry.isSpent {
                entries[id]?.isSpent = true
                orders.append(Order(id, entry, end: "the quota of this month is spent"))
            }
            let version = entry.account.destinationsVersion
            if version != entry.judged {
                entries[id]?.judged = version
                orders.append(Order(account: id, name: entry.account.name, .judgeFlows))
            }
        }
        return orders
    }

    private mutating func renewOrNote(_ id: Int64, _ month: Month, _ orders: inout [Order]) {
        do throws(UserStoreError) {
            try renew(id, month, &orders)
        } catch {
            trouble = error
            mustLook = true
        }
    }

    private mutating func beginMonth(_ month: Month) throws(UserStoreError) {
        // What was used before midnight belongs to the month before.
        try write(in: self.month)
        for id in Array(entries.keys) {
            guard var entry = entries[id] else { continue }
            try setQuota(&entry, month)
            entries[id] = entry
        }
    }

    /// One user may have changed.
    private mutating func renew(_ id: Int64, _ month: Month, _ orders: inout [Order]) throws(UserStoreError) {
        guard var entry = entries[id] else { return }
        func kick(_ reason: String) { orders.append(Order(id, entry, end: reason)) }
        let user: User
        switch try store.stored(.number(id)) {
        case nil:
            entries[id] = nil
            return kick("the account was removed")
        case .damaged(let row)?:
            // What it should limit is not known any more.
            trouble = .damagedUser(row)
            if !entry.isDisabled { kick("the account's entry is damaged") }
            entries[id]?.isDisabled = true
            return
        case .good(let found)?:
            user = found
        }
        try apply(user, to: &entry, month)
        if user.isDisabled && !entry.isDisabled {
            kick("the account was disabled")
        } else if user.kicks != entry.kicks {
            kick("an administrator ended the session")
        }
        entry.kicks = user.kicks
        entry.isDisabled = user.isDisabled
        entries[id] = entry
    }

    // MARK: - Usage

    /// Writes what was used since the last time, in one transaction, and forgets who has been away for long. What cannot be
    /// written is kept for the next time.
    public mutating func write(unixSeconds: Int64, now: Instant) throws(UserStoreError) {
        try write(in: month)
        entries = entries.filter { _, entry in
            entry.account.sessions.count > 0 || now - entry.seen < Self.memory
        }
    }

    private func write(in month: Month) throws(UserStoreError) {
        let usages = entries.values.map { (account: $0.account, usage: $0.account.takeUsage()) }
        do throws(UserStoreError) {
            try store.record(usages.map { ($0.account.id, $0.usage) }, in: month)
        } catch {
            for (account, usage) in usages { account.giveBack(usage) }
            throw error
        }
    }
}

extension AccountBook.Order {
    fileprivate init(_ id: Int64, _ entry: AccountBook.Entry, end reason: String) {
        self.init(account: id, name: entry.account.name, .endSessions(reason: reason))
    }
}

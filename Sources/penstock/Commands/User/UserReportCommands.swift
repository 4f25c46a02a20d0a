import ArgumentParser
import UserStore
import Users

struct UserListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List all users.")

    @OptionGroup var store: UserDatabaseOptions
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let now = unixSeconds()
        let reports = try store.withStore { store throws(UserStoreError) in
            var reports: [UserReport] = []
            for user in try store.users() { reports.append(try userReport(user, months: 1, store, now: now)) }
            return reports
        }
        for report in reports {
            if let damage = report.damage {
                printError("'\(report.name)' is damaged, and nobody logs in by it: \(damage)")
            }
        }
        if json { return print(jsonText(reports)) }
        let month = Month(unixSeconds: now)
        print(tableText([UserReport.heads] + reports.map { $0.columns(of: month) }))
    }
}

struct UserShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a user: keys, limits, and what was used in the last twelve months.")

    @OptionGroup var user: UserReferenceArgument
    @OptionGroup var store: UserDatabaseOptions
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let report = try store.withStore { store throws(UserStoreError) in
            guard let found = try store.stored(user.reference) else { throw user.reference.isUnknown }
            return try userReport(found, months: 12, store, now: unixSeconds())
        }
        print(json ? jsonText(report) : report.lines.joined(separator: "\n"))
    }
}

/// - Parameter months: of usage, the latest first.
private func userReport(
    _ stored: StoredUser, months: Int, _ store: UserStore, now: Int64
) throws(UserStoreError) -> UserReport {
    switch stored {
    case .good(let user): UserReport(user, usage: try store.usages(of: user.id, months: months), now: now)
    case .damaged(let row): UserReport(row)
    }
}

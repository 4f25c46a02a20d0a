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
            for user in try store.users() {
                reports.append(UserReport(user, usage: try store.usages(of: user.id, months: 1), now: now))
            }
            return reports
        }
        if json { return print(jsonText(reports)) }
        let month = Month(unixSeconds: now)
        print(tableText([UserReport.heads] + reports.map { $0.columns(of: month) }))
    }
}

struct UserShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a user: keys, limits, and what was used in the last twelve months.")

    @OptionGroup var user: UserNameArgument
    @OptionGroup var store: UserDatabaseOptions
    @Flag(help: "Print JSON.") var json = false

    func run() throws {
        let report = try store.withStore { store throws(UserStoreError) in
            guard let found = try store.user(user.name) else { throw UserStoreError.unknown(user.name) }
            return UserReport(found, usage: try store.usages(of: found.id, months: 12), now: unixSeconds())
        }
        print(json ? jsonText(report) : report.lines.joined(separator: "\n"))
    }
}

import ArgumentParser
import Configuration
import Foundation
import UserStore
import Users

/// Which database `penstock user` works on.
struct UserDatabaseOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The database of users.", valueName: "file")) var database: String?

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("The server's YAML file, whose 'users.database' names it.", valueName: "file"))
    var config: String?

    func validate() throws {
        if database != nil && config != nil { throw ValidationError("Give --database or --config, not both.") }
        if database == nil && config == nil {
            throw ValidationError("Which users? Give --config /etc/penstock/server.yaml, or --database FILE.")
        }
    }

    func path() throws -> String {
        if let database { return database }
        guard let config else { throw ValidationError("--database or --config is missing.") }
        let environment = EnvironmentSettings(ProcessInfo.processInfo.environment)
        return try loadOrExit { () throws(ConfigurationError) in
            try ServerConfiguration.userDatabase(of: config, environment: environment)
        }
    }

    @discardableResult
    func withStore<Result>(create: Bool = false, _ body: (UserStore) throws(UserStoreError) -> Result) throws -> Result
    {
        try withUserStore(try path(), create: create, body)
    }
}

/// Runs `body` with the open database; tells what goes wrong and ends the program with its exit code.
@discardableResult
func withUserStore<Result>(
    _ path: String, create: Bool = false, _ body: (UserStore) throws(UserStoreError) -> Result
) throws(ExitCode) -> Result {
    do throws(UserDatabaseError) {
        let store = try openUserDatabase(path, create: create, for: .administration)
        defer { store.close() }
        do throws(UserStoreError) {
            return try body(store)
        } catch {
            throw UserDatabaseError(error, at: path)
        }
    } catch {
        printError("\(error)")
        throw .failure
    }
}

extension UserName: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension UserReference: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

/// The user of a command that works on damaged entries as well.
struct UserReferenceArgument: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "The user's name, or '#' and the number of an entry that 'penstock user list' shows so.", valueName: "name")
    )
    var reference: UserReference
}

/// The name that most commands take.
struct UserNameArgument: ParsableArguments {
    @Argument(
        help: "The user's name: lower-case letters, digits, '.', '_', '-' and '@', 64 at most.") var name: UserName
}

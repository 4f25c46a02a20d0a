import ArgumentParser
import LinuxIO
import Sealing
import UserStore
import Users

struct UserAddCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a user; makes the database with the first one.")

    @OptionGroup var user: UserNameArgument
    @OptionGroup var store: UserDatabaseOptions
    @Option(
        help: ArgumentHelp("A public key of the user's, in base64. May be given many times.", valueName: "key"),
        transform: parsePublicKey)
    var key: [[UInt8]] = []
    @Flag(help: "Ask for a password at the terminal.") var password = false
    @Flag(help: "Read the password from the first line of standard input.") var stdin = false
    @Flag(help: "Make a password and print it, once.") var generate = false
    @OptionGroup(title: "Limits") var limits: UserLimitOptions

    func validate() throws {
        if [password, stdin, generate].count(where: \.self) > 1 {
            throw ValidationError("Give one of --password, --stdin and --generate.")
        }
        if Set(key).count < key.count { throw ValidationError("--key: give each key once.") }
    }

    func run() throws {
        let name = user.name
        var generated: SecretBytes?
        let secret: Password? = try password || stdin || generate ? newPassword(name, stdin, generate, &generated) : nil
        let hash = try secret.map { password throws(ExitCode) in try hashed(password) }
        var wanted = User(id: 0, name: name)
        limits.apply(to: &wanted, now: unixSeconds())
        try store.withStore(create: true) { store throws(UserStoreError) in
            try store.add(
                name, keys: key, password: hash, expires: wanted.expires, limits: wanted.limits, now: unixSeconds())
        }
        if let generated { show(generated) }
        if hash == nil && key.isEmpty {
            printError("'\(name)' has neither a key nor a password yet, and can log in by certificate alone")
        }
    }
}

struct UserSetCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change keys, limits or expiry; what is not named stays.")

    @OptionGroup var user: UserNameArgument
    @OptionGroup var store: UserDatabaseOptions
    @Option(
        help: ArgumentHelp("One more public key, in base64.", valueName: "key"), transform: parsePublicKey)
    var addKey: [[UInt8]] = []
    @Option(
        help: ArgumentHelp("A public key that is no longer the user's.", valueName: "key"), transform: parsePublicKey)
    var removeKey: [[UInt8]] = []
    @OptionGroup(title: "Limits") var limits: UserLimitOptions

    func run() throws {
        // Not in `validate`, which comes before an unknown option is told.
        if limits.isEmpty && addKey.isEmpty && removeKey.isEmpty {
            throw ValidationError("Nothing to set; 'penstock user set --help' lists what there is.")
        }
        try store.withStore { store throws(UserStoreError) in
            try store.change(user.name) { user in
                limits.apply(to: &user, now: unixSeconds())
                user.keys.removeAll { removeKey.contains($0) }
                user.keys += addKey.filter { !user.keys.contains($0) }
            }
        }
    }
}

/// A command that does one thing to one user.
protocol SingleUserCommand: ParsableCommand {
    var user: UserReferenceArgument { get }
    var store: UserDatabaseOptions { get }
    static func apply(to user: UserReference, _ store: UserStore) throws(UserStoreError)
}

extension SingleUserCommand {
    func run() throws {
        try store.withStore { store throws(UserStoreError) in try Self.apply(to: user.reference, store) }
    }
}

struct UserDisableCommand: SingleUserCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "Let a user in no more, and end the sessions there are.")

    @OptionGroup var user: UserReferenceArgument
    @OptionGroup var store: UserDatabaseOptions

    static func apply(to user: UserReference, _ store: UserStore) throws(UserStoreError) {
        try store.setDisabled(user, true)
    }
}

struct UserEnableCommand: SingleUserCommand {
    static let configuration = CommandConfiguration(commandName: "enable", abstract: "Let a disabled user in again.")

    @OptionGroup var user: UserReferenceArgument
    @OptionGroup var store: UserDatabaseOptions

    static func apply(to user: UserReference, _ store: UserStore) throws(UserStoreError) {
        try store.setDisabled(user, false)
    }
}

struct UserRemoveCommand: SingleUserCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Remove a user with what is known of the usage, and end the sessions there are.")

    @OptionGroup var user: UserReferenceArgument
    @OptionGroup var store: UserDatabaseOptions

    static func apply(to user: UserReference, _ store: UserStore) throws(UserStoreError) { try store.remove(user) }
}

struct UserKickCommand: SingleUserCommand {
    static let configuration = CommandConfiguration(
        commandName: "kick", abstract: "End the sessions there are; the user may come back.")

    @OptionGroup var user: UserReferenceArgument
    @OptionGroup var store: UserDatabaseOptions

    static func apply(to user: UserReference, _ store: UserStore) throws(UserStoreError) { try store.kick(user) }
}

struct UserPasswordCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "passwd", abstract: "Set a password, or take it away. A former one ends the sessions there are.")

    @OptionGroup var user: UserNameArgument
    @OptionGroup var store: UserDatabaseOptions
    @Flag(help: "Read it from the first line of standard input instead of asking.") var stdin = false
    @Flag(help: "Make one and print it, once.") var generate = false
    @Flag(help: "Take it away: no login by password.") var delete = false

    func validate() throws {
        if [stdin, generate, delete].count(where: \.self) > 1 {
            throw ValidationError("Give one of --stdin, --generate and --delete.")
        }
    }

    func run() throws {
        let name = user.name
        var generated: SecretBytes?
        let hash = delete ? nil : try hashed(try newPassword(name, stdin, generate, &generated))
        try store.withStore { store throws(UserStoreError) in try store.setPassword(of: name, hash) }
        if let generated { show(generated) }
    }
}

/// To the terminal, the one place where it is wanted as a text.
private func show(_ password: SecretBytes) {
    print("password: \(password.withBytes { String(decoding: $0, as: UTF8.self) })")
}

/// A password from where the options say; asked for at the terminal when they say nothing.
private func newPassword(
    _ name: UserName, _ stdin: Bool, _ generate: Bool, _ generated: inout SecretBytes?
) throws -> Password {
    do throws(PasswordEntryError) {
        if generate {
            let text = PasswordEntry.generated()
            generated = text
            guard let password = text.withBytes({ Password($0) }) else {
                preconditionFailure("made of letters and digits")
            }
            return password
        }
        return try stdin ? PasswordEntry.fromStandardInput() : PasswordEntry.ask(for: name.text)
    } catch {
        printError("\(error)")
        throw ExitCode.failure
    }
}

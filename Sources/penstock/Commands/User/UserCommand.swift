import ArgumentParser

struct UserCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Manage the users of a server.",
        discussion: """
            A running server takes over what changes within a second, also for those who are connected. See docs/USERS.md.
            """,
        subcommands: [
            UserAddCommand.self, UserListCommand.self, UserShowCommand.self, UserSetCommand.self,
            UserDisableCommand.self, UserEnableCommand.self, UserRemoveCommand.self, UserPasswordCommand.self,
            UserKickCommand.self,
        ])
}

import UserStore

/// The section `users` of a server's file: who may come in.
struct UserSettings: Hashable, Sendable {
    /// The database of users; it need not exist when the configuration is read.
    var database: String
    /// What every client must show; when empty, one of anything is enough.
    var required: [LoginFactor] = []
    /// Where clients find the server, for the links of 'penstock share'.
    var address: HostAndPort?
}

extension UserSettings {
    /// Nil where the database is not named, which is noted.
    init?(_ section: ConfigurationSection) {
        let database = section.required("database", .path, sample: "/var/lib/penstock/users.db")
        required = section.list("require", .choice, default: [])
        address = section.optional("address", .hostAndPort)
        section.refuseUnknownKeys()
        guard let database else { return nil }
        self.database = section.resolve(database)
    }
}

extension ServerConfiguration {
    /// The database of users that a server's file names. Nothing else of the file is read: an administrator's command needs no key.
    static func userDatabase(of file: String) throws(ConfigurationError) -> String {
        let document = ConfigurationDocument(file: file)
        let root = try document.readRoot()
        let settings = root.optionalSection("users").flatMap(UserSettings.init)
        if settings == nil && document.problems.isEmpty {
            root.refuse(
                "users", "'users' is missing", remedy: "add 'users: { database: /var/lib/penstock/users.db }'")
        }
        guard document.problems.isEmpty, let settings else { throw ConfigurationError(document.problems) }
        return settings.database
    }
}

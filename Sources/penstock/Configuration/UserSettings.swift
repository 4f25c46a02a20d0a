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
    /// Nil without a database; that other settings are there then is noted.
    /// - Parameter hasCertificates: clients are asked for TLS certificates.
    init?(_ section: ConfigurationSection, hasCertificates: Bool) {
        let database = section.directory("database")
        let required: [LoginFactor] = section.list("require", .choice, default: [])
        let address = section.optional("address", .hostAndPort)
        section.refuseUnknownKeys()
        if required.contains(.certificate), !hasCertificates {
            section.refuse(
                "require",
                "'\(section.name("require"))' has 'certificate', and 'client-certificates.demand' is none, so nobody could come in",
                remedy: "set 'client-certificates.demand' to optional or required")
        }
        guard let database else {
            if !required.isEmpty || address != nil, !section.has("database") {
                section.refuse(
                    "database", "'\(section.name("database"))' is missing, and without it there are no users",
                    remedy: "add 'database: /var/lib/penstock/users.db'")
            }
            return nil
        }
        self.database = database
        self.required = required
        self.address = address
    }
}

extension ServerConfiguration {
    /// The database of users that a server's file names. Nothing else of the file is read: an administrator's command needs no key.
    static func userDatabase(
        of file: String, environment: EnvironmentSettings
    ) throws(ConfigurationError) -> String {
        let document = ConfigurationDocument(file: file, environment: environment)
        let root = try document.readRoot()
        let settings = UserSettings(root.section("users"), hasCertificates: true)
        if settings == nil && document.problems.isEmpty {
            root.refuse(
                "users", "'users' is missing", remedy: "add 'users: { database: /var/lib/penstock/users.db }'")
        }
        guard document.problems.isEmpty, let settings else { throw ConfigurationError(document.problems) }
        return settings.database
    }
}

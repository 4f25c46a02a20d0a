import Users

/// The section `users` of a server's file: who may come in.
package struct UserSettings: Hashable, Sendable {
    /// The database of users; it need not exist when the configuration is read.
    package var database: String
    /// What every client must show.
    package var required = LoginRequirement()
    /// Where clients find the server, for the links of 'penstock share'.
    package var address: HostAndPort?

    package init(database: String, required: LoginRequirement = LoginRequirement(), address: HostAndPort? = nil) {
        self.database = database
        self.required = required
        self.address = address
    }
}

extension UserSettings {
    /// Nil without a database; that other settings are there then is noted.
    /// - Parameter hasCertificates: clients are asked for TLS certificates.
    init?(_ section: ConfigurationSection, hasCertificates: Bool) {
        let database = section.storage("database", \.userDatabase)
        let required = LoginRequirement(section, hasCertificates: hasCertificates)
        let address = section.optional("address", .hostAndPort)
        section.refuseUnknownKeys()
        guard let database else {
            if required != LoginRequirement() || address != nil, !section.has("database") {
                section.refuse(
                    "database", "'\(section.name("database"))' is missing, and without it there are no users",
                    remedy: "add 'database: /var/lib/penstock/users.db'")
            }
            return nil
        }
        self.init(database: database, required: required, address: address)
    }
}

extension LoginRequirement {
    /// Reads `require`; what says nothing, or cannot be met, is noted.
    /// - Parameter hasCertificates: clients are asked for TLS certificates.
    fileprivate init(_ section: ConfigurationSection, hasCertificates: Bool) {
        let key = "require"
        let choices = section.choices(key, SettingKind<LoginFactor>.choice, sample: "[key, password]")
        let sets = choices.map { Set($0) }
        func refuse(_ message: String, remedy: String) {
            section.refuse(key, "'\(section.name(key))' \(message)", remedy: remedy)
        }
        for (index, choice) in choices.enumerated() {
            if sets[index].count < choice.count {
                refuse("names one thing twice in \(Self.text(choice))", remedy: "write each of them once")
            }
            // What is a part of it is asked for as well, and so it says nothing.
            let stronger = sets.indices.first { other in
                other != index && sets[other].isSubset(of: sets[index]) && (sets[other] != sets[index] || other < index)
            }
            if let stronger {
                refuse(
                    "asks for \(Self.text(choice)), which whoever shows \(Self.text(choices[stronger])) has shown",
                    remedy: "take one of the two out")
            }
        }
        if sets.contains(where: { $0.contains(.certificate) }), !hasCertificates {
            refuse(
                "has 'certificate', and 'client-certificates.demand' is none, so nobody could show one",
                remedy: "set 'client-certificates.demand' to optional or required")
        }
        self.init(sets)
    }

    private static func text(_ choice: [LoginFactor]) -> String {
        choice.count == 1 ? choice[0].rawValue : yamlList(choice.map(\.rawValue))
    }
}

extension ServerConfiguration {
    /// The database of users that a server's file names. Nothing else of the file is read: an administrator's command needs no key.
    package static func userDatabase(
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

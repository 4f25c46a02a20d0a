import Logging

/// What one of the programs reads from its file.
protocol ConfigurationFile: Sendable {
    /// A file with every section and key, for which files that it names need not exist.
    static var example: String { get }
    /// Settings, or sections of them, that a running program takes over from a file that was changed. All others need a
    /// restart.
    static var reloadable: Set<String> { get }

    var logLevel: Logger.Level { get }

    static func read(
        _ root: ConfigurationSection, _ document: ConfigurationDocument
    ) throws(ConfigurationError) -> Self
}

extension ConfigurationFile {
    /// Reads and checks a file and the files that it names.
    static func load(_ file: String) throws(ConfigurationError) -> Self {
        try LoadedConfiguration<Self>(file).configuration
    }

    /// The same for YAML text in memory; `file` stands in the messages, and its folder is where paths start.
    static func parse(
        _ text: String, file: String, environment: EnvironmentSettings = EnvironmentSettings([:])
    ) throws(ConfigurationError) -> Self {
        let document = ConfigurationDocument(file: file, environment: environment)
        return try read(document.composeRoot(text), document)
    }

    /// Every setting there is, with its default.
    static var reference: [SettingRecord] {
        let document = ConfigurationDocument(file: "example")
        do {
            _ = try read(document.composeRoot(example), document)
        } catch {
            // The files that the example names do not exist; every key was asked for all the same.
        }
        return document.settings.map { record in
            SettingRecord(
                key: record.generalKey, expected: record.expected, necessity: record.necessity,
                isSecret: record.isSecret)
        }
    }

    static func isReloadable(_ key: String) -> Bool {
        let key = SettingRecord.general(key)
        return reloadable.contains { key == $0 || key.hasPrefix($0 + ".") || key.hasPrefix($0 + "[") }
    }
}

/// A configuration with the way that each setting came to its value.
struct LoadedConfiguration<Configuration: ConfigurationFile>: Sendable {
    let file: String
    let environment: EnvironmentSettings
    let configuration: Configuration
    let settings: [SettingRecord]
    /// What is odd, and no error.
    let warnings: [ConfigurationProblem]

    init(
        _ file: String, environment: EnvironmentSettings = EnvironmentSettings([:])
    ) throws(ConfigurationError) {
        let document = ConfigurationDocument(file: file, environment: environment)
        self.file = file
        self.environment = environment
        configuration = try Configuration.read(document.readRoot(), document)
        settings = document.settings
        // Client and server may share an environment.
        warnings = environment.strangers {
            document.settings + ClientConfiguration.reference + ServerConfiguration.reference
        }
    }

    /// The file as it is now.
    func reloaded() throws(ConfigurationError) -> LoadedConfiguration {
        try LoadedConfiguration(file, environment: environment)
    }
}

import Logging

/// What one of the programs reads from its file.
package protocol ConfigurationFile: Sendable {
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
    package static func load(_ file: String) throws(ConfigurationError) -> Self {
        try LoadedConfiguration<Self>(file).configuration
    }

    /// The same for YAML text in memory; `file` stands in the messages, and its folder is where paths start.
    package static func parse(
        _ text: String, file: String, environment: EnvironmentSettings = EnvironmentSettings([:]),
        files: FileSource = .disk
    ) throws(ConfigurationError) -> Self {
        let document = ConfigurationDocument(file: file, environment: environment, files: files)
        return try read(document.composeRoot(text), document)
    }

    /// Every setting there is, with its default.
    package static var reference: [SettingRecord] {
        let nothing = FileSource(places: .any) { _, _, _ throws(FileReadError) in throw .notFound }
        let document = ConfigurationDocument(file: "example", files: nothing)
        do {
            _ = try read(document.composeRoot(example), document)
        } catch {
            // The files that the example names are not there; every key was asked for all the same.
        }
        return document.settings.map { record in
            SettingRecord(
                key: record.generalKey, expected: record.expected, necessity: record.necessity,
                isSecret: record.isSecret)
        }
    }

    package static func isReloadable(_ key: String) -> Bool {
        let key = SettingRecord.general(key)
        return reloadable.contains { key == $0 || key.hasPrefix($0 + ".") || key.hasPrefix($0 + "[") }
    }
}

/// A configuration with the way that each setting came to its value.
package struct LoadedConfiguration<Configuration: ConfigurationFile>: Sendable {
    package let file: String
    package let environment: EnvironmentSettings
    private let files: FileSource
    package let configuration: Configuration
    package let settings: [SettingRecord]
    /// What is odd, and no error.
    package let warnings: [ConfigurationProblem]

    package init(
        _ file: String, environment: EnvironmentSettings = EnvironmentSettings([:]), files: FileSource = .disk
    ) throws(ConfigurationError) {
        let document = ConfigurationDocument(file: file, environment: environment, files: files)
        self.files = files
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
    package func reloaded() throws(ConfigurationError) -> LoadedConfiguration {
        try LoadedConfiguration(file, environment: environment, files: files)
    }
}

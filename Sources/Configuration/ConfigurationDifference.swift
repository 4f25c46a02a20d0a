/// What another version of a configuration changes in a running program.
package struct ConfigurationDifference: Hashable, Sendable {
    /// `key: old -> new`, in the order of the new file, of what is taken over.
    package private(set) var applied: [String] = []
    /// The same of what waits for a restart.
    package private(set) var waiting: [String] = []

    /// - Parameter running: the settings that the program was started with, and took over since.
    package init<Configuration: ConfigurationFile>(
        from running: [SettingRecord], to new: [SettingRecord], of type: Configuration.Type
    ) {
        let before = Dictionary(running.map { ($0.key, $0) }) { first, _ in first }
        let after = Dictionary(new.map { ($0.key, $0) }) { first, _ in first }
        for key in new.map(\.key) + running.map(\.key).filter({ after[$0] == nil }) {
            guard let text = Self.change(before[key], after[key]) else { continue }
            if type.isReloadable(key) { applied.append(text) } else { waiting.append(text) }
        }
    }

    package var isEmpty: Bool { applied.isEmpty && waiting.isEmpty }

    private static func change(_ old: SettingRecord?, _ new: SettingRecord?) -> String? {
        guard let key = (new ?? old)?.key else { return nil }
        if old?.effective != new?.effective {
            return "\(key): \(old?.shown ?? "(none)") -> \(new?.shown ?? "(none)")"
        }
        return old?.file == new?.file ? nil : "\(key): the file was changed"
    }

    /// What runs once the reloadable part of `new` was taken over.
    package static func merge<Configuration: ConfigurationFile>(
        _ running: [SettingRecord], _ new: [SettingRecord], of type: Configuration.Type
    ) -> [SettingRecord] {
        new.filter { type.isReloadable($0.key) } + running.filter { !type.isReloadable($0.key) }
    }
}

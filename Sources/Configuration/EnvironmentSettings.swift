/// Settings given by variables of the environment, which come before those of a file.
///
/// The variable of a setting is `PENSTOCK_` and its key in capitals, with `_` for each dot and hyphen: `tun.mtu` is
/// `PENSTOCK_TUN_MTU`. Values stand there as they are, without quotes; a list has commas between its entries.
package struct EnvironmentSettings: Sendable {
    static let prefix = "PENSTOCK_"
    /// Holds a link, and belongs to no setting.
    package static let linkVariable = prefix + "LINK"

    private let variables: [String: String]

    /// - Parameter environment: all of it; variables of others are passed over.
    package init(_ environment: [String: String]) {
        variables = environment.filter { $0.key.hasPrefix(Self.prefix) }
    }

    /// The variable that stands for a key.
    package static func variable(for key: String) -> String {
        prefix + String(key.uppercased().map { $0 == "." || $0 == "-" ? "_" : $0 })
    }

    func value(of key: String) -> (variable: String, text: String)? {
        let variable = Self.variable(for: key)
        return variables[variable].map { (variable, $0) }
    }

    /// Whether some variable belongs to the section.
    func mentions(section: String) -> Bool {
        let start = Self.variable(for: section) + "_"
        return variables.keys.contains { $0.hasPrefix(start) }
    }

    /// Variables that stand for none of these settings, in order. They are no errors: an orchestrator may have put them
    /// there, as Kubernetes does for a service of the name "penstock".
    func strangers(to settings: () -> [SettingRecord]) -> [ConfigurationProblem] {
        if variables.isEmpty { return [] }
        let known = settings().map { Self.variable(for: $0.key) } + [Self.linkVariable]
        return variables.keys.filter { !known.contains($0) }.sorted().map { variable in
            ConfigurationProblem(
                file: variable, position: nil, key: "", message: "no setting belongs to this variable",
                remedy: nearestName(to: variable, among: known).map { "did you mean '\($0)'?" }
                    ?? "see 'penstock config default' for those that there are, or unset it")
        }
    }
}

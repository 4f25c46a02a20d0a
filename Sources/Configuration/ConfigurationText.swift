/// Settings as a YAML file that can be read back.
///
/// `line` gives the value of a setting, nil for one that is to be commented out, and what stands behind it.
func configurationText(
    _ settings: [SettingRecord], _ line: (SettingRecord) -> (value: String?, comment: String)
) -> String {
    var tree = SettingTree()
    for setting in settings { tree.insert(setting.key.split(separator: ".")[...], setting) }
    var output = ""
    tree.write(indent: "", to: &output, line)
    return output
}

/// Every setting of a side with its default.
package func defaultsText<Configuration: ConfigurationFile>(_ type: Configuration.Type) -> String {
    configurationText(type.reference) { setting in
        switch setting.necessity {
        case .required: (nil, "required: \(setting.expected)")
        case .optional: (nil, setting.expected)
        case .standard(let text): (text, setting.expected)
        }
    }
}

/// What holds, and who said so. Secrets are masked.
package func effectiveText(_ settings: [SettingRecord], file: String) -> String {
    configurationText(settings) { setting in
        let origin =
            switch setting.source {
            case .standard: setting.fallback == nil ? "not set" : "default"
            case .file(let position): position.map { "\(file):\($0.line)" } ?? file
            case .environment(let variable): variable
            }
        return (setting.shown, origin)
    }
}

/// Settings by their sections, in the order of first mention.
private struct SettingTree {
    private var children: [(name: Substring, tree: SettingTree)] = []
    private var setting: SettingRecord?

    mutating func insert(_ path: ArraySlice<Substring>, _ setting: SettingRecord) {
        guard let name = path.first else {
            self.setting = setting
            return
        }
        let index = children.firstIndex { $0.name == name } ?? children.count
        if index == children.count { children.append((name, SettingTree())) }
        children[index].tree.insert(path.dropFirst(), setting)
    }

    func write(
        indent: String, to output: inout String, _ line: (SettingRecord) -> (value: String?, comment: String)
    ) {
        for (name, tree) in children {
            if let setting = tree.setting {
                // A list of sections shows its entries instead.
                if children.contains(where: { $0.name.hasPrefix(name + "[") }) {
                    output += "\(indent)\(name):\n"
                    continue
                }
                let (value, comment) = line(setting)
                let text = "\(indent)\(value == nil ? "# " : "")\(name):\(value.map { " \($0)" } ?? "")"
                output += text.padded(to: 40) + "  # \(comment)\n"
            } else if name.hasSuffix("]") {
                var entry = ""
                tree.write(indent: indent + "    ", to: &entry, line)
                output += "\(indent)  - " + entry.dropFirst(indent.count + 4)
            } else {
                var section = ""
                tree.write(indent: indent + "  ", to: &section, line)
                // A section that says nothing is not there.
                let isEmpty = section.split(separator: "\n").allSatisfy { $0.drop { $0 == " " }.hasPrefix("#") }
                output += "\(indent)\(isEmpty ? "# " : "")\(name):\n" + section
            }
        }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

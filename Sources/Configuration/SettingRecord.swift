/// One setting that a configuration was asked for: what it may be, what it is, and who said so.
package struct SettingRecord: Hashable, Sendable {
    package enum Necessity: Hashable, Sendable {
        case required
        case optional
        /// The default, as it would stand in a file.
        case standard(String)
    }

    package enum Source: Hashable, Sendable {
        /// Nobody said anything.
        case standard
        case file(ConfigurationProblem.Position?)
        /// The variable's name.
        case environment(String)
    }

    /// The key with its sections, such as `tun.mtu` or `rules[2].port`.
    package let key: String
    /// What values may be, such as `a whole number from 1 to 64`.
    package let expected: String
    package let necessity: Necessity
    package var isSecret = false
    /// The value that was given, as it would stand in a file.
    package var given: String?
    package var source = Source.standard
    /// The file that the setting names, as it was read; the fingerprint of one with a secret.
    package var file: LoadedFile?

    package init(key: String, expected: String, necessity: Necessity, isSecret: Bool = false) {
        self.key = key
        self.expected = expected
        self.necessity = necessity
        self.isSecret = isSecret
    }

    package var fallback: String? {
        if case .standard(let text) = necessity { text } else { nil }
    }

    /// What holds: the value that was given, or the default; nil where there is neither.
    package var effective: String? { given ?? fallback }

    /// The same as it may be shown.
    package var shown: String? { isSecret && given != nil ? "\"********\"" : effective }

    /// The key without the numbers of list entries, as the reference has it: `rules[].port`.
    package var generalKey: String { Self.general(key) }

    package static func general(_ key: String) -> String {
        var isNumber = false
        return key.filter { character in
            if character == "[" { isNumber = true }
            if character == "]" { isNumber = false }
            return !isNumber || character == "["
        }
    }
}

/// A text as one value of YAML, in quotes where it needs them.
func yamlScalar(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            || [45, 46, 47, 95].contains(byte)
    }
    if isPlain, !text.isEmpty, !text.hasPrefix("-"), text.lowercased() != "null" { return text }
    let escaped = text.unicodeScalars.map { scalar in
        switch scalar {
        case "\"", "\\": "\\\(scalar)"
        case _ where scalar.value < 32 || scalar.value == 127:
            "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
        default: String(scalar)
        }
    }
    return "\"" + escaped.joined() + "\""
}

func yamlList(_ texts: [String]) -> String { "[" + texts.map(yamlScalar).joined(separator: ", ") + "]" }

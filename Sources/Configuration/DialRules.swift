import Primitives
import Server
import Tunnel

/// The rules of `dial.rules`.
extension DialRule {
    /// Reads all of them; what is wrong is noted in the section.
    static func read(_ dial: ConfigurationSection) -> [DialRule] {
        var rules: [DialRule] = []
        for (index, section) in (dial.optionalSections("rules") ?? []).enumerated() {
            guard let rule = read(section, number: index + 1) else { continue }
            if rules.contains(where: { $0.name == rule.name }) {
                section.refuse(
                    "name", "'\(section.name("name"))' is '\(printable(rule.name))', as that of a rule before it",
                    remedy: "give each its own")
            }
            rules.append(rule)
        }
        if rules.count > DialPolicy.maximumRules {
            dial.refuse(
                "rules", "'\(dial.name("rules"))' has more than \(DialPolicy.maximumRules) entries",
                remedy: "join those of one action: each takes lists")
        }
        if rules.reduce(0, { $0 + $1.prefixes.count }) > DialPolicy.maximumPrefixes {
            dial.refuse(
                "rules", "'\(dial.name("rules"))' has more than \(DialPolicy.maximumPrefixes) prefixes in all entries",
                remedy: "write larger prefixes in place of many small ones")
        }
        return rules
    }

    private static func read(_ section: ConfigurationSection, number: Int) -> DialRule? {
        let action = section.required("action", SettingKind<Action>.choice, sample: "deny")
        var rule = DialRule(action ?? .deny, name: section.value("name", .ruleLabel, default: "\(number)"))
        rule.prefixes = section.values("to", .prefix)
        rule.domains = section.values("domain", .domainPattern)
        rule.ports = section.values("ports", .portRange)
        rule.transport = section.optional("protocol", SettingKind<DialTransport>.choice)
        rule.users = section.values("user", .userName)
        section.refuseUnknownKeys()
        return action == nil ? nil : rule
    }
}

extension SettingKind where Value == DomainPattern {
    static var domainPattern: SettingKind {
        let expected = "a name, .name for it and all below it, or *.name for all below it"
        return SettingKind(expected: expected) { (text: String) -> Outcome in
            do throws(DomainNameError) {
                return .value(try DomainPattern(text))
            } catch {
                return .refused(because: "as a name it is wrong: \(error)")
            }
        }
    }
}

extension SettingKind where Value == ClosedRange<UInt16> {
    /// `443`, `8000-8999`.
    package static var portRange: SettingKind {
        SettingKind(expected: "a port such as 443, or ports such as 8000-8999") { (text: String) -> Value? in
            let bounds = text.split(separator: "-", omittingEmptySubsequences: false).map { Int(decimal: $0) }
            guard (1...2).contains(bounds.count), let low = bounds[0], let high = bounds[bounds.count - 1],
                (1...65_535).contains(low), (low...65_535).contains(max(low, high)), high >= low
            else { return nil }
            return UInt16(low)...UInt16(high)
        }
    }
}

extension SettingKind where Value == Endpoint {
    /// An address with or without a port, which is 53 otherwise.
    static var nameServer: SettingKind {
        SettingKind(expected: "an address such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53") {
            (text: String) -> Value? in
            if let address = IPAddress(text) { return Endpoint(address, 53) }
            return Endpoint(text).flatMap { $0.port > 0 ? $0 : nil }
        }
    }
}

extension SettingKind where Value == String {
    /// A name that stands in logs and on command lines.
    static var ruleLabel: SettingKind {
        SettingKind(expected: "1 to 64 characters without spaces") { (text: String) -> Value? in
            let isPlain = text.unicodeScalars.allSatisfy { scalar in
                switch scalar.properties.generalCategory {
                case .control, .format, .lineSeparator, .paragraphSeparator, .spaceSeparator, .surrogate: false
                default: true
                }
            }
            return isPlain && (1...64).contains(text.count) ? text : nil
        }
    }
}

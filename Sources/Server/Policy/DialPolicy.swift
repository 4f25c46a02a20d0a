import Primitives
import Tunnel

/// Where the server may dial: everything that is public, unless the configuration says otherwise.
///
/// A client must not reach what only the server can reach: its own services, its provider's metadata, its LAN. The rules
/// are asked in their order, and the first that matches decides; then special addresses and the server's own ones
/// are refused; what is left is allowed. An address that stands for another is judged as both.
///
/// Only a rule that names addresses opens one that is the server's own or special. A rule that allows a name or a port
/// does not: whoever owns a name says what address it has.
public struct DialPolicy: Equatable, Sendable {
    /// The most rules, and the most prefixes of all of them.
    public static let maximumRules = 1_024
    public static let maximumPrefixes = 16_384

    /// Of the rules, in their order.
    public let ruleNames: [String]
    /// What the kernel delivers to this machine itself.
    public var ownAddresses = PrefixSet()
    private let rules: [CompiledRule]

    /// - Parameters:
    ///   - allow: prefixes that are allowed whatever follows; the first rule, named `allow`.
    ///   - deny: prefixes that are refused whatever follows; the second rule, named `deny`.
    public init(allow: [IPPrefix] = [], deny: [IPPrefix] = [], rules: [DialRule] = []) {
        var all: [DialRule] = []
        if !allow.isEmpty {
            var rule = DialRule(.allow, name: "allow")
            rule.prefixes = allow
            all.append(rule)
        }
        if !deny.isEmpty {
            var rule = DialRule(.deny, name: "deny")
            rule.prefixes = deny
            all.append(rule)
        }
        all += rules
        ruleNames = all.map(\.name)
        self.rules = all.map(CompiledRule.init)
    }

    /// The verdict on an address, as it would be dialled. Allocates nothing, but for a name that a rule asks for.
    public func verdict(_ destination: Endpoint, _ asker: DialAsker) -> DialVerdict {
        guard destination.port != 0 else { return .denied(by: .impossible) }
        let verdict = decide(destination.address, destination.port, asker)
        guard verdict.isAllowed, let embedded = destination.address.embedded else { return verdict }
        let other = decide(embedded, destination.port, asker)
        return other.isAllowed ? verdict : other
    }

    /// The verdict on a name that can be given before it is looked up: nil where that depends on its addresses, which are
    /// to be asked about in any case.
    public func earlyVerdict(port: UInt16, _ asker: DialAsker) -> DialVerdict? {
        guard port != 0 else { return .denied(by: .impossible) }
        for index in rules.indices where rules[index].matches(port: port, asker) {
            if rules[index].isAllow { return nil }
            // One that refuses some of the addresses leaves the others to the next.
            if rules[index].prefixes == nil { return .denied(by: .rule(index)) }
        }
        return nil
    }

    private func decide(_ address: IPAddress, _ port: UInt16, _ asker: DialAsker) -> DialVerdict {
        var source = DialVerdict.Source.nothing
        for index in rules.indices where rules[index].matches(address, port: port, asker) {
            guard rules[index].isAllow else { return .denied(by: .rule(index)) }
            source = .rule(index)
            if rules[index].prefixes != nil { return .allowed(by: source) }
            break
        }
        if let kind = SpecialAddress(address) { return .denied(by: .special(kind)) }
        if ownAddresses.contains(address) { return .denied(by: .own) }
        return .allowed(by: source)
    }

    /// The part of the policy that gave a verdict, for logs.
    public func text(_ source: DialVerdict.Source) -> String {
        switch source {
        case .rule(let index): index < ruleNames.count ? "rule \(ruleNames[index])" : "rule"
        case .own: "own"
        case .special(let kind): kind.rawValue
        case .impossible: "impossible"
        case .user: "user"
        case .nothing: "default"
        }
    }
}

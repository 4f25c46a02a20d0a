import Primitives
import Tunnel

/// What flows carry.
public enum DialTransport: String, CaseIterable, Sendable {
    case tcp, udp
}

/// One rule of the dial policy. It matches a dial when each of its conditions does; an empty list is no condition.
public struct DialRule: Equatable, Sendable {
    public enum Action: String, CaseIterable, Sendable {
        case allow, deny
    }

    /// For logs and counters.
    public var name: String
    public var action: Action
    public var prefixes: [IPPrefix] = []
    /// Matches only where the client gave a name: one that asked a resolver by itself gives an address.
    public var domains: [DomainPattern] = []
    public var ports: [ClosedRange<UInt16>] = []
    public var transport: DialTransport?
    public var users: [String] = []

    public init(_ action: Action, name: String) {
        self.action = action
        self.name = name
    }
}

/// A rule in the form in which it is asked.
struct CompiledRule: Equatable, Sendable {
    let isAllow: Bool
    /// Nil where the rule has no such condition.
    let prefixes: PrefixSet?
    private let domains: DomainSet?
    private let ports: [ClosedRange<UInt16>]
    private let transport: DialTransport?
    private let users: Set<String>

    init(_ rule: DialRule) {
        isAllow = rule.action == .allow
        prefixes = rule.prefixes.isEmpty ? nil : PrefixSet(rule.prefixes)
        domains = rule.domains.isEmpty ? nil : DomainSet(rule.domains)
        ports = rule.ports
        transport = rule.transport
        users = Set(rule.users)
    }

    /// All conditions but that on the address.
    func matches(port: UInt16, _ asker: DialAsker) -> Bool {
        if let transport, transport != asker.transport { return false }
        if !ports.isEmpty, !ports.contains(where: { $0.contains(port) }) { return false }
        if let domains {
            guard let name = asker.name, domains.contains(name) else { return false }
        }
        guard !users.isEmpty else { return true }
        guard let user = asker.user else { return false }
        return users.contains(user)
    }

    func matches(_ address: IPAddress, port: UInt16, _ asker: DialAsker) -> Bool {
        if let prefixes, !prefixes.contains(address) { return false }
        return matches(port: port, asker)
    }
}

/// What is known of a dial besides the address: what rules may ask for.
public struct DialAsker: Sendable {
    public var transport: DialTransport
    /// The name that the client asked for, if it was one.
    public var name: DomainName?
    /// The user of the session, where sessions have users.
    public var user: String?

    public init(_ transport: DialTransport, name: DomainName? = nil, user: String? = nil) {
        self.transport = transport
        self.name = name
        self.user = user
    }
}

import Primitives

/// One line of the list of destinations that a user may reach: addresses or names, and ports.
///
/// | text | allows |
/// | --- | --- |
/// | `203.0.113.0/24`, `2001:db8::/32`, `192.0.2.7` | these addresses |
/// | `example.org` | this name |
/// | `*.example.org` | all names below it |
/// | `192.0.2.7:443`, `[2001:db8::/32]:80-90`, `example.org:443` | the same at these ports |
/// | `*:443` | everything at this port |
public struct DestinationRule: Hashable, Sendable {
    public enum Target: Hashable, Sendable {
        case anything
        case addresses(IPPrefix)
        /// Lower case, without a dot at the end.
        case name(String)
        /// All names that end with a dot and this.
        case namesBelow(String)
    }

    /// Why a text is no rule.
    public enum Fault: Error, Hashable, Sendable {
        case empty, badPorts, badAddress, badName
    }

    public let target: Target
    public let ports: ClosedRange<UInt16>

    public init(_ text: String) throws(Fault) {
        guard !text.isEmpty else { throw .empty }
        let (host, ports) = try Self.split(text)
        self.ports = ports
        target = try Self.target(host)
    }

    private static let everyPort: ClosedRange<UInt16> = 0...UInt16.max

    /// An IPv6 address has colons of its own: with ports it stands in brackets.
    private static func split(_ text: String) throws(Fault) -> (Substring, ClosedRange<UInt16>) {
        if text.first == "[" {
            guard let end = text.lastIndex(of: "]") else { throw .badAddress }
            let host = text[text.index(after: text.startIndex)..<end]
            guard host.contains(":") else { throw .badAddress }
            let rest = text[text.index(after: end)...]
            if rest.isEmpty { return (host, everyPort) }
            guard rest.first == ":" else { throw .badPorts }
            return (host, try Self.ports(rest.dropFirst()))
        }
        let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
        guard colons == 1, let colon = text.firstIndex(of: ":") else { return (text[...], everyPort) }
        return (text[..<colon], try Self.ports(text[text.index(after: colon)...]))
    }

    private static func ports(_ text: Substring) throws(Fault) -> ClosedRange<UInt16> {
        let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = port(parts[0]), let last = parts.count == 2 ? port(parts[1]) : first, first <= last else {
            throw .badPorts
        }
        return first...last
    }

    private static func port(_ text: Substring) -> UInt16? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }),
            let port = UInt16(text), port > 0
        else { return nil }
        return port
    }

    private static func target(_ host: Substring) throws(Fault) -> Target {
        guard !host.isEmpty else { throw .badName }
        if host == "*" { return .anything }
        if host.hasPrefix("*.") { return .namesBelow(try name(host.dropFirst(2))) }
        // What looks like an address is one, or is wrong: never a name.
        let isNumeric = host.utf8.allSatisfy {
            (48...57).contains($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/")
        }
        if isNumeric || host.contains(":") || host.contains("/") {
            guard let prefix = IPPrefix(String(host)) else { throw .badAddress }
            return .addresses(prefix)
        }
        return .name(try name(host))
    }

    /// Letters, digits, hyphens and underscores with dots between (RFC 1123, section 2.1), in lower case. Other alphabets in their
    /// ASCII form (RFC 5890, A-labels).
    private static func name(_ text: Substring) throws(Fault) -> String {
        let name = text.hasSuffix(".") ? text.dropLast() : text
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        let isGood = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { byte in
                    switch byte | 0x20 {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"): true
                    default: (48...57).contains(byte) || byte == 0x2D || byte == 0x5F
                    }
                }
        }
        guard isGood, (1...253).contains(name.utf8.count), let last = labels.last,
            !last.utf8.allSatisfy({ (48...57).contains($0) })
        else { throw .badName }
        return name.lowercased()
    }
}

extension DestinationRule {
    /// - Parameter name: as the client asked for it, in lower case without a dot at the end; nil when it asked for an address.
    @inline(__always)
    public func allows(_ endpoint: Endpoint, name: String? = nil) -> Bool {
        guard ports.contains(endpoint.port) else { return false }
        switch target {
        case .anything: return true
        case .addresses(let prefix): return prefix.contains(endpoint.address.unmapped)
        case .name, .namesBelow: return name.map(matches) ?? false
        }
    }

    /// Whether it may allow an address of this name.
    func mayAllow(_ name: String, port: UInt16) -> Bool {
        guard ports.contains(port) else { return false }
        switch target {
        case .anything, .addresses: return true
        case .name, .namesBelow: return matches(name)
        }
    }

    private func matches(_ name: String) -> Bool {
        switch target {
        case .anything, .addresses: return false
        case .name(let own): return name == own
        case .namesBelow(let domain):
            guard name.utf8.count > domain.utf8.count + 1 else { return false }
            return name.hasSuffix(domain) && name.utf8.dropLast(domain.utf8.count).last == UInt8(ascii: ".")
        }
    }
}

extension [DestinationRule] {
    /// Whether one of them allows the destination, or there is none.
    public func allow(_ endpoint: Endpoint, name: String? = nil) -> Bool {
        isEmpty || contains { $0.allows(endpoint, name: name) }
    }
}

extension DestinationRule: CustomStringConvertible {
    /// The text that makes the same rule.
    public var description: String {
        let host =
            switch target {
            case .anything: "*"
            case .addresses(let prefix): prefix.length == prefix.address.bitWidth ? "\(prefix.address)" : "\(prefix)"
            case .name(let name): name
            case .namesBelow(let domain): "*.\(domain)"
            }
        guard ports != Self.everyPort else { return host }
        let range = ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
        return host.contains(":") ? "[\(host)]:\(range)" : "\(host):\(range)"
    }
}

extension DestinationRule.Fault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .empty: "there is nothing"
        case .badPorts: "ports are a number from 1 to 65535, or two with a hyphen, such as 8000-8999"
        case .badAddress:
            "addresses are written as 203.0.113.0/24 or 2001:db8::/32, without bits beyond the length; "
                + "with ports as [2001:db8::/32]:443"
        case .badName: "names are letters, digits and hyphens with dots between; one '*.' may stand in front"
        }
    }
}

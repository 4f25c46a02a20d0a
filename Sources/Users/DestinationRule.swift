import Primitives
import Tunnel

/// One line of the list of destinations that a user may reach: addresses or names, and ports.
///
/// | text | allows |
/// | --- | --- |
/// | `203.0.113.0/24`, `2001:db8::/32`, `192.0.2.7` | these addresses |
/// | `example.org` | this name |
/// | `.example.org` | this name and all below it |
/// | `*.example.org` | all names below it |
/// | `192.0.2.7:443`, `[2001:db8::/32]:80-90`, `example.org:443` | the same at these ports |
/// | `*:443` | everything at this port |
public struct DestinationRule: Hashable, Sendable {
    public enum Target: Hashable, Sendable {
        case anything
        case addresses(IPPrefix)
        case names(DomainPattern)
    }

    /// Why a text is no rule.
    public enum Fault: Error, Hashable, Sendable {
        case empty, badPorts, badAddress
        case badName(DomainNameError)
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
        if host == "*" { return .anything }
        // What looks like an address is one, or is wrong: never a name.
        let isNumeric =
            !host.hasPrefix(".") && !host.isEmpty
            && host.utf8.allSatisfy {
                (48...57).contains($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/")
            }
        if isNumeric || host.contains(":") || host.contains("/") {
            guard let prefix = IPPrefix(String(host)) else { throw .badAddress }
            return .addresses(prefix)
        }
        do throws(DomainNameError) {
            return .names(try DomainPattern(String(host)))
        } catch {
            throw .badName(error)
        }
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
        case .names(let pattern): return name.map(pattern.matches) ?? false
        }
    }

    /// Whether it may allow an address of this name.
    func mayAllow(_ name: String, port: UInt16) -> Bool {
        guard ports.contains(port) else { return false }
        switch target {
        case .anything, .addresses: return true
        case .names(let pattern): return pattern.matches(name)
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
            case .names(let pattern): pattern.description
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
        case .badName(let error):
            "as a name it is wrong: \(error); write example.org, .example.org for it and all below it, or *.example.org for all below it"
        }
    }
}

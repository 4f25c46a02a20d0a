import Tunnel

/// What a rule says of names: `example.org` is that name alone, `.example.org` that name and all below it,
/// `*.example.org` all below it alone.
public struct DomainPattern: Hashable, Sendable, CustomStringConvertible {
    enum Reach: Hashable, Sendable {
        case exact, subtree, below
    }

    let name: DomainName
    let reach: Reach

    /// - Parameter text: in ASCII: names in other scripts as `xn--` (RFC 5890). Case and a dot at the end do not matter.
    public init(_ text: String) throws(DomainNameError) {
        if text.hasPrefix("*.") {
            reach = .below
            name = try DomainName(String(text.dropFirst(2)))
        } else if text.hasPrefix(".") {
            reach = .subtree
            name = try DomainName(String(text.dropFirst()))
        } else {
            reach = .exact
            name = try DomainName(text)
        }
    }

    public var description: String {
        switch reach {
        case .exact: name.text
        case .subtree: "." + name.text
        case .below: "*." + name.text
        }
    }
}

/// Many patterns, asked with one look-up for each label of a name.
struct DomainSet: Equatable, Sendable {
    private struct Reaches: OptionSet {
        let rawValue: UInt8
        static let itself = Reaches(rawValue: 1)
        static let below = Reaches(rawValue: 2)
    }

    private let table: [Substring: UInt8]

    init(_ patterns: [DomainPattern]) {
        var table: [Substring: UInt8] = [:]
        for pattern in patterns {
            let reaches: Reaches =
                switch pattern.reach {
                case .exact: .itself
                case .subtree: [.itself, .below]
                case .below: .below
                }
            table[pattern.name.text[...], default: 0] |= reaches.rawValue
        }
        self.table = table
    }

    func contains(_ name: DomainName) -> Bool {
        var rest = name.text[...]
        var wanted = Reaches.itself
        while true {
            if let found = table[rest], !Reaches(rawValue: found).isDisjoint(with: wanted) { return true }
            guard let dot = rest.utf8.firstIndex(of: UInt8(ascii: ".")) else { return false }
            rest = rest[rest.utf8.index(after: dot)...]
            wanted = .below
        }
    }
}

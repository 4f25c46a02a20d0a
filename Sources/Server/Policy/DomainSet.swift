import Tunnel

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

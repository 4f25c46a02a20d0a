/// Whether a dial may be made, and what says so.
public struct DialVerdict: Equatable, Sendable {
    public enum Source: Equatable, Sendable {
        /// The rule of this place.
        case rule(Int)
        /// The address is one of the server's own.
        case own
        case special(SpecialAddress)
        /// Port 0, or an address of the wrong family: nothing that could be dialled.
        case impossible
        /// It is not among the destinations that the user may reach.
        case user
        /// Nothing speaks against it.
        case nothing
    }

    public let isAllowed: Bool
    public let source: Source

    static func allowed(by source: Source) -> DialVerdict { DialVerdict(isAllowed: true, source: source) }
    static func denied(by source: Source) -> DialVerdict { DialVerdict(isAllowed: false, source: source) }
}

/// How often each part of the policy has decided. Everything only grows, until another policy takes its place.
public struct DialCounters: Equatable, Sendable {
    /// Dials and datagrams that each rule has decided, by the name of the rule.
    public private(set) var rules: [(name: String, count: Int)]
    public private(set) var own = 0
    public private(set) var impossible = 0
    public private(set) var user = 0
    private var special = [Int](repeating: 0, count: SpecialAddress.allCases.count)

    public init(_ policy: DialPolicy) { rules = policy.ruleNames.map { ($0, 0) } }

    public static func == (a: DialCounters, b: DialCounters) -> Bool { a.list.elementsEqual(b.list, by: ==) }

    public func denied(as kind: SpecialAddress) -> Int { special[Self.index(kind)] }

    private static func index(_ kind: SpecialAddress) -> Int { SpecialAddress.allCases.firstIndex(of: kind) ?? 0 }

    /// - Returns: false where nothing was counted.
    mutating func note(_ verdict: DialVerdict) {
        switch verdict.source {
        case .rule(let index): rules[index].count += 1
        case .own: own += 1
        case .special(let kind): special[Self.index(kind)] += 1
        case .impossible: impossible += 1
        case .user: user += 1
        case .nothing: break
        }
    }

    /// Adds what another loop has counted with the same policy.
    public mutating func add(_ other: DialCounters) {
        for index in rules.indices where index < other.rules.count { rules[index].count += other.rules[index].count }
        own += other.own
        impossible += other.impossible
        user += other.user
        for index in special.indices { special[index] += other.special[index] }
    }

    /// All that is not zero, and all rules: `rule NAME`, `own`, `user` or the kind of special address.
    public var list: [(name: String, count: Int)] {
        rules.map { ("rule \($0.name)", $0.count) }
            + ([("own", own), ("impossible", impossible), ("user", user)]
            + SpecialAddress.allCases.map { ($0.rawValue, denied(as: $0)) }).filter { $0.1 > 0 }
    }
}

import Primitives
import Testing
import Tunnel

@testable import Server

struct DialPolicyTests {
    private static func rule(
        _ action: DialRule.Action, _ name: String, to: [String] = [], domain: [String] = [],
        ports: [ClosedRange<UInt16>] = [], transport: DialTransport? = nil, users: [String] = []
    ) throws -> DialRule {
        var rule = DialRule(action, name: name)
        rule.prefixes = try to.map { try #require(IPPrefix($0)) }
        rule.domains = try domain.map { try DomainPattern($0) }
        rule.ports = ports
        rule.transport = transport
        rule.users = users
        return rule
    }

    private static func isAllowed(
        _ policy: DialPolicy, _ endpoint: String, _ transport: DialTransport = .tcp, name: String? = nil,
        user: String? = nil
    ) throws -> Bool {
        let asker = DialAsker(transport, name: try name.map { try DomainName($0) }, user: user)
        return policy.verdict(try #require(Endpoint(endpoint)), asker).isAllowed
    }

    @Test func allowWinsOverDenyAndDenyOverTheRest() throws {
        let policy = DialPolicy(
            allow: [IPPrefix("10.1.0.0/16")!, IPPrefix("1.1.1.1/32")!], deny: [IPPrefix("1.1.0.0/16")!])
        #expect(try Self.isAllowed(policy, "10.1.2.3:80"))
        #expect(try !Self.isAllowed(policy, "10.2.2.3:80"))
        #expect(try Self.isAllowed(policy, "1.1.1.1:80"))
        #expect(try !Self.isAllowed(policy, "1.1.1.2:80"))
        #expect(try !Self.isAllowed(policy, "[::ffff:1.1.1.2]:80"))
        // What an address stands for is allowed, but not the form.
        #expect(try !Self.isAllowed(policy, "[::ffff:10.1.2.3]:80"))
        #expect(policy.ruleNames == ["allow", "deny"])
    }

    @Test func portZeroIsDenied() throws {
        let open = DialPolicy(allow: [IPPrefix("0.0.0.0/0")!])
        #expect(open.verdict(Endpoint("1.1.1.1:0")!, DialAsker(.tcp)).source == .impossible)
    }

    @Test func theFirstRuleThatMatchesDecides() throws {
        let policy = DialPolicy(rules: [
            try Self.rule(.allow, "one", to: ["1.1.1.1"], ports: [443...443]),
            try Self.rule(.deny, "two", to: ["1.1.1.0/24"]),
            try Self.rule(.allow, "three", to: ["1.1.1.0/24", "10.0.0.0/8"]),
        ])
        #expect(try Self.isAllowed(policy, "1.1.1.1:443"))
        #expect(try !Self.isAllowed(policy, "1.1.1.1:80"))
        #expect(try !Self.isAllowed(policy, "1.1.1.2:443"))
        #expect(try Self.isAllowed(policy, "10.9.9.9:1"))
        #expect(policy.verdict(Endpoint("1.1.1.1:443")!, DialAsker(.tcp)).source == .rule(0))
        #expect(policy.verdict(Endpoint("1.1.1.1:80")!, DialAsker(.tcp)).source == .rule(1))
        #expect(policy.verdict(Endpoint("8.8.8.8:80")!, DialAsker(.tcp)).source == .nothing)
        #expect(policy.verdict(Endpoint("127.0.0.1:80")!, DialAsker(.tcp)).source == .special(.loopback))
    }

    @Test func allConditionsOfARuleMustHold() throws {
        let policy = DialPolicy(rules: [
            try Self.rule(
                .allow, "all", to: ["10.0.0.0/8"], domain: [".test"], ports: [80...90, 443...443], transport: .udp,
                users: ["alice", "bob"])
        ])
        #expect(try Self.isAllowed(policy, "10.0.0.1:85", .udp, name: "a.test", user: "bob"))
        #expect(try !Self.isAllowed(policy, "11.0.0.1:0", .udp, name: "a.test", user: "bob"))
        #expect(try !Self.isAllowed(policy, "10.0.0.1:91", .udp, name: "a.test", user: "bob"))
        #expect(try !Self.isAllowed(policy, "10.0.0.1:85", .tcp, name: "a.test", user: "bob"))
        #expect(try !Self.isAllowed(policy, "10.0.0.1:85", .udp, name: "a.example", user: "bob"))
        #expect(try !Self.isAllowed(policy, "10.0.0.1:85", .udp, name: "a.test", user: "eve"))
        #expect(try !Self.isAllowed(policy, "10.0.0.1:85", .udp, name: "a.test"))
        #expect(try !Self.isAllowed(policy, "10.0.0.1:85", .udp, user: "bob"))
    }

    /// The owner of a name says what address it has: a rule that allows the name does not allow the server's network.
    @Test func onlyARuleThatNamesAddressesOpensSpecialOnes() throws {
        var policy = DialPolicy(rules: [
            try Self.rule(.allow, "both", to: ["10.1.0.0/16"], domain: ["inside.test"]),
            try Self.rule(.allow, "name", domain: [".test"]),
            try Self.rule(.allow, "port", ports: [8080...8080]),
            try Self.rule(.deny, "rest"),
        ])
        policy.ownAddresses = PrefixSet([IPPrefix("9.9.9.9")!])
        #expect(try Self.isAllowed(policy, "1.1.1.1:80", name: "a.test"))
        #expect(try !Self.isAllowed(policy, "127.0.0.1:80", name: "a.test"))
        #expect(try !Self.isAllowed(policy, "10.1.0.1:80", name: "a.test"))
        #expect(try !Self.isAllowed(policy, "9.9.9.9:80", name: "a.test"))
        #expect(try Self.isAllowed(policy, "10.1.0.1:80", name: "inside.test"))
        #expect(try !Self.isAllowed(policy, "10.2.0.1:80", name: "inside.test"))
        #expect(try Self.isAllowed(policy, "1.1.1.1:8080"))
        #expect(try !Self.isAllowed(policy, "10.1.0.1:8080"))
        #expect(try !Self.isAllowed(policy, "1.1.1.1:80"))
    }

    @Test func ownAddressesAreDeniedUnlessARuleNamesThem() throws {
        var policy = DialPolicy()
        #expect(try Self.isAllowed(policy, "203.0.113.1:22"))
        policy.ownAddresses = PrefixSet([IPPrefix("203.0.113.1")!, IPPrefix("2001:db8::1")!])
        #expect(policy.verdict(Endpoint("203.0.113.1:22")!, DialAsker(.tcp)).source == .own)
        #expect(policy.verdict(Endpoint("[2001:db8::1]:22")!, DialAsker(.udp)).source == .own)
        #expect(try Self.isAllowed(policy, "203.0.113.2:22"))
        var open = DialPolicy(allow: [IPPrefix("203.0.113.1")!])
        open.ownAddresses = policy.ownAddresses
        #expect(try Self.isAllowed(open, "203.0.113.1:22"))
    }

    @Test func aNameIsRefusedBeforeItIsLookedUpWhereItsAddressDoesNotMatter() throws {
        let policy = DialPolicy(rules: [
            try Self.rule(.deny, "some", to: ["1.1.1.0/24"]),
            try Self.rule(.deny, "secret", domain: [".secret.test"]),
            try Self.rule(.allow, "there", to: ["1.1.1.0/24"], domain: [".maybe.test"]),
            try Self.rule(.deny, "maybe", domain: [".maybe.test"]),
            try Self.rule(.deny, "mail", ports: [25...25]),
        ])
        func early(_ name: String, port: UInt16 = 80) throws -> DialVerdict? {
            policy.earlyVerdict(port: port, DialAsker(.tcp, name: try DomainName(name)))
        }
        #expect(try early("a.secret.test")?.source == .rule(1))
        #expect(try early("a.maybe.test") == nil)
        #expect(try early("other.test") == nil)
        #expect(try early("other.test", port: 25)?.source == .rule(4))
        #expect(try early("other.test", port: 0)?.source == .impossible)
    }

    @Test(
        arguments: [
            ("a.test", ["a.test", "A.TEST", "a.test."], ["b.a.test", "test", "ba.test"]),
            (".a.test", ["a.test", "b.a.test", "c.b.A.test"], ["test", "ba.test", "a.test.example"]),
            ("*.a.test", ["b.a.test", "c.b.a.test"], ["a.test", "ba.test"]),
            (".test", ["test", "a.test"], ["test.example", "atest"]),
            ("X.Test.", ["x.test"], ["a.x.test"]),
        ])
    func patternsOfNames(pattern: String, inside: [String], outside: [String]) throws {
        let one = try DomainPattern(pattern)
        let set = DomainSet([one])
        for (names, isInside) in [(inside, true), (outside, false)] {
            for name in try names.map({ try DomainName($0) }) {
                #expect(set.contains(name) == isInside, "\(pattern) \(name)")
                #expect(one.matches(name.text) == isInside, "\(pattern) \(name)")
            }
        }
    }

    @Test func patternsOfOneNameAreJoined() throws {
        let set = DomainSet([try DomainPattern("a.test"), try DomainPattern("*.a.test")])
        for name in ["a.test", "b.a.test"] { #expect(set.contains(try DomainName(name))) }
    }

    @Test(arguments: ["", ".", "*", "*.", "..test", "a..test", "*.*.test", "a b.test", "1.2.3.4", ".5"])
    func whatIsNoPattern(text: String) { #expect(throws: DomainNameError.self) { try DomainPattern(text) } }

    @Test func verdictsAreCounted() throws {
        var policy = DialPolicy(rules: [
            try Self.rule(.deny, "mail", ports: [25...25]), try Self.rule(.allow, "web", ports: [443...443]),
        ])
        policy.ownAddresses = PrefixSet([IPPrefix("9.9.9.9")!])
        var counters = DialCounters(policy)
        let asked = [
            "1.1.1.1:25", "1.1.1.1:25", "1.1.1.1:443", "1.1.1.1:80", "9.9.9.9:80", "10.0.0.1:80", "1.1.1.1:0",
        ]
        for text in asked { counters.note(policy.verdict(Endpoint(text)!, DialAsker(.tcp))) }
        let expected = [("rule mail", 2), ("rule web", 1), ("own", 1), ("impossible", 1), ("private", 1)]
        #expect(counters.list.elementsEqual(expected, by: ==), "\(counters.list)")
        var sum = DialCounters(policy)
        sum.add(counters)
        sum.add(counters)
        #expect(sum.list.map(\.count) == [4, 2, 2, 2, 2])
    }
}

import Primitives
import Testing
import Tunnel
import Users

@Suite struct DestinationRuleTests {
    @Test(arguments: [
        "*", "*:443", "192.0.2.7", "192.0.2.0/24", "192.0.2.0/24:80-90", "2001:db8::/32", "[2001:db8::/32]:443",
        "[2001:db8::1]:1-65535", "example.org", ".example.org", "*.example.org", ".example.org:22", "example.org:443",
        "a_b.example:8000-8999",
    ])
    func textsReadAsWritten(_ text: String) throws { #expect(try DestinationRule(text).description == text) }

    @Test func spellings() throws {
        #expect(try DestinationRule("Example.ORG.").description == "example.org")
        #expect(try DestinationRule("192.0.2.7/32:80-80").description == "192.0.2.7:80")
        #expect(try DestinationRule("[2001:db8::]").description == "2001:db8::")
        #expect(try DestinationRule("*.München.example:443").description == "*.xn--mnchen-3ya.example:443")
        #expect(try DestinationRule("例え。テスト").description == "xn--r8jz45g.xn--zckzah")
    }

    @Test(arguments: [
        ("", DestinationRule.Fault.empty), ("192.0.2.1/24", .badAddress), ("192.0.2", .badAddress),
        ("1.2.3.4.5", .badAddress),
        ("2001:db8::/129", .badAddress), ("[2001:db8::", .badAddress), ("[192.0.2.1]:80", .badAddress),
        ("[2001:db8::]80", .badPorts), ("192.0.2.1:", .badPorts), ("192.0.2.1:0", .badPorts), ("a:65536", .badPorts),
        ("a:9-8", .badPorts), ("a:1-2-3", .badPorts), ("a:+1", .badPorts), ("a..b", .badName(.badLabel)),
        ("a.7", .badName(.numeric)), ("*.", .badName(.empty)), ("a.*", .badName(.badCharacter)),
        ("..a", .badName(.badLabel)), (":80", .badName(.empty)), (".7", .badName(.numeric)),
    ])
    func otherTexts(text: String, fault: DestinationRule.Fault) {
        #expect(throws: fault) { try DestinationRule(text) }
    }

    @Test func whatIsAllowed() throws {
        let rules = try ["192.0.2.0/24:80-90", "2001:db8::/32", "example.org:443", "*.example.org"].map {
            try DestinationRule($0)
        }
        func allows(_ endpoint: String, _ name: String? = nil) -> Bool { rules.allow(Endpoint(endpoint)!, name: name) }
        #expect(allows("192.0.2.255:80") && allows("192.0.2.0:90"))
        #expect(!allows("192.0.2.1:79") && !allows("192.0.2.1:91") && !allows("192.0.3.1:80"))
        #expect(allows("[2001:db8::5]:1"))
        // The IPv4 address inside an IPv6 one is what is meant.
        #expect(allows("[::ffff:192.0.2.1]:80"))
        #expect(allows("198.51.100.1:443", "example.org") && !allows("198.51.100.1:80", "example.org"))
        #expect(allows("198.51.100.1:80", "a.b.example.org"))
        #expect(!allows("198.51.100.1:80", "badexample.org") && !allows("198.51.100.1:80", ".example.org"))
        #expect(!allows("198.51.100.1:443"))
        #expect([DestinationRule]().allow(Endpoint("198.51.100.1:443")!))
        let subtree = [try DestinationRule(".example.org")]
        for name in ["example.org", "a.example.org"] {
            #expect(subtree.allow(Endpoint("198.51.100.1:443")!, name: name))
        }
        #expect(!subtree.allow(Endpoint("198.51.100.1:443")!, name: "badexample.org"))
        #expect([try DestinationRule("*:53")].allow(Endpoint("198.51.100.1:53")!))
    }

    /// Before a name is looked up: only what no address of it could change is refused.
    @Test(arguments: [
        ("example.org:443", true), ("example.org:80", false), ("a.example.org:80", true), ("badexample.org:443", false),
        ("other.test:443", false), ("other.test:22", true),
    ])
    func namesThatMayBeAllowed(target: String, isAllowed: Bool) throws {
        var limits = UserLimits()
        limits.destinations = try ["192.0.2.0/24:22", "example.org:443", "*.example.org"].map {
            try DestinationRule($0)
        }
        let account = Account(id: 1, name: UserName("anna")!, limits: limits)
        let parts = target.split(separator: ":")
        #expect(account.mayAllow(String(parts[0]), port: UInt16(parts[1])!) == isAllowed)
        account.apply(UserLimits())
        #expect(account.mayAllow(String(parts[0]), port: UInt16(parts[1])!))
    }
}

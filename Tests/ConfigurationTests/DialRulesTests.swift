import Primitives
import Server
import TestSupport
import Testing
import Tunnel

@testable import Configuration

@Suite struct DialRulesTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private func rules(_ text: String) throws -> [DialRule] {
        let yaml = minimalServer + "dial:\n  rules:\n" + text
        return try ServerConfiguration.parse(yaml, file: folder("s.yaml")).dial.rules
    }

    private func problems(_ text: String) -> String {
        serverProblems(minimalServer + "dial:\n  rules:\n" + text, in: folder)
    }

    @Test func everyConditionIsRead() throws {
        let rules = try rules(
            """
                - name: all
                  action: allow
                  to: [10.0.0.0/8, "fd00::/8"]
                  domain: [Example.ORG, .example.net., "*.test"]
                  ports: [443, 8000-8999]
                  protocol: udp
                  user: [alice, bob]
                - { action: deny, to: 192.0.2.1, domain: one.test, ports: 25, user: eve }
                - action: deny

            """)
        #expect(rules.map(\.name) == ["all", "2", "3"])
        #expect(rules.map(\.action) == [.allow, .deny, .deny])
        #expect(rules[0].prefixes.map(\.description) == ["10.0.0.0/8", "fd00::/8"])
        #expect(rules[0].domains.map(\.description) == ["example.org", ".example.net", "*.test"])
        #expect(rules[0].ports == [443...443, 8000...8999])
        #expect(rules[0].transport == .udp && rules[0].users == ["alice", "bob"])
        #expect(rules[1].prefixes.map(\.description) == ["192.0.2.1/32"] && rules[1].users == ["eve"])
        #expect(rules[1].domains.map(\.description) == ["one.test"] && rules[1].ports == [25...25])
        #expect(rules[2].prefixes.isEmpty && rules[2].domains.isEmpty && rules[2].ports.isEmpty)
    }

    /// The forms that IDNA2008 with UTS 46 gives, non-transitional: case is folded, full-width letters and dots are plain ones,
    /// the sharp s stays itself.
    @Test(
        arguments: [
            ("München.example", "xn--mnchen-3ya.example"), (".MÜNCHEN.example", ".xn--mnchen-3ya.example"),
            ("*.faß.example", "*.xn--fa-hia.example"), ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("u\u{308}ber.example", "xn--ber-goa.example"), ("ｅxample.org", "example.org"),
            ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
        ])
    func namesOfAllScriptsHaveOneForm(written: String, form: String) throws {
        let rules = try rules("    - { action: deny, domain: \"\(written)\" }\n")
        #expect(rules[0].domains.map(\.description) == [form])
    }

    @Test(
        arguments: [
            ("- { to: 10.0.0.0/8 }", "'dial.rules[1].action' is missing; add 'action: deny'"),
            ("- { action: refuse }", "'dial.rules[1].action' is 'refuse'; write one of allow, deny"),
            ("- { action: deny, to: [] }", "'dial.rules[1].to' is empty; leave it out, or write ADDRESS/LENGTH"),
            ("- { action: deny, to: [10.0.0.1/8] }", "but bits beyond the length are set"),
            ("- { action: deny, domain: \"a b\" }", "but as a name it is wrong: a character other than letters"),
            ("- { action: deny, domain: \"*\" }", "write a name, .name for it and all below it"),
            ("- { action: deny, domain: 10.1.2.3 }", "but as a name it is wrong: ends in a number"),
            ("- { action: deny, domain: \"\u{200D}.example\" }", "'dial.rules[1].domain' is"),
            ("- { action: deny, ports: 0 }", "write a port such as 443, or ports such as 8000-8999"),
            ("- { action: deny, ports: 9-8 }", "write a port"),
            ("- { action: deny, ports: 1-70000 }", "write a port"),
            ("- { action: deny, ports: 1-2-3 }", "write a port"),
            ("- { action: deny, ports: \"-\" }", "write a port"),
            ("- { action: deny, protocol: icmp }", "write one of tcp, udp"),
            ("- { action: deny, user: \"a\\tb\" }", "write a name of 1 to 255 bytes without control characters"),
            ("- { action: deny, port: 25 }", "unknown key 'port' in 'dial.rules[1]'; did you mean 'ports'?"),
            (
                "- { action: deny, name: x }\n    - { action: deny, name: x }",
                "'dial.rules[2].name' is 'x', as that of a rule before it; give each its own"
            ),
            ("- deny", "'dial.rules[1]' is not a section"),
        ])
    func whatIsWrongIsSaid(text: String, problem: String) {
        let found = problems("    " + text + "\n")
        #expect(found.contains(problem), "\(found)")
    }

    @Test func tooManyRulesAreRefused() {
        let line = "    - action: deny\n      ports: 25\n"
        let full = (0..<DialPolicy.maximumRules).map { _ in line }.joined()
        #expect(problems(full) == "")
        #expect(problems(full + line).contains("has more than \(DialPolicy.maximumRules) entries"))
    }

    @Test func tooManyPrefixesAreRefused() {
        func rule(_ prefixes: Range<Int>) -> String {
            let list = prefixes.map { "'::\(String($0, radix: 16))'" }.joined(separator: ",")
            return "    - action: deny\n      to: [\(list)]\n"
        }
        let full = (0..<4).map { rule(($0 * 4_096)..<($0 * 4_096 + 4_096)) }.joined()
        #expect(DialPolicy.maximumPrefixes == 4 * 4_096)
        #expect(problems(full) == "")
        #expect(problems(full + rule(0..<1)).contains("more than \(DialPolicy.maximumPrefixes) prefixes"))
    }

    @Test func boundsOfLifetimesFit() {
        let found = serverProblems(minimalServer + "names: { minimum-ttl: 2h }\n", in: folder)
        #expect(
            found.contains("'names.minimum-ttl' is 2h, longer than 'names.maximum-ttl' of 1h; make it the shorter one"))
    }
}

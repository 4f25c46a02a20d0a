import TestSupport
import Testing

@testable import Configuration

/// One line added to a good client configuration, and the whole text that must be told about it. Line 4 is the line.
@Suite struct ConfigurationProblemTests {
    private static let syntax =
        "write 'key: value', two spaces deeper in each section; texts with signs such as : # [ ] { } * stand in quotes"

    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    private static let lines: [(String, String)] = [
        ("tun: { adress: [1.2.3.4/24] }", "4:8: unknown key 'adress' in 'tun'; did you mean 'addresses'?"),
        ("sever: h:1", "4:1: unknown key 'sever'; did you mean 'server'?"),
        ("log: { colour: red }", "4:8: unknown key 'colour' in 'log'; known keys here: level"),
        ("server: h:2", "1:1: key 'server' appears more than once; keep one"),
        ("tun: { mtu: 1400, mtu: 1400 }", "4:8: key 'mtu' appears more than once; keep one"),
        ("tun: { mtu: big }", "4:13: 'tun.mtu' is 'big'; write a whole number from 1280 to 65535"),
        ("tun: { mtu: 1279 }", "4:13: 'tun.mtu' is '1279'; write a whole number from 1280 to 65535"),
        ("tun: { mtu: [1400] }", "4:13: 'tun.mtu' is a list; write a whole number from 1280 to 65535"),
        ("tun: { mtu: { a: 1 } }", "4:13: 'tun.mtu' is a section; write a whole number from 1280 to 65535"),
        ("tun: { mtu: }", "4:13: 'tun.mtu' has no value; write a whole number from 1280 to 65535"),
        ("tun: { name: a/b }", "4:14: 'tun.name' is 'a/b'; write 1 to 15 letters, digits, '-', '_' or '.'"),
        (
            "tun: { addresses: [198.18.0.1] }",
            "4:19: 'tun.addresses' has no usable address; write [198.18.0.1/30, \"fd00:5053::1/126\"]\n4:20: 'tun.addresses' is '198.18.0.1'; write ADDRESS/LENGTH, such as 198.18.0.1/30 or fd00:5053::1/126"
        ),
        (
            "tun: { addresses: [10.0.0.1/8, 127.0.0.1/8] }",
            "4:32: 'tun.addresses' is '127.0.0.1/8', but an interface cannot have this address; write ADDRESS/LENGTH, such as 198.18.0.1/30 or fd00:5053::1/126"
        ),
        ("tun: { addresses: 198.18.0.1/30 }", "4:19: 'tun.addresses' is not a list; write [first, second]"),
        ("tun: { offload: on }", "4:17: 'tun.offload' is 'on'; write one of auto, off"),
        ("tun: yes", "4:6: 'tun' is not a section; write 'tun: { key: value }'"),
        (
            "routes: { exclude: [10.0.0.1/8] }",
            "4:21: 'routes.exclude' is '10.0.0.1/8', but bits beyond the length are set; write ADDRESS/LENGTH, such as 10.0.0.0/8 or 2001:db8::/32"
        ),
        (
            "routes: { table: 254 }",
            "4:18: 'routes.table' is 254, one of the system's own tables (default, main, local); choose another number, such as 20563"
        ),
        ("routes: { mark: 0 }", "4:17: 'routes.mark' is '0'; write a whole number from 1 to 4294967295"),
        ("routes: { priority: 32766 }", "4:21: 'routes.priority' is '32766'; write a whole number from 1 to 32000"),
        ("cipher: aes", "4:9: 'cipher' is 'aes'; write one of auto, aes-256-gcm, chacha20-poly1305"),
        (
            "quic: { congestion-control: vegas }",
            "4:29: 'quic.congestion-control' is 'vegas'; write one of bbr2, bbr, cubic, reno"
        ),
        (
            "quic: { idle-timeout: 30 }",
            "4:23: 'quic.idle-timeout' is '30'; write a time from 1s to 1h, such as 30s"
        ),
        (
            "quic: { keep-alive: 30s }",
            "4:21: 'quic.keep-alive' is 30s, which is not below 'quic.idle-timeout' of 30s; make it a third of the idle timeout"
        ),
        (
            "quic: { idle-timeout: 10s }",
            "4:23: 'quic.keep-alive' is 10s, which is not below 'quic.idle-timeout' of 10s; make it a third of the idle timeout"
        ),
        ("quic: { stream-window: 5MB }", "4:24: 'quic.stream-window' is '5MB'; write a size from 64KiB to 1GiB"),
        (
            "quic: { stream-window: 256MiB }",
            "4:24: 'quic.connection-window' is 192MiB, less than 'quic.stream-window' of 256MiB; make it the larger one"
        ),
        (
            "quic: { always-retry: true }",
            "4:9: unknown key 'always-retry' in 'quic'; known keys here: congestion-control, offload, idle-timeout, keep-alive, stream-window, connection-window"
        ),
        (
            "reconnect: { first-delay: 1m }",
            "4:27: 'reconnect.first-delay' is 1m, longer than 'reconnect.maximum-delay' of 30s; make it the shorter one"
        ),
        ("limits: { flows: 0 }", "4:18: 'limits.flows' is '0'; write a whole number from 1 to 1000000"),
        ("limits: { memory: 1MiB }", "4:19: 'limits.memory' is '1MiB'; write a size from 16MiB to 64GiB"),
        (
            "log: { level: loud }",
            "4:15: 'log.level' is 'loud'; write one of trace, debug, info, notice, warning, error, critical"
        ),
        (
            "server-name: h:1",
            "4:14: 'server-name' is 'h:1'; write a host name or an address without a port"
        ),
        ("[a, b]: 1", "4:1: a key is not a word; write 'key: value'"),
        ("tun: [", "5:1: this is not YAML: did not find expected node content; \(syntax)"),
        ("a: b: c", "4:5: this is not YAML: mapping values are not allowed in this context; \(syntax)"),
        (
            "tun: *nothing",
            "4:6: this is not YAML that can be used: found undefined alias; write the value itself, in quotes if it begins with '*', and one document alone"
        ),
        (
            "a: 1\n---\nb: 1",
            "5:1: this is not YAML that can be used: but found another document; write the value itself, in quotes if it begins with '*', and one document alone"
        ),
    ]

    @Test(arguments: lines) func told(line: String, expected: String) {
        let lines = expected.split(separator: "\n").map { "c.yaml:" + $0 }
        #expect(clientProblems(minimalClient + line + "\n", in: folder) == lines.joined(separator: "\n"))
    }

    @Test(arguments: [
        ("h", ", but the port is missing"), ("'h:'", ", but the port is not a number from 1 to 65535"),
        ("h:0", ", but the port is not a number from 1 to 65535"), ("192.0.2.1:0", ", but port 0 cannot be reached"),
        ("h:65536", ", but the port is not a number from 1 to 65535"), ("1.2.3:4433", ""), ("'a b:1'", ""),
        ("'2001:db8::1'", ", but an IPv6 address needs brackets and a port"),
    ]) func serverAddresses(text: String, because: String) {
        let shown = text.replacing("'", with: "")
        let problems = clientProblems(minimalClient.replacing("h:1", with: text), in: folder)
        let expected = "write HOST:PORT, such as vpn.example.org:4433 or [2001:db8::1]:4433"
        #expect(problems == "c.yaml:1:9: 'server' is '\(shown)'\(because); \(expected)")
    }

    @Test(arguments: [
        ("", "2:7: 'trust' has neither 'ca-file' nor 'pin'; add 'ca-file: ca.crt' to it"),
        ("[ca.crt]", "2:8: 'trust' is not a section; write 'trust: { key: value }'"),
        ("{}", "2:8: 'trust' has neither 'ca-file' nor 'pin'; add 'ca-file: ca.crt' to it"),
        (
            "{ ca-file: ca.crt, pin: \"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\" }",
            "2:32: 'trust' has both 'ca-file' and 'pin'; keep one of them"
        ),
        (
            "{ pin: sha256/AAAA }",
            "2:15: 'trust.pin' is 'sha256/AAAA'; write sha256/ and 44 characters of base64, as 'penstock pki server' prints it"
        ),
        (
            "{ ca-file: tunnel.key }",
            "2:19: 'trust.ca-file' names tunnel.key, which is not a PEM file with a certificate; "
                + "make one with 'penstock pki', or convert it with openssl"
        ),
        (
            "{ ca-file: none.crt }",
            "2:19: 'trust.ca-file' names none.crt: there is no such file; "
                + "make it, or name another; relative paths start at the folder of this file"
        ),
    ]) func trust(text: String, expected: String) {
        let problems = clientProblems(minimalClient.replacing("{ ca-file: ca.crt }", with: text), in: folder)
        #expect(problems == "c.yaml:" + expected)
    }

    @Test func whatIsMissingIsAllToldAtOnce() {
        #expect(
            clientProblems("log: {}\n", in: folder) == """
                c.yaml:1:1: 'server' is missing; add 'server: vpn.example.org:4433'
                c.yaml:1:1: 'trust' is missing; add 'trust: { ca-file: ca.crt }'
                c.yaml:1:1: 'server-key' is missing; add 'server-key: BASE64, as 'penstock keygen' printed it on the server'
                """)
        #expect(
            serverProblems("", in: folder) == """
                s.yaml:1:1: 'listen' is missing; add 'listen: "[::]:4433"'
                s.yaml:1:1: 'certificate-file' is missing; add 'certificate-file: server.crt'
                s.yaml:1:1: 'private-key-file' is missing; add 'private-key-file: server.key'
                s.yaml:1:1: 'key-file' is missing; add 'key-file: tunnel.key'
                """)
    }

    @Test func problemsComeInTheOrderOfTheFile() {
        let problems = clientProblems("log: { level: x }\ntun: { mtu: x }\n" + minimalClient + "x: 1\n", in: folder)
        #expect(problems.split(separator: "\n").map { $0.prefix(9) } == ["c.yaml:1:", "c.yaml:2:", "c.yaml:6:"])
    }

    @Test func aProblemNamesItsKey() {
        do {
            _ = try ClientConfiguration.parse(minimalClient + "tun: { mtu: x }\n", file: folder("c.yaml"))
            Issue.record("expected a problem")
        } catch {
            #expect(error.problems.map(\.key) == ["tun.mtu"])
            #expect(error.problems.map(\.position) == [.init(line: 4, column: 13)])
        }
    }

    @Test func aListHasALimit() {
        let list = { (count: Int) in
            "routes:\n  exclude:\n" + String(repeating: "    - 192.0.2.1\n", count: count)
        }
        #expect(clientProblems(minimalClient + list(ConfigurationSection.listLimit), in: folder) == "")
        #expect(
            clientProblems(minimalClient + list(ConfigurationSection.listLimit + 1), in: folder)
                == "c.yaml:6:5: 'routes.exclude' has more than 4096 entries; leave some out")
    }

    private static let tooDeep =
        "values are nested too deeply here; close the brackets, and indent by two spaces a level"

    @Test func nestingHasALimit() {
        let limit = NestingBound.brackets
        let nested = { (count: Int) in
            String(repeating: "[", count: count) + String(repeating: "]", count: count)
        }
        #expect(
            clientProblems(minimalClient + "tun: " + nested(limit), in: folder).hasPrefix("c.yaml:4:6: 'tun' is not"))
        let brackets = minimalClient.count { $0 == "{" }
        #expect(brackets == 1)
        #expect(clientProblems("tun: " + nested(limit + 1), in: folder) == "c.yaml:1:\(6 + limit): \(Self.tooDeep)")
        let dashes = { (count: Int) in String(repeating: "- ", count: count) + "a" }
        let columns = NestingBound.indentation / 2
        #expect(clientProblems(dashes(columns), in: folder).hasPrefix("c.yaml:1:1: the file is not a list of settings"))
        #expect(clientProblems(dashes(columns + 1), in: folder) == "c.yaml:1:103: \(Self.tooDeep)")
        #expect(clientProblems("\r" + dashes(columns + 1), in: folder).hasSuffix(Self.tooDeep))
    }

    /// What only looks like a closing bracket does not make room for more.
    @Test(arguments: ["\"]\", ", "']', ", "\"\n]\n\", ", "a'b, \n]'\"]\", ", "\"#\", \n\" ]\", "])
    func bracketsInTextsCloseNothing(filler: String) {
        let text = "a: " + String(repeating: "[" + filler, count: NestingBound.brackets + 1)
        #expect(clientProblems(text, in: folder).hasSuffix(Self.tooDeep))
    }

    @Test func bracketsInCommentsOpenNothing() {
        let comments = String(repeating: "# it's [ { here\n", count: NestingBound.brackets + 1)
        #expect(clientProblems(comments + minimalClient, in: folder) == "")
    }

    /// Brackets that are closed do not count, however many there are.
    @Test func manySectionsAreNotDeep() {
        let prefixes = (0..<4_000).map { "10.\($0 / 256).\($0 % 256).0/24" }.joined(separator: ", ")
        #expect(clientProblems(minimalClient + "routes: { exclude: [\(prefixes)] }\n", in: folder) == "")
        let rules = String(repeating: "  - { action: deny, ports: [1], domain: [a.test] }\n", count: 600)
        #expect(serverProblems(minimalServer + "dial:\n rules:\n" + rules, in: folder) == "")
    }

    /// Each line of these is ten times the one before, when references are followed.
    @Test(.timeLimit(.minutes(1)), arguments: ["l9: *l8", "? *l8\n: 1", "? [*l8, *l8]\n: 1"])
    func referencesAreRefusedBeforeTheyGrow(last: String) {
        let lines = (1...8).map { line in
            "l\(line): &l\(line) [" + (0..<10).map { _ in line == 1 ? "x" : "*l\(line - 1)" }.joined(separator: ", ")
                + "]"
        }
        #expect(
            clientProblems((lines + [last]).joined(separator: "\n"), in: folder)
                == "c.yaml:1:5: an anchor begins here, and values are not taken by reference; "
                + "write the value itself at each place; a '&' that means itself has a space behind it")
    }

    @Test(arguments: [
        "\"k\":&a x", "[&a x]", "{&a x: 1}", "a: !t &b x", "- &b x", "&b x", "\u{85}&b x", "\u{FEFF}&b x",
    ])
    func anchorsAreFoundWhereverTheyStand(text: String) {
        #expect(clientProblems(text, in: folder).contains("an anchor begins here"))
    }

    @Test(arguments: ["R&D", "R & D", "'R& D'", "a-&-b"]) func otherSignsAreNoAnchors(text: String) {
        #expect(!clientProblems(minimalClient + "log: { level: \(text) }\n", in: folder).contains("anchor"))
    }

    @Test func controlCharactersDoNotReachTheTerminal() {
        let problems = clientProblems(minimalClient + "\"a\\e[31m\": 1\n", in: folder)
        #expect(problems.hasPrefix("c.yaml:4:1: unknown key 'a\u{FFFD}[31m'"))
    }
}

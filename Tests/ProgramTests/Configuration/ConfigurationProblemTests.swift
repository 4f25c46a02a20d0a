import Testing

@testable import penstock

/// One line added to a good client configuration, and the whole text that must be told about it. Line 4 is the line.
@Suite struct ConfigurationProblemTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    @Test(arguments: [
        ("tun: { adress: [1.2.3.4/24] }", "4:8: unknown key 'adress' in 'tun'; did you mean 'addresses'?"),
        ("sever: h:1", "4:1: unknown key 'sever'; did you mean 'server'?"),
        ("log: { colour: red }", "4:8: unknown key 'colour' in 'log'; known keys here: level"),
        ("server: h:2", "1:1: key 'server' appears more than once; keep one"),
        ("tun: { mtu: 1400, mtu: 1400 }", "4:8: key 'mtu' appears more than once; keep one"),
        ("tun: { mtu: big }", "4:13: 'tun.mtu' is 'big'; expected a whole number from 1280 to 65535"),
        ("tun: { mtu: 1279 }", "4:13: 'tun.mtu' is '1279'; expected a whole number from 1280 to 65535"),
        ("tun: { mtu: [1400] }", "4:13: 'tun.mtu' is a list; expected a whole number from 1280 to 65535"),
        ("tun: { mtu: { a: 1 } }", "4:13: 'tun.mtu' is a section; expected a whole number from 1280 to 65535"),
        ("tun: { mtu: }", "4:13: 'tun.mtu' has no value; expected a whole number from 1280 to 65535"),
        ("tun: { name: a/b }", "4:14: 'tun.name' is 'a/b'; expected 1 to 15 letters, digits, '-', '_' or '.'"),
        (
            "tun: { addresses: [198.18.0.1] }",
            "4:19: 'tun.addresses' has no usable address; write [198.18.0.1/30, \"fd00:5053::1/126\"]\n"
                + "4:20: 'tun.addresses' is '198.18.0.1'; "
                + "expected ADDRESS/LENGTH, such as 198.18.0.1/30 or fd00:5053::1/126"
        ),
        (
            "tun: { addresses: [10.0.0.1/8, 127.0.0.1/8] }",
            "4:32: 'tun.addresses' is '127.0.0.1/8', but an interface cannot have this address; "
                + "expected ADDRESS/LENGTH, such as 198.18.0.1/30 or fd00:5053::1/126"
        ),
        ("tun: { addresses: 198.18.0.1/30 }", "4:19: 'tun.addresses' is not a list; write [first, second]"),
        ("tun: { offload: on }", "4:17: 'tun.offload' is 'on'; expected one of auto, off"),
        ("tun: yes", "4:6: 'tun' is not a section; write 'tun: { key: value }'"),
        (
            "routes: { exclude: [10.0.0.1/8] }",
            "4:21: 'routes.exclude' is '10.0.0.1/8', but bits beyond the length are set; "
                + "expected ADDRESS/LENGTH, such as 10.0.0.0/8 or 2001:db8::/32"
        ),
        (
            "routes: { table: 254 }",
            "4:18: 'routes.table' is 254, one of the system's own tables (default, main, local); "
                + "choose another number, such as 20563"
        ),
        ("routes: { mark: 0 }", "4:17: 'routes.mark' is '0'; expected a whole number from 1 to 4294967295"),
        ("routes: { priority: 32766 }", "4:21: 'routes.priority' is '32766'; expected a whole number from 1 to 32000"),
        ("cipher: aes", "4:9: 'cipher' is 'aes'; expected one of auto, aes-256-gcm, chacha20-poly1305"),
        (
            "quic: { congestion-control: vegas }",
            "4:29: 'quic.congestion-control' is 'vegas'; expected one of bbr2, bbr, cubic, reno"
        ),
        (
            "quic: { idle-timeout: 30 }",
            "4:23: 'quic.idle-timeout' is '30'; expected a time from 1s to 1h, such as 30s"
        ),
        (
            "quic: { keep-alive: 30s }",
            "4:21: 'quic.keep-alive' is 30s, which is not below 'quic.idle-timeout' of 30s; "
                + "make it a third of the idle timeout"
        ),
        (
            "quic: { idle-timeout: 10s }",
            "4:23: 'quic.keep-alive' is 10s, which is not below 'quic.idle-timeout' of 10s; "
                + "make it a third of the idle timeout"
        ),
        ("quic: { stream-window: 5MB }", "4:24: 'quic.stream-window' is '5MB'; expected a size from 64KiB to 1GiB"),
        (
            "quic: { stream-window: 256MiB }",
            "4:24: 'quic.connection-window' is 192MiB, less than 'quic.stream-window' of 256MiB; make it the larger one"
        ),
        (
            "quic: { always-retry: true }",
            "4:9: unknown key 'always-retry' in 'quic'; known keys here: "
                + "congestion-control, offload, idle-timeout, keep-alive, stream-window, connection-window"
        ),
        (
            "reconnect: { first-delay: 1m }",
            "4:27: 'reconnect.first-delay' is 1m, longer than 'reconnect.maximum-delay' of 30s; make it the shorter one"
        ),
        ("limits: { flows: 0 }", "4:18: 'limits.flows' is '0'; expected a whole number from 1 to 1000000"),
        ("limits: { memory: 1MiB }", "4:19: 'limits.memory' is '1MiB'; expected a size from 16MiB to 64GiB"),
        (
            "log: { level: loud }",
            "4:15: 'log.level' is 'loud'; expected one of trace, debug, info, notice, warning, error, critical"
        ),
        (
            "server-name: h:1",
            "4:14: 'server-name' is 'h:1'; expected a host name or an address without a port"
        ),
        ("[a, b]: 1", "4:1: a key is not a word; write 'key: value'"),
        ("tun: [", "5:1: this is not YAML: did not find expected node content"),
        ("a: b: c", "4:5: this is not YAML: mapping values are not allowed in this context"),
        ("tun: *nothing", "4:6: this is not YAML that can be used: found undefined alias"),
    ]) func told(line: String, expected: String) {
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
        let expected = "expected HOST:PORT, such as vpn.example.org:4433 or [2001:db8::1]:4433"
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
        ("{ pin: sha256/AAAA }", "2:15: 'trust.pin' is 'sha256/AAAA'; expected sha256/ and 44 characters of base64"),
        (
            "{ ca-file: tunnel.key }",
            "2:19: 'trust.ca-file' names tunnel.key, which is not a PEM file with a certificate; "
                + "make one with 'penstock pki', or convert it with openssl"
        ),
        (
            "{ ca-file: none.crt }",
            "2:19: 'trust.ca-file' names none.crt: there is no such file; "
                + "relative paths start at the folder of this file"
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
                == "c.yaml:6:5: 'routes.exclude' has more than 4096 entries")
    }

    @Test func nestingHasALimit() {
        let limit = ConfigurationDocument.bracketLimit
        let nested = { (count: Int) in String(repeating: "[", count: count) }
        #expect(clientProblems(nested(limit), in: folder).contains("this is not YAML"))
        #expect(
            clientProblems(nested(limit + 1), in: folder)
                == "c.yaml:1:1: values are nested too deeply here; indent by two spaces a level")
        let closed = "tun: " + nested(limit - 1) + String(repeating: "]", count: limit - 1)
        #expect(
            clientProblems(minimalClient + closed, in: folder).hasPrefix("c.yaml:4:6: 'tun' is not a section"))
        let dashes = String(repeating: "- ", count: ConfigurationDocument.indentationLimit)
        #expect(
            clientProblems(dashes + "a", in: folder)
                == "c.yaml:1:201: values are nested too deeply here; indent by two spaces a level")
    }

    @Test func controlCharactersDoNotReachTheTerminal() {
        let problems = clientProblems(minimalClient + "\"a\\e[31m\": 1\n", in: folder)
        #expect(problems.hasPrefix("c.yaml:4:1: unknown key 'a\u{FFFD}[31m'"))
    }
}

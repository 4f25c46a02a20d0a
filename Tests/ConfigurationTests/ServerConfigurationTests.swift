import Logging
import Primitives
import QuicTransport
import Sealing
import TestSupport
import Testing
import Users

@testable import Configuration

@Suite struct ServerConfigurationTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    @Test func theExampleIsGoodAndStatesTheDefaults() throws {
        let example = try ServerConfiguration.parse(serverConfigurationExample, file: folder("s.yaml"))
        let minimal = try ServerConfiguration.parse(
            minimalServer.replacing("[::]:1", with: "[::]:4433"), file: folder("s.yaml"))
        #expect("\(example)" == "\(minimal)")
    }

    @Test func defaults() throws {
        let s = try ServerConfiguration.parse(minimalServer, file: folder("s.yaml"))
        #expect(s.listen == Endpoint(.v6(IPv6Address(high: 0, low: 0)), 1))
        #expect(s.identity.pin.count == 32 && s.machineSecret.count == 32)
        #expect(s.key == KeyPair(privateKey: [UInt8](repeating: 7, count: 32)))
        #expect(s.ciphers == CipherSetting.allCases && s.clients.isEmpty)
        #expect(s.dial.timeout == .seconds(60))
        #expect(s.dial.sourceIPv4 == nil && s.dial.sourceIPv6 == nil)
        #expect(s.dial.allow.isEmpty && s.dial.deny.isEmpty && s.dial.rules.isEmpty && s.dial.interface == nil)
        #expect(s.names.servers.isEmpty && s.names.timeout == .seconds(2))
        #expect(s.quic == QuicSettings())
        #expect(!s.alwaysRetry)
        #expect(s.drainTime == .seconds(5))
        #expect(s.stateDirectory == nil)
        #expect(s.loops == nil)
        #expect([s.limits.connections, s.limits.flowsPerConnection, s.limits.memory] == [1_024, 4_096, 1 << 30])
        #expect([s.limits.associations, s.limits.associationsPerConnection] == [16_384, 3_072])
        #expect(s.udp.idleTimeout == .seconds(300) && s.udp.nameLookupTimeout == .seconds(30))
    }

    @Test func everyKeyIsRead() throws {
        let text =
            minimalServer + """
                ciphers: [chacha20-poly1305]
                clients:
                  - { name: laptop, key: \(publicKeyText) }
                  - { name: phone, key: \(publicKeyText.replacing("AAEC", with: "BBEC")) }
                dial: { timeout: 5s, source-ipv4: 203.0.113.7, source-ipv6: "2001:db8::7",
                        allow: [10.1.0.0/16], deny: ["2001:db8::/32", 192.0.2.1], interface: eth0,
                        rules: [{ action: deny, ports: 25 }] }
                names: { servers: [192.0.2.53, "[2001:db8::53]:5353"], timeout: 1s, minimum-ttl: 1s, maximum-ttl: 2m,
                         negative-ttl: 3s, entries: 100, queries: 50 }
                quic: { always-retry: true, offload: off, congestion-control: reno }
                udp: { idle-timeout: 2m, name-lookup-timeout: 5s }
                drain-time: 0s
                state-directory: state
                loops: 3
                limits: { connections: 1, flows-per-connection: 2, memory: 2GiB,
                          udp-associations: 4, udp-associations-per-connection: 3 }
                log: { level: trace }
                """
        let s = try ServerConfiguration.parse(text, file: folder("s.yaml"))
        #expect(s.ciphers == [.chacha20Poly1305])
        #expect(s.clients.map(\.name) == ["laptop", "phone"])
        #expect(s.clients[0].key.bytes == Array(0..<32))
        #expect(s.dial.timeout == .seconds(5))
        #expect(s.dial.sourceIPv4?.description == "203.0.113.7")
        #expect(s.dial.sourceIPv6?.description == "2001:db8::7")
        #expect(s.dial.allow.map(\.description) == ["10.1.0.0/16"])
        #expect(s.dial.deny.map(\.description) == ["2001:db8::/32", "192.0.2.1/32"])
        #expect(s.dial.interface == "eth0" && s.dial.rules.count == 1)
        #expect(s.names.servers == [Endpoint("192.0.2.53:53")!, Endpoint("[2001:db8::53]:5353")!])
        #expect(s.names.timeout == .seconds(1) && s.names.negativeLifetime == .seconds(3))
        #expect(s.names.minimumLifetime == .seconds(1) && s.names.maximumLifetime == .seconds(120))
        #expect([s.names.entries, s.names.queries] == [100, 50])
        #expect(s.alwaysRetry && s.quic.offload == .off && s.quic.congestionControl == .reno)
        #expect([s.limits.connections, s.limits.flowsPerConnection, s.limits.memory] == [1, 2, 2 << 30])
        #expect([s.limits.associations, s.limits.associationsPerConnection] == [4, 3])
        #expect(s.udp.idleTimeout == .seconds(120) && s.udp.nameLookupTimeout == .seconds(5))
        #expect(s.loops == 3)
        #expect(s.logLevel == .trace)
    }

    @Test func clientsAreToldApart() {
        let problems = serverProblems(
            minimalServer + """
                clients:
                  - { name: a, key: \(publicKeyText) }
                  - { name: b, key: \(publicKeyText) }
                  - { name: c, key: abc }
                  - { key: \(publicKeyText.replacing("AAEC", with: "BBEC")) }
                ciphers: []
                """, in: folder)
        #expect(
            problems == """
                s.yaml:7:21: 'clients[2].key' is the key of 'a' already; remove one
                s.yaml:8:21: 'clients[3].key' is 'abc'; write a public key: 44 characters of base64, as \
                'penstock keygen' prints it
                s.yaml:9:5: 'clients[4].name' is missing; add 'name: laptop'
                s.yaml:10:10: 'ciphers' allows none; write [aes-256-gcm, chacha20-poly1305]
                """)
    }

    private func required(_ text: String, demand: String = "optional") throws -> [Set<LoginFactor>]? {
        let certificates = "client-certificates: { demand: \(demand), ca-file: ca.crt }\n"
        let users = "users: { database: users.db, require: \(text) }\n"
        return try ServerConfiguration.parse(minimalServer + certificates + users, file: folder("s.yaml")).users?
            .required
            .sets
    }

    @Test func anyCombinationCanBeRequired() throws {
        #expect(try required("[]") == [])
        #expect(try required("[key, password]") == [[.key], [.password]])
        #expect(try required("[certificate, [key, password]]") == [[.certificate], [.key, .password]])
        #expect(try required("[[key]]") == [[.key]])
        #expect(
            try required("[[key, password], [password, certificate]]") == [
                [.key, .password], [.password, .certificate],
            ])
        #expect(try required("[[key, password]]", demand: "none") == [[.key, .password]])
        let environment = EnvironmentSettings(["PENSTOCK_USERS_REQUIRE": "password, key|password", "PENSTOCK_X": ""])
        let problem = problems(in: folder) { () throws(ConfigurationError) in
            _ = try ServerConfiguration.parse(
                minimalServer + "users: { database: users.db }\n", file: folder("s.yaml"), environment: environment)
        }
        #expect(
            problem
                == "PENSTOCK_USERS_REQUIRE: 'users.require' asks for [key, password], which whoever shows password has "
                + "shown; take one of the two out")
    }

    @Test(arguments: [
        ("key", "is not a list; write [[key, password]]"),
        (
            "[[]]",
            "has a list without alternatives, which nobody could meet; take it out, or write some into it, such as [key, password]"
        ),
        ("[[[key]]]", "is a list; write one of key, password, certificate"),
        ("[face]", "is 'face'; write one of key, password, certificate"),
        ("[[key, face]]", "is 'face'; write one of key, password, certificate"),
        ("[key, key]", "asks for key, which whoever shows key has shown; take one of the two out"),
        ("[[key, key]]", "names one thing twice in [key, key]; write each of them once"),
        (
            "[key, [key, password]]",
            "asks for [key, password], which whoever shows key has shown; take one of the two out"
        ),
        (
            "[[password, key], [key, password]]",
            "asks for [key, password], which whoever shows [password, key] has shown; take one of the two out"
        ),
    ]) func whatCannotBeRequired(text: String, expected: String) throws {
        let error = #expect(throws: ConfigurationError.self) { try required(text) }
        #expect(error?.problems.map { "\($0.message); \($0.remedy)" } == ["'users.require' \(expected)"])
        #expect(error?.problems.allSatisfy { $0.key == "users.require" && $0.position?.line == 6 } == true)
    }

    @Test(arguments: ["[certificate]", "[[key, certificate]]"])
    func certificatesThatNobodyIsAskedForCannotBeRequired(text: String) {
        let error = #expect(throws: ConfigurationError.self) { try required(text, demand: "none") }
        #expect(error?.description.contains("set 'client-certificates.demand' to optional or required") == true)
    }

    @Test func theClientsKeysAreUnknownHere() {
        let problems = serverProblems(minimalServer + "tun: {}\n", in: folder)
        #expect(problems.hasPrefix("s.yaml:5:1: unknown key 'tun'; known keys here: listen, certificate-file"))
    }
}

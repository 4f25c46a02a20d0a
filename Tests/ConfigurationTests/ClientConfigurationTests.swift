import Logging
import Primitives
import Sealing
import TestSupport
import Testing
import Tunnel

@testable import Configuration

@Suite struct ClientConfigurationTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    @Test func theExampleIsGoodAndStatesTheDefaults() throws {
        let example = try ClientConfiguration.parse(clientConfigurationExample, file: folder("c.yaml"))
        let minimal = try ClientConfiguration.parse(
            minimalClient.replacing("h:1", with: "vpn.example.org:4433"), file: folder("c.yaml"))
        // Every field is a value type that prints all it holds.
        #expect("\(example)" == "\(minimal)")
    }

    @Test func defaults() throws {
        let c = try ClientConfiguration.parse(minimalClient, file: folder("c.yaml"))
        #expect(c.server == HostAndPort(host: .name("h"), port: 1))
        #expect(c.serverName == "h")
        #expect(c.serverKey.bytes == Array(0..<32))
        #expect(c.key == nil && c.login == nil && c.keyPair != c.keyPair)
        #expect(c.cipher == .auto)
        #expect(c.rekey.interval == .seconds(3_600) && c.rekey.bytes == 64 << 30)
        #expect(c.tun.name == "penstock0")
        #expect(c.tun.mtu == 1_500)
        #expect(c.tun.addresses.map(\.description) == ["198.18.0.1/30", "fd00:5053::1/126"])
        #expect(c.routes.capture.map(\.description) == ["0.0.0.0/0", "::/0"])
        #expect(c.routes.exclude.isEmpty)
        #expect([c.routes.table, c.routes.mark, c.routes.priority] == [20_563, 20_563, 5_200])
        #expect(c.quic.congestionControl == .bbr2)
        #expect([c.quic.idleTimeout, c.quic.keepAlive] == [.seconds(30), .seconds(10)])
        #expect([c.quic.streamWindow, c.quic.connectionWindow] == [32 << 20, 192 << 20])
        #expect([c.reconnect.firstDelay, c.reconnect.maximumDelay] == [.milliseconds(500), .seconds(30)])
        #expect([c.limits.flows, c.limits.associations, c.limits.memory] == [4_096, 2_048, 256 << 20])
        #expect(c.logLevel == .info)
    }

    @Test func everyKeyIsRead() throws {
        let text = """
            server: "[2001:db8::1]:443"
            server-name: other.example
            trust: { pin: "sha256/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" }
            server-key: \(publicKeyText)
            key-file: \(folder("tunnel.key"))
            login: { user: alice, password-file: password }
            cipher: chacha20-poly1305
            rekey: { interval: 5m, bytes: 1MiB }
            tun: { name: tun7, mtu: 1280, addresses: [10.1.2.3/24, 10.1.2.3/24], offload: off }
            routes: { capture: [203.0.113.0/24], exclude: [203.0.113.7], table: 7, mark: 8, priority: 9 }
            quic: { congestion-control: cubic, offload: off, idle-timeout: 20s, keep-alive: 5s,
                    stream-window: 1MiB, connection-window: 2MiB }
            reconnect: { first-delay: 1s, maximum-delay: 2s }
            limits: { flows: 10, udp-associations: 7, memory: 16MiB }
            log: { level: debug }
            """
        try folder.write("password", "passw0rd\nmore\n", mode: 0o600)
        let c = try ClientConfiguration.parse(text, file: folder("c.yaml"))
        #expect(c.server.description == "[2001:db8::1]:443")
        #expect(c.key == KeyPair(privateKey: [UInt8](repeating: 7, count: 32)) && c.keyPair == c.key)
        #expect(c.login == UserLogin(name: "alice", password: SecretBytes(copying: Array("passw0rd".utf8))))
        #expect(c.rekey.interval == .seconds(300) && c.rekey.bytes == 1 << 20)
        #expect(!"\(c)".contains("passw0rd"))
        #expect(c.serverName == "other.example")
        #expect(c.trust == .pin(Array(0..<32)))
        #expect(c.cipher == .chacha20Poly1305)
        #expect(c.tun.name == "tun7" && c.tun.mtu == 1_280 && c.tun.offload == .off)
        #expect(c.tun.addresses.map(\.description) == ["10.1.2.3/24"])
        #expect(c.routes.capture.map(\.description) == ["203.0.113.0/24"])
        #expect(c.routes.exclude.map(\.description) == ["203.0.113.7/32"])
        #expect([c.routes.table, c.routes.mark, c.routes.priority] == [7, 8, 9])
        #expect(c.quic.congestionControl == .cubic && c.quic.offload == .off)
        #expect([c.quic.idleTimeout, c.quic.keepAlive] == [.seconds(20), .seconds(5)])
        #expect([c.quic.streamWindow, c.quic.connectionWindow] == [1 << 20, 2 << 20])
        #expect([c.reconnect.firstDelay, c.reconnect.maximumDelay] == [.seconds(1), .seconds(2)])
        #expect([c.limits.flows, c.limits.associations, c.limits.memory] == [10, 7, 16 << 20])
        #expect(c.logLevel == .debug)
    }

    @Test func filesAreNamedFromTheFolderOfTheConfiguration() throws {
        try folder.write("c.yaml", minimalClient)
        let c = try ClientConfiguration.load(folder("c.yaml"))
        guard case .authority(let file) = c.trust else {
            Issue.record("expected an authority")
            return
        }
        #expect(file.path == folder("ca.crt"))
        #expect(try file.contents == readFile(folder("ca.crt"), limit: 1 << 16))
    }

    @Test func theServersAddressIsItsNameToo() throws {
        let text = minimalClient.replacing("h:1", with: "\"[2001:DB8::1]:443\"")
        #expect(try ClientConfiguration.parse(text, file: folder("c.yaml")).serverName == "2001:db8::1")
    }

    @Test func anEmptySectionMeansItsDefaults() throws {
        let c = try ClientConfiguration.parse(minimalClient + "tun:\nquic: {}\n", file: folder("c.yaml"))
        #expect(c.tun.mtu == 1_500)
    }
}

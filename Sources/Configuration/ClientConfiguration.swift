import LinuxIO
import Logging
import Primitives
import QuicTransport
import Sealing
import Tunnel

/// What `penstock client` reads from its file, parsed and checked.
package struct ClientConfiguration: Sendable {
    /// How the client knows that the server is the right one.
    package enum Trust: Hashable, Sendable {
        /// The server's certificate is signed by an authority of this PEM file, and names `serverName`.
        case authority(LoadedFile)
        /// SHA-256 of the SubjectPublicKeyInfo of the server's own certificate (as in RFC 7469, section 2.4).
        case pin([UInt8])
    }

    package struct Tun: Sendable {
        package var name = "penstock0"
        /// Bytes of an IP packet.
        package var mtu = 1_500
        package var addresses: [InterfaceAddress] = [
            InterfaceAddress(address: .v4(IPv4Address(0xC612_0001)), prefixLength: 30),
            InterfaceAddress(address: .v6(IPv6Address(high: 0xFD00_5053_0000_0000, low: 1)), prefixLength: 126),
        ]
        /// Segmentation and checksums of the TUN device (virtio header).
        package var offload = OffloadSetting.auto
    }

    package struct Routes: Sendable {
        /// Destinations that go into the tunnel.
        package var capture: [IPPrefix] = [
            IPPrefix(.v4(IPv4Address(0)), length: 0), IPPrefix(.v6(IPv6Address(high: 0, low: 0)), length: 0),
        ].compactMap(\.self)
        /// Destinations that stay out of it, also where `capture` covers them.
        package var exclude: [IPPrefix] = []
        /// Number of the routing table.
        package var table: UInt32 = 20_563
        /// Mark of the client's own packets to the server.
        package var mark: UInt32 = 20_563
        /// Priority of our `ip rule`.
        package var priority: UInt32 = 5_200
    }

    package struct Reconnect: Sendable {
        /// Wait before the first attempt; doubled after each, with jitter.
        package var firstDelay = Interval.milliseconds(500)
        package var maximumDelay = Interval.seconds(30)
    }

    /// When fresh keys are made.
    package struct Rekey: Sendable {
        package var interval = Interval.seconds(3_600)
        /// Bytes of both directions.
        package var bytes = 64 << 30
    }

    package struct Limits: Sendable {
        package var flows = 4_096
        /// UDP associations: ports of applications that send datagrams.
        package var associations = 2_048
        /// Bytes buffered for all flows together.
        package var memory = 256 << 20
    }

    package var server: HostAndPort
    /// Name that the certificate must have, and that is sent in the TLS handshake.
    package var serverName: String
    package var trust: Trust
    /// What the client shows a server that asks for a certificate.
    package var identity: ClientIdentity?
    /// The server's public key inside the tunnel.
    package var serverKey: PublicKey
    /// The client's own; another one each time where nil.
    package var key: KeyPair?
    package var login: UserLogin?
    package var cipher = CipherChoice.auto
    package var rekey = Rekey()
    package var tun = Tun()
    package var routes = Routes()
    package var quic = QuicSettings.ofClient
    package var reconnect = Reconnect()
    package var limits = Limits()
    package var logLevel = Logger.Level.info
}

extension ClientConfiguration {
    /// The key by which the server may know this client: the configured one, or another with each call.
    package var keyPair: KeyPair {
        if let key { return key }
        var random = SystemRandom()
        return KeyPair.generate(using: &random)
    }
}

extension ClientConfiguration: ConfigurationFile {
    package static var example: String { clientConfigurationExample }

    package static let reloadable: Set<String> = [
        "certificate-file", "log.level", "private-key-file", "reconnect", "rekey", "routes.capture", "routes.exclude",
    ]

    package static func read(
        _ root: ConfigurationSection, _ document: ConfigurationDocument
    ) throws(ConfigurationError) -> ClientConfiguration {
        let server = root.required("server", .hostAndPort, sample: "vpn.example.org:4433")
        let serverName = root.optional("server-name", .hostName)
        let trust = Trust(root)
        let identity = root.clientIdentity()
        let serverKey = root.required(
            "server-key", .publicKey, sample: "BASE64, as 'penstock keygen' printed it on the server")
        let key = root.optionalPrivateKey("key-file")
        let login = root.login()
        let cipher = root.value("cipher", .choice, default: CipherChoice.auto)
        let rekey = Rekey(root.section("rekey"))
        let tun = Tun(root.section("tun"))
        let routes = Routes(root.section("routes"))
        let quicSection = root.section("quic")
        let quic = QuicSettings(quicSection, defaults: .ofClient)
        quicSection.refuseUnknownKeys()
        let reconnect = Reconnect(root.section("reconnect"))
        let limits = Limits(root.section("limits"))
        let logLevel = root.logLevel()
        root.refuseUnknownKeys()

        guard document.problems.isEmpty, let server, let trust, let serverKey else {
            throw ConfigurationError(document.problems)
        }
        return ClientConfiguration(
            server: server, serverName: serverName ?? server.host.description, trust: trust, identity: identity,
            serverKey: serverKey, key: key, login: login, cipher: cipher, rekey: rekey, tun: tun, routes: routes,
            quic: quic, reconnect: reconnect, limits: limits, logLevel: logLevel)
    }
}

extension ClientConfiguration.Trust {
    init?(_ root: ConfigurationSection) {
        guard let section = root.optionalSection("trust") else {
            if !root.has("trust") {
                root.refuse("trust", "'trust' is missing", remedy: "add 'trust: { ca-file: ca.crt }'")
            }
            return nil
        }
        let pin = section.optional("pin", .pin)
        let authority = section.authorities("ca-file")
        section.refuseUnknownKeys()
        switch (section.has("ca-file"), section.has("pin")) {
        case (true, false):
            guard let authority else { return nil }
            self = .authority(authority)
        case (false, true):
            guard let pin else { return nil }
            self = .pin(pin)
        case (true, true):
            section.refuse("pin", "'trust' has both 'ca-file' and 'pin'", remedy: "keep one of them")
            return nil
        case (false, false):
            root.refuse("trust", "'trust' has neither 'ca-file' nor 'pin'", remedy: "add 'ca-file: ca.crt' to it")
            return nil
        }
    }
}

extension ClientConfiguration.Tun {
    /// Smallest MTU of a link that carries IPv6 (RFC 8200, section 5).
    package static let mtuRange = 1_280...65_535

    init(_ section: ConfigurationSection) {
        name = section.value("name", .interfaceName, default: name)
        mtu = section.value("mtu", .integer(Self.mtuRange), default: mtu)
        addresses = section.list("addresses", .interfaceAddress, default: addresses)
        offload = section.value("offload", .choice, default: offload)
        if addresses.isEmpty, section.has("addresses") {
            section.refuse(
                "addresses", "'tun.addresses' has no usable address",
                remedy: "write [198.18.0.1/30, \"fd00:5053::1/126\"]")
        }
        section.refuseUnknownKeys()
    }
}

extension ClientConfiguration.Routes {
    init(_ section: ConfigurationSection) {
        let number = SettingKind.integer(1...Int(UInt32.max))
        capture = section.list("capture", .prefix, default: capture)
        exclude = section.list("exclude", .prefix, default: exclude)
        table = UInt32(section.value("table", number, default: Int(table)))
        mark = UInt32(section.value("mark", number, default: Int(mark)))
        // Ours comes before the rule of the main table, which has 32766.
        priority = UInt32(section.value("priority", .integer(1...32_000), default: Int(priority)))
        if (253...255).contains(table) {
            section.refuse(
                "table", "'routes.table' is \(table), one of the system's own tables (default, main, local)",
                remedy: "choose another number, such as 20563")
        }
        section.refuseUnknownKeys()
    }
}

extension ClientConfiguration.Reconnect {
    init(_ section: ConfigurationSection) {
        let delay = SettingKind.duration(.milliseconds(10)...(.seconds(3_600)))
        firstDelay = section.value("first-delay", delay, default: firstDelay)
        maximumDelay = section.value("maximum-delay", delay, default: maximumDelay)
        if firstDelay > maximumDelay {
            section.refuse(
                section.has("first-delay") ? "first-delay" : "maximum-delay",
                "'reconnect.first-delay' is \(durationText(firstDelay)), "
                    + "longer than 'reconnect.maximum-delay' of \(durationText(maximumDelay))",
                remedy: "make it the shorter one")
        }
        section.refuseUnknownKeys()
    }
}

extension ClientConfiguration.Rekey {
    init(_ section: ConfigurationSection) {
        interval = section.value("interval", .duration(.seconds(60)...(.seconds(86_400))), default: interval)
        bytes = section.value("bytes", .size((1 << 20)...(1 << 40)), default: bytes)
        section.refuseUnknownKeys()
    }
}

extension ClientConfiguration.Limits {
    init(_ section: ConfigurationSection) {
        flows = section.value("flows", .integer(1...1_000_000), default: flows)
        associations = section.value("udp-associations", .integer(1...1_000_000), default: associations)
        memory = section.value("memory", .size((16 << 20)...(64 << 30)), default: memory)
        section.refuseUnknownKeys()
    }
}

extension ConfigurationSection {
    /// `log: { level: info }`.
    func logLevel() -> Logger.Level {
        let section = section("log")
        defer { section.refuseUnknownKeys() }
        return section.value("level", .choice, default: Logger.Level.info)
    }
}

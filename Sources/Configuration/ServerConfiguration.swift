import Logging
import Primitives
import QuicTransport
import Sealing
import Server

/// What `penstock server` reads from its file, parsed and checked.
package struct ServerConfiguration: Sendable {
    /// TLS certificates of clients.
    package struct ClientCertificates: Sendable {
        package enum Demand: String, CaseIterable, Sendable {
            /// Clients are not asked for one.
            case none
            /// A client may come without one; what it shows must be good.
            case optional
            case required
        }

        package var demand = Demand.none
        /// Who may issue them, and what was revoked; nil where none is asked for.
        package var authorities: ClientAuthorities?
        /// The file of what was revoked; nil where there is none, or none is asked for.
        package var revocationFile: String?
    }

    package struct Dial: Sendable {
        /// How long a destination may take to answer.
        package var timeout = Interval.seconds(60)
        /// Addresses that the server's own connections come from; the kernel chooses where nil.
        package var sourceIPv4: IPv4Address?
        package var sourceIPv6: IPv6Address?
        /// The only interface that they use; any where nil.
        package var interface: String?
        /// Destinations allowed although something that follows refuses them.
        package var allow: [IPPrefix] = []
        /// Destinations refused on top of the built-in list (loopback, private, link-local, multicast, …).
        package var deny: [IPPrefix] = []
        /// Asked after these two, in their order.
        package var rules: [DialRule] = []
    }

    package struct Names: Sendable {
        /// Name servers; those of /etc/resolv.conf where there are none.
        package var servers: [Endpoint] = []
        /// How long a name server may take.
        package var timeout = Interval.seconds(2)
        /// Bounds of the time for which an answer is good.
        package var minimumLifetime = Interval.zero
        package var maximumLifetime = Interval.seconds(3_600)
        /// How long it is believed that there is no such name.
        package var negativeLifetime = Interval.seconds(30)
        /// Answers that are kept, and questions under way, of all loops.
        package var entries = 8_192
        package var queries = 1_024
    }

    package struct KnownClient: Hashable, Sendable {
        package var name: String
        package var key: PublicKey
    }

    package struct UDP: Sendable {
        /// How long an association lasts after the client's last datagram.
        package var idleTimeout = Interval.seconds(300)
        /// The same while it has asked name servers (port 53) alone.
        package var nameLookupTimeout = Interval.seconds(30)
    }

    package struct Limits: Sendable {
        package var connections = 1_024
        package var flowsPerConnection = 4_096
        /// UDP associations of all clients, and of one; each has a socket and a port. A client keeps 2 048 by itself: there is
        /// room for beginnings that overtake ends on the way.
        package var associations = 16_384
        package var associationsPerConnection = 3_072
        /// Bytes buffered for all flows together.
        package var memory = 1 << 30
    }

    package var listen: Endpoint
    /// The certificate and its key, and how clients' certificates are judged.
    package var identity: ServerIdentity
    /// 32 bytes that hang on the private key of the certificate alone.
    package var machineSecret: [UInt8]
    package var clientCertificates = ClientCertificates()
    /// By its public key clients know the server inside the tunnel.
    package var key: KeyPair
    /// Those that a client may choose from.
    package var ciphers = CipherSetting.allCases
    /// Clients that may come in by their key alone.
    package var clients: [KnownClient] = []
    package var dial = Dial()
    package var names = Names()
    package var udp = UDP()
    package var quic = QuicSettings()
    /// Every new client proves its address by a Retry packet, not only when many arrive at once.
    package var alwaysRetry = false
    /// Event loops, each with a thread of its own; nil for one a processor.
    package var loops: Int?
    /// How long flows may go on after SIGTERM.
    package var drainTime = Interval.seconds(5)
    /// Where the server keeps what must outlive it; nil for nowhere.
    package var stateDirectory: String?
    /// Who may come in; nil where no database of users is named.
    package var users: UserSettings?
    package var limits = Limits()
    package var logLevel = Logger.Level.info
}

extension ServerConfiguration: ConfigurationFile {
    package static var example: String { serverConfigurationExample }

    package static let reloadable: Set<String> = [
        "certificate-file", "ciphers", "client-certificates", "clients", "dial", "drain-time", "limits.connections",
        "limits.flows-per-connection",
        "limits.udp-associations", "limits.udp-associations-per-connection", "log.level", "private-key-file",
        "quic.always-retry", "udp",
    ]

    package static func read(
        _ root: ConfigurationSection, _ document: ConfigurationDocument
    ) throws(ConfigurationError) -> ServerConfiguration {
        let listen = root.required("listen", .endpoint, sample: "\"[::]:4433\"")
        var files = root.serverFiles()
        let clientCertificates = ClientCertificates(root.section("client-certificates"))
        let own = root.serverIdentity(&files, clientCertificates)
        let key = root.privateKey("key-file", sample: "tunnel.key")
        let ciphers = root.list("ciphers", .choice, default: CipherSetting.allCases)
        if ciphers.isEmpty, root.has("ciphers") {
            root.refuse("ciphers", "'ciphers' allows none", remedy: "write [aes-256-gcm, chacha20-poly1305]")
        }
        let clients = root.knownClients()
        let dial = Dial(root.section("dial"))
        let names = Names(root.section("names"))
        let udp = UDP(root.section("udp"))
        let quicSection = root.section("quic")
        let quic = QuicSettings(quicSection)
        let alwaysRetry = quicSection.value("always-retry", .boolean, default: false)
        quicSection.refuseUnknownKeys()
        let loops = root.optional("loops", .integer(1...64))
        let drainTime = root.value("drain-time", .duration(.zero...(.seconds(3_600))), default: .seconds(5))
        let stateDirectory = root.storage("state-directory", \.stateDirectory)
        let users = UserSettings(root.section("users"), hasCertificates: clientCertificates.demand != .none)
        let limits = Limits(root.section("limits"))
        let logLevel = root.logLevel()
        root.refuseUnknownKeys()

        guard document.problems.isEmpty, let listen, let own, let key else {
            throw ConfigurationError(document.problems)
        }
        return ServerConfiguration(
            listen: listen, identity: own.identity, machineSecret: own.secret, clientCertificates: clientCertificates,
            key: key, ciphers: ciphers, clients: clients, dial: dial, names: names, udp: udp, quic: quic,
            alwaysRetry: alwaysRetry, loops: loops, drainTime: drainTime,
            stateDirectory: stateDirectory, users: users, limits: limits, logLevel: logLevel)
    }
}

extension ServerConfiguration.ClientCertificates {
    init(_ section: ConfigurationSection) {
        demand = section.value("demand", .choice, default: demand)
        let revocations = section.optionalPEMFile("crl-file", label: "X509 CRL")
        // Read and judged also where they are not asked for: a mistake would else show on the day on which they are.
        let authorities = section.clientAuthorities(
            demand == .required ? .required : .optional, revocations: revocations)
        if demand != .none {
            self.authorities = authorities
            revocationFile = revocations?.path
        }
        if demand != .none, !section.has("ca-file") {
            section.refuse(
                "demand",
                "'\(section.name("demand"))' is \(demand.rawValue), and '\(section.name("ca-file"))' is missing",
                remedy: "add 'ca-file: ca.crt' with the authority that issues clients' certificates")
        }
        section.refuseUnknownKeys()
    }
}

extension ServerConfiguration.Dial {
    init(_ section: ConfigurationSection) {
        timeout = section.value("timeout", .duration(.seconds(1)...(.seconds(600))), default: timeout)
        sourceIPv4 = section.optional("source-ipv4", .ipv4Address)
        sourceIPv6 = section.optional("source-ipv6", .ipv6Address)
        interface = section.optional("interface", .interfaceName)
        allow = section.list("allow", .prefix, default: allow)
        deny = section.list("deny", .prefix, default: deny)
        rules = DialRule.read(section)
        section.refuseUnknownKeys()
    }
}

extension ServerConfiguration.Names {
    init(_ section: ConfigurationSection) {
        servers = section.list("servers", .nameServer, default: servers)
        timeout = section.value("timeout", .duration(.milliseconds(100)...(.seconds(30))), default: timeout)
        let lifetime = SettingKind.duration(.zero...(.seconds(86_400)))
        minimumLifetime = section.value("minimum-ttl", lifetime, default: minimumLifetime)
        maximumLifetime = section.value("maximum-ttl", lifetime, default: maximumLifetime)
        negativeLifetime = section.value("negative-ttl", lifetime, default: negativeLifetime)
        if minimumLifetime > maximumLifetime {
            section.refuse(
                section.has("minimum-ttl") ? "minimum-ttl" : "maximum-ttl",
                "'\(section.name("minimum-ttl"))' is \(durationText(minimumLifetime)), "
                    + "longer than '\(section.name("maximum-ttl"))' of \(durationText(maximumLifetime))",
                remedy: "make it the shorter one")
        }
        entries = section.value("entries", .integer(64...1_000_000), default: entries)
        queries = section.value("queries", .integer(16...65_536), default: queries)
        section.refuseUnknownKeys()
    }
}

extension ConfigurationSection {
    /// `clients: [{ name: laptop, key: BASE64 }]`.
    func knownClients() -> [ServerConfiguration.KnownClient] {
        var clients: [ServerConfiguration.KnownClient] = []
        for section in optionalSections("clients") ?? [] {
            let clientName = section.required("name", .userName, sample: "laptop")
            let key = section.required("key", .publicKey, sample: "BASE64, as 'penstock keygen' printed it")
            section.refuseUnknownKeys()
            guard let clientName, let key else { continue }
            if let other = clients.first(where: { $0.key == key }) {
                section.refuse(
                    "key", "'\(section.name("key"))' is the key of '\(printable(other.name))' already",
                    remedy: "remove one")
            }
            clients.append(.init(name: clientName, key: key))
        }
        return clients
    }
}

extension ServerConfiguration.UDP {
    init(_ section: ConfigurationSection) {
        let time = SettingKind.duration(.seconds(1)...(.seconds(86_400)))
        idleTimeout = section.value("idle-timeout", time, default: idleTimeout)
        nameLookupTimeout = section.value("name-lookup-timeout", time, default: nameLookupTimeout)
        section.refuseUnknownKeys()
    }
}

extension ServerConfiguration.Limits {
    init(_ section: ConfigurationSection) {
        connections = section.value("connections", .integer(1...1_000_000), default: connections)
        flowsPerConnection = section.value("flows-per-connection", .integer(1...1_000_000), default: flowsPerConnection)
        associations = section.value("udp-associations", .integer(1...1_000_000), default: associations)
        associationsPerConnection = section.value(
            "udp-associations-per-connection", .integer(1...1_000_000), default: associationsPerConnection)
        memory = section.value("memory", .size((16 << 20)...(256 << 30)), default: memory)
        section.refuseUnknownKeys()
    }
}

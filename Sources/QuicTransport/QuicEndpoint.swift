import CNgtcp2
import Primitives

/// A server's end of one UDP socket: takes every datagram to the connection it belongs to, accepts new connections, and
/// answers what belongs to none without keeping anything of it.
public final class QuicEndpoint {
    public struct Limits: Sendable {
        /// Connections at once, those in the handshake included.
        public var connections = 1024
        /// Handshakes at once.
        public var handshakes = 256
        /// From so many handshakes on, a client must prove its address by a Retry first. Less than what its owner keeps of
        /// clients that have not logged in: addresses that nobody has proved are not to send honest ones away.
        public var retryFrom = 128
        /// Demand that proof always.
        public var alwaysRetry = false
        /// Stateless answers that wait to be sent; what comes on top is dropped.
        public var statelessAnswers = 64

        public init() {}
    }

    public struct Counters: Equatable, Sendable {
        public var accepted = 0
        /// First packets turned away because a limit was reached.
        public var refused = 0
        public var retriesSent = 0
        public var badTokens = 0
        /// First packets with a token from an earlier connection, which spared them a Retry.
        public var knownTokens = 0
        public var versionNegotiationsSent = 0
        public var statelessResetsSent = 0
        /// Answers that found the queue full.
        public var answersDropped = 0
        /// Datagrams that are no QUIC packet of ours and got no answer.
        public var ignored = 0

        public init() {}

        public mutating func add(_ other: Counters) {
            accepted += other.accepted
            refused += other.refused
            retriesSent += other.retriesSent
            badTokens += other.badTokens
            knownTokens += other.knownTokens
            versionNegotiationsSent += other.versionNegotiationsSent
            statelessResetsSent += other.statelessResetsSent
            answersDropped += other.answersDropped
            ignored += other.ignored
        }
    }

    public private(set) var limits: Limits
    @exclusivity(unchecked) public internal(set) var counters = Counters()
    private(set) var settings: TransportSettings
    let random: RandomSource
    let router: ConnectionRouter
    let tokens: AddressTokens
    @exclusivity(unchecked) var answers: [StatelessAnswer] = []
    private var identity: ServerIdentity
    private let pool: BlockPool
    @exclusivity(unchecked) private var live: [ObjectIdentifier: QuicConnection] = [:]
    @exclusivity(unchecked) private var accepted: [QuicConnection] = []

    /// - Parameters:
    ///   - resetKey: 32 secret bytes; with the same key after a restart, clients learn at once that their connection is
    ///     gone (stateless reset, RFC 9000, section 10.3).
    ///   - tokenSecret: 32 secret bytes; with the same ones after a restart, clients that were connected before need not
    ///     prove their addresses anew. Nil: others each time.
    ///   - loop: the first byte of every connection ID made here, for steering datagrams to one of several loops.
    ///   - random: must be unpredictable outside of tests.
    public init(
        identity: ServerIdentity, settings: TransportSettings = TransportSettings(), resetKey: [UInt8],
        tokenSecret: [UInt8]? = nil, limits: Limits = Limits(), loop: UInt8 = 0, pool: BlockPool,
        random: any RandomNumberGenerator
    ) {
        precondition(resetKey.count >= 32, "a reset key has 32 bytes")
        self.identity = identity
        self.settings = settings
        self.limits = limits
        self.pool = pool
        self.random = RandomSource(random)
        tokens = AddressTokens(secret: tokenSecret ?? self.random.bytes(32))
        router = ConnectionRouter(resetKey: resetKey, tokens: tokens, loop: loop)
    }

    deinit {
        for connection in live.values { forget(connection) }
    }

    /// What new connections get from now on; those that there are keep what they have.
    /// - Parameter maximumStreams: that a client may have open at once.
    public func change(identity: ServerIdentity, limits: Limits, maximumStreams: Int) {
        self.identity = identity
        self.limits = limits
        settings.maximumStreams = maximumStreams
    }

    public var connections: [QuicConnection] { Array(live.values) }
    public var connectionCount: Int { live.count }
    public var handshakesInProgress: Int { router.handshakes }
    /// Connection IDs that lead to a connection.
    public var routes: Int { router.count }

    /// Takes one UDP payload. Whatever is in it, it does not trap.
    /// - Returns: the connection that took it, which is then to be served (events, batches, deadline); nil when there is
    ///   none. A new one also comes out of `nextAccepted`: give it its owner before the next datagram.
    public func handle(
        _ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint, ecn: UInt8, now: Instant
    ) -> QuicConnection? {
        guard let base = datagram.baseAddress, datagram.count > 0 else { return nil }
        var header = ngtcp2_version_cid()
        let result = ngtcp2_pkt_decode_version_cid(
            &header, base.assumingMemoryBound(to: UInt8.self), datagram.count, ConnectionID.localLength)
        switch result {
        case 0: break
        case NGTCP2_ERR_VERSION_NEGOTIATION:
            negotiateVersion(header, count: datagram.count, from: remote, to: local)
            return nil
        default:
            counters.ignored += 1
            return nil
        }
        let bytes = UnsafeRawBufferPointer(start: header.dcid, count: header.dcidlen)
        guard let identifier = ConnectionID(bytes) else {
            counters.ignored += 1
            return nil
        }
        if let connection = router.find(identifier) {
            connection.handle(datagram, from: remote, to: local, ecn: ecn, now: now)
            return connection
        }
        let isLong = base.load(as: UInt8.self) & 0x80 != 0
        guard isLong else {
            resetStatelessly(identifier, count: datagram.count, from: remote, to: local)
            return nil
        }
        guard header.version == UInt32(NGTCP2_PROTO_VER_V1) else {
            negotiateVersion(header, count: datagram.count, from: remote, to: local)
            return nil
        }
        return accept(datagram, from: remote, to: local, ecn: ecn, now: now)
    }

    /// A connection accepted since the last call, still in its handshake.
    public func nextAccepted() -> QuicConnection? { accepted.isEmpty ? nil : accepted.removeFirst() }

    /// Forgets a connection, normally one whose state is `closed`.
    public func remove(_ connection: QuicConnection) {
        guard live.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        accepted.removeAll { $0 === connection }
        forget(connection)
    }

    private func forget(_ connection: QuicConnection) {
        for identifier in connection.routedIDs { router.remove(identifier) }
        connection.routedIDs = []
        connection.abandon()
    }

    private func accept(
        _ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint, ecn: UInt8, now: Instant
    ) -> QuicConnection? {
        guard var arrival = InitialArrival(datagram, from: remote, to: local) else {
            counters.ignored += 1
            return nil
        }
        guard live.count < limits.connections, router.handshakes < limits.handshakes else {
            counters.refused += 1
            refuse(arrival, code: UInt64(NGTCP2_CONNECTION_REFUSED))
            return nil
        }
        switch tokens.check(arrival, now: now) {
        case .none:
            if limits.alwaysRetry || router.handshakes >= limits.retryFrom {
                demandProof(arrival, now: now)
                return nil
            }
            arrival.token = []
        case .retried(let original):
            arrival.originalDestination = original
        case .known:
            counters.knownTokens += 1
        case .invalid:
            counters.badTokens += 1
            refuse(arrival, code: UInt64(NGTCP2_INVALID_TOKEN))
            return nil
        }
        guard let tls = TLSSession.server(identity, protocolName: settings.applicationProtocol),
            let connection = try? QuicConnection.server(
                arrival, router: router, tls: tls, settings: settings, pool: pool, random: random, now: now)
        else {
            counters.refused += 1
            return nil
        }
        router.handshakeStarted()
        live[ObjectIdentifier(connection)] = connection
        connection.handle(datagram, from: remote, to: local, ecn: ecn, now: now)
        if connection.state == .closed {
            // Not even its first packet was in order.
            remove(connection)
            return nil
        }
        counters.accepted += 1
        accepted.append(connection)
        return connection
    }
}

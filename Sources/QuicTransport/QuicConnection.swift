import CNgtcp2
import Primitives

/// Why a client connection cannot even be started.
public enum ConnectError: Error, Equatable, CustomStringConvertible {
    case trust(TrustError)
    case library(String)

    public var description: String {
        switch self {
        case .trust(let error): error.description
        case .library(let detail): "the QUIC connection cannot be set up (\(detail))"
        }
    }
}

/// One QUIC v1 connection (RFC 9000), without sockets, threads or a clock.
///
/// Datagrams go in by `handle`, packets come out of `nextBatch`, time goes in by `handleTimeout`. After each of these,
/// ask `nextEvent`, call `nextBatch` until it gives nil, and set a timer for `nextDeadline`.
public final class QuicConnection {
    public enum State: Sendable {
        case handshaking
        case established
        /// Closed by this side: what arrives is answered with the same last packet (RFC 9000, section 10.2.1).
        case closing
        /// Closed by the peer: nothing more is sent (section 10.2.2).
        case draining
        /// Over; it can be forgotten.
        case closed
    }

    /// Segments of one batch at most, the limit of UDP_SEGMENT in Linux.
    public static let maximumBatchPackets = 64
    /// Bytes of one batch at most: what fits into one UDP datagram over IPv6.
    public static let maximumBatchBytes = 65_535 - 40 - 8
    /// What pacing allows for so long may leave in one batch.
    static let burstTime = Interval.milliseconds(1)
    /// How long what waits on a stream may take to leave, and the least that is worth having ready, in bytes.
    static let readyTime = Interval.milliseconds(100)
    static let leastReadyBytes = 32 << 10
    static let mostReadyBytes = 64 << 20
    /// Packets that may leave at once at any rate.
    static let harmlessPackets = 10
    /// Bytes that a connection may have in flight however short memory is.
    static let alwaysInFlight: UInt64 = 64 << 10
    /// The part of the path's round trip by which handling may be put off, and the longest and shortest that is worth it.
    static let moderationDivisor: Int64 = 50
    static let longestModeration = Interval.milliseconds(2)
    static let shortestModeration = Interval.microseconds(100)
    /// Regions of a stream's queue offered to one packet.
    static let regionLimit = 8

    /// Set it before the next datagram is handled: a stream that the peer opens is refused while there is no owner. It must
    /// outlive the connection, or be cleared: a weak reference would cost a tenth of what a packet costs this module.
    @exclusivity(unchecked) public unowned(unsafe) var owner: (any QuicConnectionOwner)?
    // These are read and written in one step each, never held open: that no access overlaps another need not be checked for
    // each packet.
    @exclusivity(unchecked) public internal(set) var state = State.handshaking
    public let isServer: Bool
    /// The owner's own slot.
    @exclusivity(unchecked) public var context = 0

    /// What its streams hold of the pool: bytes that wait to be sent, or for their acknowledgement.
    public let queued = BlockTally()

    let settings: TransportSettings
    let pool: BlockPool
    let tls: TLSSession
    let random: RandomSource
    /// ngtcp2's connection; set before the initialiser returns.
    private(set) var native: OpaquePointer!

    @exclusivity(unchecked) var streams: [Int64: QuicStream] = [:]
    @exclusivity(unchecked) var schedule = SendSchedule()
    let link = ConnectionLink()
    /// How far the peer may send ahead on all streams together.
    @exclusivity(unchecked) var window: ReceiveWindow
    /// Bytes of all streams that the owner has and has not passed on.
    @exclusivity(unchecked) var kept = 0
    /// See `validatedRemote`; nil before the handshake is complete.
    @exclusivity(unchecked) var provenRemote: Endpoint?
    @exclusivity(unchecked) var datagrams: DatagramQueue
    /// Stands for all datagrams in the schedule: they take turns with the streams as one of them.
    let datagramTurn: QuicStream
    /// The connection-level window is used up, or memory is short: no stream can send until the next batch tries again.
    @exclusivity(unchecked) var isWindowBlocked = false

    @exclusivity(unchecked) var pacer = Pacer()
    /// How many bytes an owner should have waiting on each stream: what leaves in a tenth of a second at the rate at which
    /// packets leave now. More would keep the path no busier, and only grow old before its turn comes.
    @exclusivity(unchecked) public internal(set) var readyBytes = QuicConnection.leastReadyBytes
    /// The pacer has held back what waits to be sent.
    @exclusivity(unchecked) var isPaced = false
    @exclusivity(unchecked) var heldBack = HeldBack.byNothing
    @exclusivity(unchecked) var shortestRTT = RecentMinimum()
    @exclusivity(unchecked) var lossyProbe = LossyProbe()
    @exclusivity(unchecked) var blackHole = BlackHoleWatch()
    /// Bytes of streams and datagrams that the datagram at hand acknowledges.
    @exclusivity(unchecked) var justAcknowledged = 0
    /// When the peer last reported packets that were marked as having met congestion.
    @exclusivity(unchecked) var markedAt: Instant?

    /// Which datagrams of a server's socket belong to this connection; nil on a client.
    let router: ConnectionRouter?
    var routedIDs: [ConnectionID] = []
    let loop: UInt8

    // What ngtcp2 is given pointers to, at fixed places.
    let arrivalPath: NetworkPath
    let departurePath: NetworkPath
    let scratchPath: UnsafeMutablePointer<ngtcp2_path_storage>
    let packetInfo: UnsafeMutablePointer<ngtcp2_pkt_info>
    /// Counts what ngtcp2 allocates for this connection.
    let memory: UnsafeMutablePointer<cngtcp2_memory>
    /// Frames of a kind that no peer needs many of.
    @exclusivity(unchecked) var rareFrames: RateBudget
    let regions: UnsafeMutableBufferPointer<UnsafeRawBufferPointer>
    let vectors: UnsafeMutablePointer<ngtcp2_vec>
    let nativeStatistics: UnsafeMutablePointer<ngtcp2_conn_stat>
    /// Where its qlog goes, when one is written.
    @exclusivity(unchecked) var qlog: (any QlogSink)?
    /// What the server gave this client to be known by in its next connection, the latest of them.
    public internal(set) var addressToken: [UInt8]?
    /// A client's handshake is confirmed (RFC 9001, section 4.1.2).
    var isConfirmed = false
    /// Times that ngtcp2 had the next keys made.
    @exclusivity(unchecked) var keysPrepared = 0
    @exclusivity(unchecked) var packetsAtKeyUpdate = 0
    @exclusivity(unchecked) var keysUsedSince: Instant
    /// Where a server's datagrams may come from; nil on a client.
    @exclusivity(unchecked) var gate: PathGate?
    /// The gate as it was before the datagram at hand, which comes from an address that is new to it.
    @exclusivity(unchecked) var gateBefore: PathGate?
    /// A packet that did not fit into the batch before: it was larger, or takes another path.
    @exclusivity(unchecked) var held: HeldPacket
    /// The CONNECTION_CLOSE packet.
    @exclusivity(unchecked) var farewell: Farewell?

    @exclusivity(unchecked) var events: [ConnectionEvent] = []
    @exclusivity(unchecked) var pendingClose: PendingClose?
    /// Streams that the packet just written took bytes of, linked through `nextSent`, and those that turned out to be
    /// stopped.
    @exclusivity(unchecked) unowned(unsafe) var firstSent: QuicStream?
    @exclusivity(unchecked) var pendingStops: [QuicStream] = []
    var wasStatelesslyReset = false
    /// Inside ngtcp2, where streams must not be taken down.
    @exclusivity(unchecked) var isInside = false
    @exclusivity(unchecked) var latest: Instant
    @exclusivity(unchecked) var counters = ConnectionStatistics()

    /// The certificate that a client has shown, which the server has found good.
    public var peerCertificate: PeerCertificate? { isServer ? tls.peerCertificate : nil }

    /// Judges what a client has shown at the time of the handshake by what holds now.
    /// - Returns: nil where nothing is wrong with it, nothing is asked for, or the handshake was judged by the same.
    public func certificateComplaint(under identity: ServerIdentity) -> String? {
        guard state == .established, let clients = identity.clients, !tls.wasJudged(by: clients) else { return nil }
        guard let certificate = peerCertificate else { return clients.demand == .required ? "none was shown" : nil }
        return clients.complaint(about: certificate.chain)?.text
    }

    /// Starts a client's connection; its first packet waits in `nextBatch`.
    /// - Parameters:
    ///   - identity: what the client shows a server that asks for a certificate.
    ///   - token: what `addressToken` was in an earlier connection to this server, to be used once; empty for none.
    ///   - random: must be unpredictable outside of tests.
    public static func client(
        to remote: Endpoint, local: Endpoint, trust: ServerTrust, identity: ClientIdentity? = nil,
        settings: TransportSettings = TransportSettings(), token: [UInt8] = [], pool: BlockPool,
        random: any RandomNumberGenerator, now: Instant
    ) throws(ConnectError) -> QuicConnection {
        let checked: CheckedTrust
        do {
            checked = try CheckedTrust(trust, identity: identity)
        } catch {
            throw .trust(error)
        }
        guard let tls = TLSSession.client(checked, protocolName: settings.applicationProtocol) else {
            throw .library("GnuTLS gives no session")
        }
        let connection = QuicConnection(
            role: nil, tls: tls, remote: remote, local: local, settings: settings, pool: pool,
            random: RandomSource(random), now: now)
        try connection.startClient(version: settings.version, token: token)
        return connection
    }

    /// A server's connection for a client's first packet.
    static func server(
        _ arrival: InitialArrival, router: ConnectionRouter, tls: TLSSession, settings: TransportSettings,
        pool: BlockPool, random: RandomSource, now: Instant
    ) throws(ConnectError) -> QuicConnection {
        let connection = QuicConnection(
            role: router, tls: tls, remote: arrival.remote, local: arrival.local, settings: settings, pool: pool,
            random: random, now: now)
        try connection.startServer(arrival)
        return connection
    }

    private init(
        role router: ConnectionRouter?, tls: TLSSession, remote: Endpoint, local: Endpoint,
        settings: TransportSettings, pool: BlockPool, random: RandomSource, now: Instant
    ) {
        isServer = router != nil
        self.router = router
        loop = router?.loop ?? 0
        self.tls = tls
        self.settings = settings
        self.pool = pool
        self.random = random
        latest = now
        keysUsedSince = now
        datagrams = DatagramQueue(limit: settings.datagramQueueLimit, patience: settings.datagramPatience)
        window = ReceiveWindow(
            initial: settings.startConnectionWindow, limit: settings.connectionWindow, now: now)
        datagramTurn = QuicStream(
            id: StreamID(rawValue: -1), link: link, pool: pool, tally: queued,
            window: ReceiveWindow(initial: 0, limit: 0, now: now))
        arrivalPath = NetworkPath(local: local, remote: remote)
        departurePath = NetworkPath(local: local, remote: remote)
        scratchPath = .allocate(capacity: 1)
        ngtcp2_path_storage_zero(scratchPath)
        packetInfo = .allocate(capacity: 1)
        packetInfo.initialize(to: ngtcp2_pkt_info())
        memory = .allocate(capacity: 1)
        cngtcp2_memory_init(memory)
        rareFrames = RateBudget(
            burst: settings.rareFrameBurst, perSecond: settings.rareFramesPerSecond, now: now)
        regions = .allocate(capacity: Self.regionLimit)
        regions.initialize(repeating: UnsafeRawBufferPointer(start: nil, count: 0))
        vectors = .allocate(capacity: Self.regionLimit)
        nativeStatistics = .allocate(capacity: 1)
        nativeStatistics.initialize(to: ngtcp2_conn_stat())
        held = HeldPacket(local: local, remote: remote)
        gate = isServer ? PathGate(current: .init(remote: remote, local: local)) : nil
        link.connection = self
    }

    deinit {
        link.connection = nil
        if let native { ngtcp2_conn_del(native) }
        memory.deallocate()
        scratchPath.deallocate()
        packetInfo.deallocate()
        regions.deallocate()
        vectors.deallocate()
        nativeStatistics.deallocate()
        held.memory.deallocate()
    }

    private func startClient(version: UInt32, token: [UInt8]) throws(ConnectError) {
        var callbacks = Self.makeCallbacks(isServer: false)
        if let encrypt = settings.encrypt { callbacks.encrypt = encrypt }
        var nativeSettings = makeNativeSettings()
        var parameters = settings.makeTransportParameters()
        var destination = ConnectionID.random(loop: UInt8(truncatingIfNeeded: random.next()), using: random).native
        var source = ConnectionID.random(loop: 0, using: random).native
        startQlog(ConnectionID(destination), in: &nativeSettings)
        let result = token.withUnsafeBufferPointer { token in
            nativeSettings.token = ngtcp2_vec(base: UnsafeMutablePointer(mutating: token.baseAddress), len: token.count)
            return ngtcp2_conn_client_new(
                &native, &destination, &source, arrivalPath.pointer, version, &callbacks, &nativeSettings, &parameters,
                &memory.pointee.functions, Unmanaged.passUnretained(self).toOpaque())
        }
        try finishStart(result)
    }

    private func startServer(_ arrival: InitialArrival) throws(ConnectError) {
        var callbacks = Self.makeCallbacks(isServer: true)
        var nativeSettings = makeNativeSettings()
        var parameters = settings.makeTransportParameters()
        let identifier = ConnectionID.random(loop: loop, using: random)
        parameters.original_dcid = (arrival.originalDestination ?? arrival.destination).native
        if arrival.originalDestination != nil {
            parameters.retry_scid = arrival.destination.native
            parameters.retry_scid_present = 1
        }
        var source = identifier.native
        parameters.stateless_reset_token_present = 1
        router?.resetToken(for: &source, into: &parameters.stateless_reset_token)
        var destination = arrival.source.native
        startQlog(arrival.originalDestination ?? arrival.destination, in: &nativeSettings)
        let result = arrival.token.withUnsafeBufferPointer { token in
            nativeSettings.token = ngtcp2_vec(base: UnsafeMutablePointer(mutating: token.baseAddress), len: token.count)
            return ngtcp2_conn_server_new(
                &native, &destination, &source, arrivalPath.pointer, UInt32(NGTCP2_PROTO_VER_V1), &callbacks,
                &nativeSettings, &parameters, &memory.pointee.functions, Unmanaged.passUnretained(self).toOpaque())
        }
        try finishStart(result)
        route(arrival.destination)
        route(identifier)
    }

    private func makeNativeSettings() -> ngtcp2_settings {
        var native = settings.makeNative(now: latest)
        native.rand_ctx.native_handle = Unmanaged.passUnretained(random).toOpaque()
        return native
    }

    private func finishStart(_ result: Int32) throws(ConnectError) {
        guard result == 0, let native else { throw .library(String(cString: ngtcp2_strerror(result))) }
        tls.attach(to: self)
        ngtcp2_conn_set_tls_native_handle(native, UnsafeMutableRawPointer(tls.handle))
        if let keepAlive = settings.keepAlive {
            ngtcp2_conn_set_keep_alive_timeout(native, UInt64(max(keepAlive.nanoseconds, 1)))
        }
    }

    /// ngtcp2 insists that time does not run backwards.
    func advance(to now: Instant) -> UInt64 {
        latest = max(latest, now)
        return latest.nanoseconds
    }
}

// MARK: - Getters

extension QuicConnection {
    public var remote: Endpoint { departurePath.remote }
    /// The last address at which the peer has answered (RFC 9000, section 8). `remote` follows a packet before that, and anybody
    /// can write an address into a packet.
    public var validatedRemote: Endpoint { provenRemote ?? remote }
    public var local: Endpoint { departurePath.local }

    /// When `handleTimeout` is to be called next.
    public var nextDeadline: Instant? {
        switch state {
        case .handshaking, .established:
            let expiry = ngtcp2_conn_get_expiry(native)
            let timer = expiry == .max ? nil : Instant(nanoseconds: expiry)
            return earliest(earliest(timer, gate?.lockedUntil), isPaced ? pacer.nextDeparture : nil)
        case .closing, .draining: return farewell?.end
        case .closed: return nil
        }
    }

    /// How long what arrives may wait, to be handled together with what comes behind it: a fiftieth of the path's shortest
    /// round trip, at most two milliseconds; zero on a short path, and before the path is known. Not so long that pacing suffers:
    /// that is what `nextDeadline` is for.
    public var moderation: Interval {
        guard state == .established else { return .zero }
        let shortest = nativeStatistics.pointee.min_rtt
        guard shortest != .max else { return .zero }
        let part = Interval.nanoseconds(Int64(clamping: shortest) / Self.moderationDivisor)
        return part < Self.shortestModeration ? .zero : min(part, Self.longestModeration)
    }

    public var openStreams: Int { streams.count }

    public func nextEvent() -> ConnectionEvent? { events.isEmpty ? nil : events.removeFirst() }

    /// Bytes that only the two ends of this connection can know (RFC 8446, section 7.5); nil before the handshake is
    /// complete.
    public func exportKeyingMaterial(label: String, context: [UInt8], count: Int) -> [UInt8]? {
        guard state == .established else { return nil }
        return tls.export(label: label, context: context, count: count)
    }

    /// The largest datagram that `sendDatagram` can send now, in bytes; 0 when the peer takes none.
    public var maximumDatagramSize: Int {
        guard state == .established else { return 0 }
        // Short header with connection ID and packet number, authentication tag, and the frame.
        let overhead = 1 + ngtcp2_conn_get_dcid(native).pointee.datalen + 4 + 16 + Self.datagramFrameOverhead
        let room = min(
            peerDatagramLimit - Self.datagramFrameOverhead,
            pathPayload - overhead)
        return min(max(room, 0), DatagramQueue.maximumDatagram)
    }

    /// Bytes of the largest packet that the path is known to carry.
    var pathPayload: Int {
        blackHole.isSmall ? TransportSettings.minimumUDPPayload : ngtcp2_conn_get_path_max_tx_udp_payload_size(native)
    }

    /// Bytes of the largest DATAGRAM frame that the peer takes (RFC 9221, section 3); 0 when it takes none.
    var peerDatagramLimit: Int {
        guard let peer = ngtcp2_conn_get_remote_transport_params(native) else { return 0 }
        return Int(clamping: peer.pointee.max_datagram_frame_size)
    }

    /// Bytes of a DATAGRAM frame besides what it carries: its type and, for up to 16 383 bytes, its length.
    static let datagramFrameOverhead = 3

    public var statistics: ConnectionStatistics {
        var result = counters
        result.streamsOpen = streams.count
        result.keyUpdates = keyUpdates
        result.libraryMemory = memory.pointee.used
        result.datagramsDropped += datagrams.dropped
        guard state == .handshaking || state == .established else { return result }
        ngtcp2_conn_get_conn_stat(native, nativeStatistics)
        let native = nativeStatistics.pointee
        result.smoothedRTT = .nanoseconds(Int64(clamping: native.smoothed_rtt))
        result.latestRTT = .nanoseconds(Int64(clamping: native.latest_rtt))
        result.minimumRTT = .nanoseconds(native.min_rtt == .max ? 0 : Int64(clamping: native.min_rtt))
        result.congestionWindow = Int(clamping: native.cwnd)
        result.bytesInFlight = Int(clamping: native.bytes_in_flight)
        // ngtcp2 counts bytes a nanosecond.
        result.pacingRate = Int(exactly: (native.pacing_rate * 1e9).rounded()).map { max($0, 0) } ?? 0
        result.pathPayload = pathPayload
        for id in streams.keys { result.lostPackets += ngtcp2_conn_get_stream_loss_count(self.native, id) }
        return result
    }
}

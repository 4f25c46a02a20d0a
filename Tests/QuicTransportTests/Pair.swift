import Primitives
import QuicTransport
import SimNet
import TestSupport
import Testing

/// A client and a server's endpoint over two emulated links on a virtual clock.
final class Pair {
    struct Options {
        var link = LinkConditions()
        var seed: UInt64 = 1
        var certificates = Certificates.valid
        var trust: ServerTrust?
        var clients: ClientAuthorities?
        var clientIdentity: ClientIdentity?
        var client = TransportSettings()
        var server = TransportSettings()
        var limits = QuicEndpoint.Limits()
        var resetKey = [UInt8](repeating: 7, count: 32)
        var tokenSecret = [UInt8](repeating: 8, count: 32)
        var poolBytes = 256 << 20
    }

    static let serverAddress = Endpoint("192.0.2.1:4433")!
    static let localAddress = Endpoint("198.51.100.7:50000")!
    /// The client's own idea of its address.
    var localAddress = Pair.localAddress
    /// Where the server sees the client; a NAT may change it.
    var clientAddress = localAddress

    let options: Options
    let pool: BlockPool
    var client: QuicConnection
    var endpoint: QuicEndpoint
    /// The first connection that the endpoint accepted.
    var server: QuicConnection?
    let clientSide = Recorder()
    let serverSide = Recorder()
    var up: SimLink
    var down: SimLink
    var now = Instant(nanoseconds: 1_000_000_000)
    /// ECN codepoints of the batches that the client sent.
    var clientECN: Set<UInt8> = []
    var largestBatch = 0
    /// Bytes that left for each address.
    var sentTo: [Endpoint: Int] = [:]

    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)

    init(_ options: Options = Options()) throws {
        self.options = options
        // Nothing is retained, so that an address sanitizer sees every use of a block given back.
        pool = BlockPool(byteLimit: options.poolBytes, retainedBytes: 0)
        up = SimLink(options.link, seed: options.seed &* 2)
        down = SimLink(options.link, seed: options.seed &* 2 &+ 1)
        endpoint = try Self.makeEndpoint(options, pool: pool, seed: options.seed)
        client = try Self.makeClient(options, pool: pool, local: Self.localAddress, now: now)
        client.owner = clientSide
    }

    deinit { buffer.deallocate() }

    static func makeEndpoint(_ options: Options, pool: BlockPool, seed: UInt64) throws -> QuicEndpoint {
        QuicEndpoint(
            identity: try options.certificates.identity(clients: options.clients), settings: options.server,
            resetKey: options.resetKey,
            tokenSecret: options.tokenSecret, limits: options.limits, pool: pool,
            random: SeededRandom(seed: seed &+ 1000))
    }

    static func makeClient(
        _ options: Options, pool: BlockPool, local: Endpoint, now: Instant, token: [UInt8] = []
    ) throws -> QuicConnection {
        let trust = options.trust ?? .authorities(pem: options.certificates.authority, serverName: "server.test")
        return try QuicConnection.client(
            to: serverAddress, local: local, trust: trust, identity: options.clientIdentity, settings: options.client,
            token: token, pool: pool, random: SeededRandom(seed: options.seed &+ 2000), now: now)
    }

    // MARK: Steps

    /// Does everything that is due now.
    func settle() {
        while let datagram = up.receiveDatagram(now: now) { deliverToServer(datagram.bytes, ecn: datagram.ecn) }
        while let datagram = down.receiveDatagram(now: now) { deliverToClient(datagram.bytes, ecn: datagram.ecn) }
        if let deadline = client.nextDeadline, deadline <= now { client.handleTimeout(now: now) }
        for connection in endpoint.connections {
            if let deadline = connection.nextDeadline, deadline <= now { connection.handleTimeout(now: now) }
        }
        flush()
    }

    func deliverToServer(_ bytes: [UInt8], ecn: UInt8 = 0) {
        _ = bytes.withUnsafeBytes {
            endpoint.handle($0, from: clientAddress, to: Self.serverAddress, ecn: ecn, now: now)
        }
        while let connection = endpoint.nextAccepted() {
            connection.owner = serverSide
            if server == nil { server = connection }
        }
    }

    func deliverToClient(_ bytes: [UInt8], ecn: UInt8 = 0) {
        bytes.withUnsafeBytes { client.handle($0, from: Self.serverAddress, to: localAddress, ecn: ecn, now: now) }
    }

    func flush() {
        batches(of: client) { self.up.send($0, ecn: $1, now: self.now) }
        while let event = client.nextEvent() { clientSide.events.append(event) }
        for answer in takeAnswers() { down.send(answer, now: now) }
        for connection in endpoint.connections {
            batches(of: connection) { self.down.send($0, ecn: $1, now: self.now) }
            while let event = connection.nextEvent() { if connection === server { serverSide.events.append(event) } }
            if connection.state == .closed { endpoint.remove(connection) }
        }
    }

    func drain(_ connection: QuicConnection, _ send: ([UInt8]) -> Void) {
        batches(of: connection) { bytes, _ in send(bytes) }
    }

    /// What the server answers strangers.
    func takeAnswers() -> [[UInt8]] {
        var answers: [[UInt8]] = []
        while let batch = endpoint.nextStatelessDatagram(into: buffer) { answers.append(Array(buffer[..<batch.count])) }
        return answers
    }

    private func batches(of connection: QuicConnection, _ send: (_ bytes: [UInt8], _ ecn: UInt8) -> Void) {
        while let batch = connection.nextBatch(into: buffer, now: now) {
            largestBatch = max(largestBatch, batch.packets)
            sentTo[batch.remote, default: 0] += batch.count
            if connection === client { clientECN.insert(batch.ecn) }
            var offset = 0
            while offset < batch.count {
                let end = min(offset + batch.segmentSize, batch.count)
                send(Array(UnsafeRawBufferPointer(rebasing: buffer[offset..<end])), batch.ecn)
                offset = end
            }
        }
    }

    var nextMoment: Instant? {
        var next = earliest(up.nextArrival, down.nextArrival)
        next = earliest(next, client.nextDeadline)
        for connection in endpoint.connections { next = earliest(next, connection.nextDeadline) }
        return next
    }

    /// Runs until the condition holds.
    /// - Returns: false when it did not within the time, or nothing is left that could happen.
    @discardableResult
    func run(for limit: Interval = .seconds(60), until condition: (Pair) -> Bool = { _ in false }) -> Bool {
        let end = now + limit
        settle()
        while !condition(self) {
            guard let next = nextMoment, next <= end else {
                now = max(now, end)
                return false
            }
            now = max(Instant(nanoseconds: now.nanoseconds + 1), next)
            settle()
        }
        return true
    }

    func connect() throws {
        let done = run(for: .seconds(30)) { $0.clientSide.isEstablished && $0.serverSide.isEstablished }
        try #require(done, "no handshake, seed \(options.seed): \(String(describing: clientSide.closeReason))")
    }

    /// Opens streams that upload so many bytes each. The server counts them, and does not keep them.
    func startUploads(_ count: Int = 1, of size: Int) throws -> [QuicStream] {
        let bytes = Pair.pattern(size, seed: 4)
        serverSide.keepsBytes = false
        let streams = try (0..<count).map { _ in try #require(client.openStream()) }
        for stream in streams { clientSide.send(bytes, on: stream, client) }
        flush()
        return streams
    }

    /// A client that uploads so many bytes over this link, from the beginning on.
    static func uploading(_ size: Int, over link: LinkConditions) throws -> (Pair, QuicStream) {
        var options = Options()
        options.link = link
        let pair = try Pair(options)
        try pair.connect()
        return (pair, try pair.startUploads(of: size)[0])
    }

    /// Bytes that repeat only after 2^40 bytes or so.
    static func pattern(_ count: Int, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            var offset = 0
            while offset + 8 <= count {
                raw.storeBytes(of: random.next(), toByteOffset: offset, as: UInt64.self)
                offset += 8
            }
            while offset < count {
                buffer[offset] = UInt8(truncatingIfNeeded: random.next())
                offset += 1
            }
            initialized = count
        }
    }
}

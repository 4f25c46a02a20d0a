import Primitives
import QuicTransport
import Sealing
import SimNet
import TestSupport
import Testing
import Tunnel

@testable import Server

/// A server engine and a client that keeps no rule, on a perfect network.
final class HostileClient {
    static let address = Endpoint("192.0.2.1:40000")!
    static let serverAddress = Endpoint("192.0.2.2:4433")!

    struct Attempt: Equatable {
        var id: OutboundID
        var destination: Endpoint
        var time: Instant
    }

    struct Query: Equatable {
        var id: NameQueryID
        var name: String
        var family: NameFamily
    }

    let peer = RawPeer()
    let server: ServerEngine
    let connection: QuicConnection
    let pool = BlockPool(byteLimit: 64 << 20)
    let serverPool = BlockPool(byteLimit: 64 << 20)
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var dials: [OutboundID] = []
    /// Those of TCP, with when they began.
    private(set) var attempts: [Attempt] = []
    /// Questions to the name servers.
    private(set) var queries: [Query] = []
    private(set) var datagramSockets: [OutboundID] = []
    private(set) var closes: [OutboundID] = []
    /// What the dialled sockets were given, when they take it.
    private(set) var written: [OutboundID: [UInt8]] = [:]
    private(set) var finishedWriting: Set<OutboundID> = []
    private(set) var notices: [ServerNotice] = []
    /// Where a packet seems to come from, by its number, if not from `address`. What the server sends there is lost.
    var spoof: (_ packet: Int) -> Endpoint?
    private(set) var packets = 0
    /// Dialled sockets take bytes.
    var socketsTake = true
    /// What the program is asked, and how it answers; nil for not at all.
    private(set) var logins: [(id: SessionID, request: LoginRequest)] = []
    var decision: Result<Admission, LoginRefusal>? = .success(Admission(user: "hostile"))
    private(set) var loggedOut: [SessionID] = []
    private let batch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

    init(
        transport: TransportSettings = TransportSettings(), configure: (inout ServerSettings) -> Void = { _ in },
        spoof: @escaping (_ packet: Int) -> Endpoint? = { _ in nil }
    ) throws {
        self.spoof = spoof
        var settings = ServerSettings(
            identity: try Certificates.valid.identity, keyPair: RawPeer.serverPair,
            resetKey: [UInt8](repeating: 9, count: 32))
        configure(&settings)
        server = ServerEngine(settings: settings, pool: serverPool, random: SeededRandom(seed: 1), now: now)
        connection = try QuicConnection.client(
            to: Self.serverAddress, local: Self.address,
            trust: .authorities(pem: Certificates.valid.authority, serverName: "server.test"), settings: transport,
            pool: pool, random: SeededRandom(seed: 2), now: now)
        connection.owner = peer
        peer.connection = connection
        run()
    }

    deinit { batch.deallocate() }

    /// Lets both ends say what they have to say, for so long.
    func run(for time: Interval = .milliseconds(200)) {
        let end = now + time
        while true {
            settle()
            guard let next = earliest(connection.nextDeadline, server.nextDeadline), next <= end else { break }
            now = max(next, now)
            if let due = connection.nextDeadline, due <= now { connection.handleTimeout(now: now) }
            if let due = server.nextDeadline, due <= now { server.handleTimeout(now: now) }
        }
        now = end
    }

    private func settle() {
        var isBusy = true
        while isBusy {
            isBusy = false
            while let out = connection.nextBatch(into: batch, now: now) {
                isBusy = true
                each(out) {
                    let source = spoof(packets) ?? Self.address
                    packets += 1
                    server.handleDatagram($0, from: source, to: Self.serverAddress, ecn: 0, now: now)
                }
            }
            while let action = server.nextAction() {
                isBusy = true
                carryOut(action)
            }
            while let out = server.nextBatch(into: batch, now: now) {
                isBusy = true
                guard out.remote == Self.address else { continue }
                each(out) {
                    connection.handle(
                        UnsafeRawBufferPointer($0), from: Self.serverAddress, to: Self.address, ecn: 0, now: now)
                }
            }
            peer.takeEvents()
        }
    }

    private func each(_ out: OutgoingBatch, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        let copy = Array(batch[..<out.count])
        for start in stride(from: 0, to: out.count, by: out.segmentSize) {
            var datagram = Array(copy[start..<min(start + out.segmentSize, out.count)])
            datagram.withUnsafeMutableBytes(body)
        }
    }

    /// What the server has for its sockets.
    func takeDatagrams() -> [SimDatagrams.Sent] {
        var sent: [SimDatagrams.Sent] = []
        while let run = server.nextDatagrams() {
            sent += SimDatagrams.cut(run).map { .init(socket: run.id, destination: run.destination, payload: $0) }
        }
        return sent
    }

    private func carryOut(_ action: ServerAction) {
        switch action {
        case .dial(let id, let destination):
            dials.append(id)
            attempts.append(Attempt(id: id, destination: destination, time: now))
        case .openDatagramSocket(let id, _):
            dials.append(id)
            datagramSockets.append(id)
        case .resolve(let id, let name, let family):
            queries.append(Query(id: id, name: name.text, family: family))
        case .write(let id):
            guard socketsTake else { return }
            var bytes: [UInt8] = []
            server.pendingRegions(id) {
                bytes += $0
                return true
            }
            written[id, default: []] += bytes
            server.wrote(id, bytes.count, now: now)
        case .finishWriting(let id): finishedWriting.insert(id)
        case .read: break
        case .close(let id, _): closes.append(id)
        case .login(let id, let request):
            logins.append((id, request))
            switch decision {
            case .success(let admission): server.admit(id, admission, now: now)
            case .failure(let refusal): server.refuse(id, refusal, now: now)
            case nil: break
            }
        case .loggedOut(let id): loggedOut.append(id)
        case .log(let notice): notices.append(notice)
        }
    }

    /// Exchanges keys as a good client does.
    func exchangeKeys(_ own: KeyPair = RawPeer.clientPair) -> (stream: QuicStream, sealed: ControlStream) {
        let stream = connection.openStream()!
        guard let first = try? peer.beginAsClient(own), let control = peer.control else {
            fatalError("no key exchange can be begun")
        }
        peer.send(first, on: stream)
        run()
        do { try peer.hear() } catch { Issue.record("the key exchange fails: \(error)") }
        return (stream, control)
    }

    /// Exchanges keys and says hello as a good client does; answers the control stream.
    @discardableResult
    func greet(
        as own: KeyPair = RawPeer.clientPair, user: UserLogin? = nil
    ) -> (stream: QuicStream, sealed: ControlStream) {
        let (stream, control) = exchangeKeys(own)
        peer.send(control.sealedBytes(Hello(software: "hostile", user: user).encode()), on: stream)
        run()
        return (stream, control)
    }

    /// The next message of the server's.
    func nextMessage() -> [UInt8]? {
        _ = try? peer.hear()
        return peer.control?.nextMessage()
    }

    /// A flow stream on which nothing was sent yet.
    func flow() -> (stream: QuicStream, sealed: FlowStream) {
        let stream = connection.openStream()!
        return (stream, peer.sealed(stream, .client))
    }

    /// A flow whose dial has succeeded.
    func connectedFlow(to destination: String = "203.0.113.2:80") -> (stream: QuicStream, sealed: FlowStream) {
        let (stream, sealed) = flow()
        peer.send(sealed.sealedBytes(message: Self.request(destination)), on: stream)
        run(for: .milliseconds(10))
        server.dialSucceeded(dials.last!, bound: nil, now: now)
        run(for: .milliseconds(10))
        return (stream, sealed)
    }

    static func request(_ destination: String) -> [UInt8] {
        FlowRequest(.connect, to: .endpoint(Endpoint(destination)!)).encode()
    }

    /// The server's answer on a flow, nil when there is none that opens. To be asked once.
    func reply(on flow: (stream: QuicStream, sealed: FlowStream)) -> FlowReply? {
        var queue = BlockQueue(pool: pool)
        let bytes = peer.received[flow.stream.id.rawValue] ?? []
        guard let message = try? bytes.withUnsafeBytes({ try flow.sealed.open($0, into: &queue) }) else { return nil }
        return try? FlowReply(parsing: message)
    }
}

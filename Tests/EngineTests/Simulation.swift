import Client
import FlowNAT
import Packets
import Primitives
import QuicTransport
import Sealing
import Server
import SimNet
import TestSupport
import Tunnel

/// A whole client and a whole server in one process: applications on one side, services on the other, a bad network
/// between, on a virtual clock.
final class Simulation {
    static let clientAddress = Endpoint(IPAddress("192.0.2.1")!, 40_000)
    static let serverAddress = Endpoint(IPAddress("192.0.2.2")!, 4_433)

    /// The client's own idea of its address; datagrams that it sends from another one are lost.
    var localAddress = Simulation.clientAddress
    /// Where the server sees the client, if a NAT lies between.
    var outsideAddress: Endpoint?
    /// Nothing that is sent from here arrives anywhere.
    var deadAddress: IPAddress?

    let client: ClientEngine
    private(set) var server: ServerEngine
    let clientPool: BlockPool
    let serverPool: BlockPool
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    var up: SimLink
    var down: SimLink
    /// The TUN between applications and client: perfect unless told otherwise.
    var toClient: SimLink
    var toApplications: SimLink
    private(set) var applications: [SimTCPPeer] = []
    var services: [Endpoint: SimService] = [:]
    let datagrams = SimDatagrams()
    private(set) var sockets: [OutboundID: SimSocket] = [:]
    /// Every socket that ever was, in the order of dialling.
    private(set) var allSockets: [SimSocket] = []
    private(set) var resetSockets: Set<OutboundID> = []
    private(set) var clientEvents: [ClientEvent] = []
    private(set) var notices: [ServerNotice] = []
    private(set) var logins: [LoginRequest] = []
    private(set) var logouts = 0
    /// What the server's program says to a client that wants to come in.
    var decide: (LoginRequest) -> Result<Admission, LoginRefusal> = { _ in .success(Admission(user: "client")) }
    var dialDelay = Interval.milliseconds(5)
    private let makeServer: (Instant) throws -> ServerEngine
    private let packet = PacketBuffer()
    private let batch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private var serverIsUp = true

    init(
        link: LinkConditions = LinkConditions(), tun: LinkConditions = LinkConditions(delay: .microseconds(20)),
        seed: UInt64, cipher: Cipher = .aes256gcm, wrongKey: Bool = false,
        clientMemory: Int = 64 << 20, serverMemory: Int = 64 << 20,
        configureClient: (inout ClientSettings) -> Void = { _ in },
        configureServer: @escaping (inout ServerSettings) -> Void = { _ in }
    ) throws {
        up = SimLink(link, seed: seed)
        down = SimLink(link, seed: seed &+ 1)
        toClient = SimLink(tun, seed: seed &+ 2)
        toApplications = SimLink(tun, seed: seed &+ 3)
        let key = RawPeer.serverPair
        var settings = ClientSettings(
            trust: .authorities(pem: Certificates.valid.authority, serverName: "server.test"),
            serverKey: (wrongKey ? RawPeer.clientPair : key).publicKey, keyPair: RawPeer.clientPair)
        settings.cipher = cipher
        configureClient(&settings)
        clientPool = BlockPool(byteLimit: clientMemory)
        client = ClientEngine(
            settings: settings, pool: clientPool, random: SeededRandom(seed: seed &+ 4), now: now)
        let pool = BlockPool(byteLimit: serverMemory)
        serverPool = pool
        let identity = try Certificates.valid.identity
        makeServer = { now in
            var settings = ServerSettings(identity: identity, keyPair: key, resetKey: [UInt8](repeating: 9, count: 32))
            configureServer(&settings)
            return ServerEngine(settings: settings, pool: pool, random: SeededRandom(seed: seed &+ 5), now: now)
        }
        server = try makeServer(now)
    }

    deinit { batch.deallocate() }

    // MARK: - Actors

    /// A new application that connects to `destination`.
    @discardableResult
    func application(
        to destination: String, offload: Bool = true, settings: (inout SimTCPPeer.Settings) -> Void = { _ in }
    ) -> SimTCPPeer {
        var options = SimTCPPeer.Settings()
        options.segmentationOffload = offload
        settings(&options)
        let number = applications.count
        let peer = SimTCPPeer(settings: options, seed: UInt64(number) + 100)
        let remote = Endpoint(destination)!
        let address = remote.address.isIPv4 ? IPAddress("198.18.0.1")! : IPAddress("fd00:5053::1")!
        peer.connect(to: remote, from: Endpoint(address, UInt16(20_000 + number)), now: now)
        applications.append(peer)
        return peer
    }

    /// An application sends a datagram.
    func send(_ payload: [UInt8], from source: Endpoint, to destination: Endpoint) {
        toClient.send(Self.wrap(.none, SimDatagrams.packet(from: source, to: destination, payload)), now: now)
    }

    func socket(_ number: Int) -> SimSocket { allSockets[number] }

    /// Kills the server without a word; `restart` brings an empty one back.
    func killServer() { serverIsUp = false }

    func restartServer() throws {
        sockets.removeAll()
        server = try makeServer(now)
        serverIsUp = true
    }

    /// The network below the client changes.
    func moveClient(to local: Endpoint) {
        localAddress = local
        client.migrate(to: local, now: now)
    }

    // MARK: - Time

    /// Runs until `done`, or for `limit` of virtual time; says whether it was done.
    @discardableResult
    func run(for limit: Interval = .seconds(60), until done: () -> Bool = { false }) -> Bool {
        let end = now + limit
        while true {
            settle()
            if done() { return true }
            guard let next = nextWake, next <= end else {
                now = end
                settle()
                return done()
            }
            // Nothing more happens at this moment, and some timers end only after theirs.
            now = max(now + .nanoseconds(1), next)
        }
    }

    private var nextWake: Instant? {
        var next = earliest(client.nextDeadline, serverIsUp ? server.nextDeadline : nil)
        for link in [up, down, toClient, toApplications] { next = earliest(next, link.nextArrival) }
        for peer in applications { next = earliest(next, peer.nextDeadline) }
        for socket in sockets.values where !socket.isConnected {
            if case .silent = socket.service { continue }
            next = earliest(next, socket.connectsAt)
        }
        return next
    }

    /// Everything that happens at this moment.
    private func settle() {
        var isBusy = true
        while isBusy {
            isBusy = false
            deliver(&isBusy)
            fireTimers()
            runApplications(&isBusy)
            runClient(&isBusy)
            if serverIsUp {
                runSockets(&isBusy)
                runServer(&isBusy)
            }
        }
    }

    private func deliver(_ isBusy: inout Bool) {
        while var bytes = down.receive(now: now) {
            isBusy = true
            bytes.withUnsafeMutableBytes {
                client.handleDatagram($0, from: Self.serverAddress, to: localAddress, ecn: 0, now: now)
            }
        }
        while var bytes = up.receive(now: now) {
            isBusy = true
            guard serverIsUp else { continue }
            bytes.withUnsafeMutableBytes {
                server.handleDatagram(
                    $0, from: outsideAddress ?? localAddress, to: Self.serverAddress, ecn: 0, now: now)
            }
        }
        while let bytes = toClient.receive(now: now) {
            isBusy = true
            let header = VirtioHeader(bytes.span.bytes)!
            bytes.withUnsafeBytes {
                client.handlePacket(
                    UnsafeRawBufferPointer(rebasing: $0[VirtioHeader.byteCount...]), offload: header, now: now)
            }
        }
        while let bytes = toApplications.receive(now: now) {
            isBusy = true
            let header = VirtioHeader(bytes.span.bytes)!
            let packet = Array(bytes[VirtioHeader.byteCount...])
            datagrams.hear(packet)
            for peer in applications where peer.handle(packet, virtioHeader: header, now: now) { break }
        }
    }

    private func fireTimers() {
        if let deadline = client.nextDeadline, deadline <= now { client.handleTimeout(now: now) }
        if serverIsUp, let deadline = server.nextDeadline, deadline <= now { server.handleTimeout(now: now) }
        for peer in applications {
            if let deadline = peer.nextDeadline, deadline <= now { peer.handleTimeout(now: now) }
        }
    }

    private func runApplications(_ isBusy: inout Bool) {
        for peer in applications {
            while let packet = peer.nextPacket(now: now) {
                isBusy = true
                toClient.send(Self.wrap(peer.packetHeader, packet), now: now)
            }
        }
    }

    private static func wrap(_ header: VirtioHeader, _ packet: [UInt8]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: VirtioHeader.byteCount)
        bytes.withUnsafeMutableBytes { header.store(to: $0.baseAddress!) }
        return bytes + packet
    }

    private func runClient(_ isBusy: inout Bool) {
        while let event = client.nextEvent() {
            isBusy = true
            clientEvents.append(event)
            if event == .anotherSocketWanted {
                moveClient(to: Endpoint(localAddress.address, localAddress.port + 1))
            }
            if event == .connectionWanted {
                client.connect(to: Self.serverAddress, local: localAddress, now: now)
            }
        }
        while let out = client.nextBatch(into: batch, now: now) {
            isBusy = true
            if out.local == localAddress, out.local.address != deadAddress { send(out, on: &up) }
        }
        while client.nextPacket(into: packet, now: now) {
            isBusy = true
            toApplications.send(Self.wrap(packet.offload, packet.flattened()), now: now)
        }
    }

    private func send(_ out: OutgoingBatch, on link: inout SimLink) {
        for start in stride(from: 0, to: out.count, by: out.segmentSize) {
            link.send(Array(batch[start..<min(start + out.segmentSize, out.count)]), now: now)
        }
    }

    private func runServer(_ isBusy: inout Bool) {
        while let action = server.nextAction() {
            isBusy = true
            carryOut(action)
        }
        if datagrams.exchange(server, now: now) { isBusy = true }
        while let out = server.nextBatch(into: batch, now: now) {
            isBusy = true
            send(out, on: &down)
        }
    }

    private func carryOut(_ action: ServerAction) {
        switch action {
        case .dial(let id, let destination):
            let service = services[destination] ?? .fails(.refused, after: dialDelay)
            var delay = dialDelay
            if case .fails(_, let after) = service { delay = after }
            let socket = SimSocket(id: id, service: service, connectsAt: now + delay)
            sockets[id] = socket
            allSockets.append(socket)
        case .resolve(let id, _, _):
            // A TUN knows no names.
            server.resolved(id, .none, now: now)
        case .openDatagramSocket(let id, _):
            datagrams.open(id, server, now: now)
        case .write(let id):
            if let socket = sockets[id] { write(socket) }
        case .finishWriting(let id):
            sockets[id]?.receiveFIN()
        case .read:
            break  // sockets are read at every turn
        case .close(let id, let reset):
            sockets[id] = nil
            datagrams.close(id)
            if reset { resetSockets.insert(id) }
        case .login(let id, let request):
            logins.append(request)
            switch decide(request) {
            case .success(let admission): server.admit(id, admission, now: now)
            case .failure(let refusal): server.refuse(id, refusal, now: now)
            }
        case .loggedOut:
            logouts += 1
        case .log(let notice):
            notices.append(notice)
        }
    }

    private func write(_ socket: SimSocket) {
        var taken = 0
        var room = socket.room
        server.pendingRegions(socket.id) { region in
            let count = min(room, region.count)
            socket.receive(UnsafeRawBufferPointer(rebasing: region[..<count]))
            taken += count
            room -= count
            return room > 0
        }
        if taken > 0 { server.wrote(socket.id, taken, now: now) }
    }

    private func runSockets(_ isBusy: inout Bool) {
        for socket in Array(sockets.values) {
            if !socket.isConnected { connect(socket, &isBusy) }
            guard socket.isConnected, sockets[socket.id] != nil else { continue }
            write(socket)
            if socket.wantsReset {
                socket.wantsReset = false
                isBusy = true
                server.socketFailed(socket.id, now: now)
                continue
            }
            let room = server.roomToRead(socket.id)
            if room > 0, !socket.isDrained {
                isBusy = true
                socket.next(min(room, 65_536)).withUnsafeBytes { server.socketRead(socket.id, $0, now: now) }
            }
            if socket.owesFIN {
                isBusy = true
                socket.finSent = true
                server.socketEnded(socket.id, now: now)
            }
        }
    }

    private func connect(_ socket: SimSocket, _ isBusy: inout Bool) {
        guard socket.connectsAt <= now else { return }
        switch socket.service {
        case .silent:
            return
        case .fails(let failure, _):
            isBusy = true
            server.dialFailed(socket.id, failure, now: now)
        case .echo, .source, .sink, .stalledSink, .listens, .finishesFirst, .resetsAfter:
            isBusy = true
            socket.connected()
            server.dialSucceeded(socket.id, bound: nil, now: now)
        }
    }

    // MARK: - What must hold at the end

    /// Everything that should be zero once all flows are over, by name.
    var leftovers: [String: Int] {
        [
            "client blocks": clientPool.outstanding, "server blocks": serverPool.outstanding,
            "client flows": client.counters.flowsOpen, "server flows": server.counters.flowsOpen,
            "sockets": sockets.count + datagrams.sockets.count,
            "associations": client.associationCount + server.datagramCounters.associationsOpen,
            "client streams beyond the control stream": max(0, (client.connectionStatistics?.streamsOpen ?? 1) - 1),
        ].filter { $0.value != 0 }
    }
}

import Primitives
import QuicTransport
import Sealing
import Server
import SimNet
import TestSupport
import Testing
import Tunnel

@testable import Load

/// Links of the load, a whole server engine and a target behind it, with a bad network between, on a virtual clock.
final class TunnelWorld {
    static let loadAddress = Endpoint(IPAddress("192.0.2.1")!, 40_000)
    static let serverAddress = Endpoint(IPAddress("192.0.2.2")!, 4_433)

    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var links: [TunnelLink] = []
    private(set) var events: [TunnelEvent] = []
    let server: ServerEngine
    let linkPool = BlockPool(byteLimit: 64 << 20)
    let serverPool = BlockPool(byteLimit: 64 << 20)
    private let targetPool = BlockPool(byteLimit: 64 << 20)
    private let pattern = Pattern()
    private var up: [SimLink]
    private var down: [SimLink]
    private var sockets: [OutboundID: TargetSocket] = [:]
    /// Sockets of associations, and what answers there by port.
    private var datagramSockets: Set<OutboundID> = []
    private var datagramTargets: [UInt16: DatagramTarget] = [:]
    /// Ports beyond those of the target refuse.
    private let first: UInt16 = SimTarget.first.port
    private let batch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    var serverIsUp = true

    /// A dialled socket: the kernel between server and target is perfect and endless, but for what the server has room for.
    private final class TargetSocket {
        let flow: TargetFlow
        var hasFinished = false
        var hasEnded = false
        init(_ flow: TargetFlow) { self.flow = flow }
    }

    init(
        conditions: LinkConditions = LinkConditions(), connections: Int = 1, seed: UInt64 = 1, wrongKey: Bool = false,
        linkMemory: BlockPool? = nil, configureServer: (inout ServerSettings) -> Void = { _ in }
    ) throws {
        let key = KeyPair(privateKey: [UInt8](repeating: 7, count: 32))!
        let other = KeyPair(privateKey: [UInt8](repeating: 8, count: 32))!
        var settings = ServerSettings(
            identity: try Certificates.valid.identity, keyPair: key, resetKey: [UInt8](repeating: 9, count: 32))
        settings.policy = DialPolicy(allow: [IPPrefix("192.0.2.0/24")!], deny: [])
        configureServer(&settings)
        server = ServerEngine(settings: settings, pool: serverPool, random: SeededRandom(seed: seed), now: now)
        up = (0..<connections).map { SimLink(conditions, seed: seed &+ UInt64($0) * 2 &+ 10) }
        down = (0..<connections).map { SimLink(conditions, seed: seed &+ UInt64($0) * 2 &+ 11) }
        let tunnel = TunnelSettings(
            trust: .authorities(pem: Certificates.valid.authority, serverName: "server.test"),
            serverKey: (wrongKey ? other : key).publicKey, keyPair: other)
        links = try (0..<connections).map { index in
            try TunnelLink(
                to: Self.serverAddress, local: Self.address(of: index), settings: tunnel,
                pool: linkMemory ?? linkPool, random: SeededRandom(seed: seed &+ UInt64(index) &+ 20), now: now)
        }
    }

    deinit { batch.deallocate() }

    private static func address(of link: Int) -> Endpoint {
        Endpoint(loadAddress.address, loadAddress.port + UInt16(link))
    }

    /// Runs the workloads over all links, once these are up.
    func run(
        _ workloads: [WorkloadPlan], port: UInt16? = nil, name: DomainName? = nil, limit: Interval = .seconds(60)
    ) -> [WorkloadResult] {
        #expect(run(until: { self.links.allSatisfy(\.isUp) }))
        let carrier = TunnelCarrier(links: links)
        let target: DestinationAddress =
            name.map { .name($0, port: port ?? first) } ?? .endpoint(Endpoint(SimTarget.first.address, port ?? first))
        let engine = LoadEngine(
            plan: LoadPlan(workloads: workloads, target: target), carrier: carrier, datagrams: carrier,
            random: SeededRandom(seed: 3), now: now)
        #expect(run(engine, for: limit, until: { engine.isOver }))
        return engine.results(now: now)
    }

    @discardableResult
    func run(
        _ engine: LoadEngine? = nil, for limit: Interval = .seconds(60), until done: () -> Bool = { false }
    ) -> Bool {
        let end = now + limit
        while true {
            settle(engine)
            if done() { return true }
            var next = earliest(engine?.nextDeadline, serverIsUp ? server.nextDeadline : nil)
            for link in links { next = earliest(next, link.nextDeadline) }
            for link in up + down { next = earliest(next, link.nextArrival) }
            guard let next, next <= end else {
                now = end
                settle(engine)
                return done()
            }
            now = max(now, next)
        }
    }

    private func settle(_ engine: LoadEngine?) {
        var isBusy = true
        while isBusy {
            isBusy = false
            deliver(&isBusy)
            for link in links {
                if let deadline = link.nextDeadline, deadline <= now { link.handleTimeout(now: now) }
            }
            if let engine, let deadline = engine.nextDeadline, deadline <= now {
                engine.handleTimeout(now: now)
                isBusy = true
            }
            for (index, link) in links.enumerated() {
                while let event = link.nextEvent() { events.append(event) }
                while let out = link.nextBatch(into: batch, now: now) {
                    isBusy = true
                    send(out, on: &up[index])
                }
            }
            if serverIsUp { runServer(&isBusy) }
        }
    }

    private func deliver(_ isBusy: inout Bool) {
        for index in links.indices {
            while let bytes = down[index].receive(now: now) {
                isBusy = true
                bytes.withUnsafeBytes {
                    links[index].handleDatagram(
                        $0, from: Self.serverAddress, to: Self.address(of: index), ecn: 0, now: now)
                }
            }
            while var bytes = up[index].receive(now: now) {
                isBusy = true
                guard serverIsUp else { continue }
                bytes.withUnsafeMutableBytes {
                    server.handleDatagram($0, from: Self.address(of: index), to: Self.serverAddress, ecn: 0, now: now)
                }
            }
        }
    }

    private func send(_ out: OutgoingBatch, on link: inout SimLink) {
        for start in stride(from: 0, to: out.count, by: out.segmentSize) {
            link.send(Array(batch[start..<min(start + out.segmentSize, out.count)]), now: now)
        }
    }

    private func runServer(_ isBusy: inout Bool) {
        if let deadline = server.nextDeadline, deadline <= now { server.handleTimeout(now: now) }
        while let action = server.nextAction() {
            isBusy = true
            switch action {
            case .dial(let id, let destination): dial(id, destination)
            case .write(let id), .read(let id): if let socket = sockets[id] { serve(id, socket) }
            case .finishWriting(let id):
                sockets[id]?.flow.finishReceiving()
                if let socket = sockets[id] { serve(id, socket) }
            case .close(let id, _):
                sockets[id] = nil
                datagramSockets.remove(id)
            case .openDatagramSocket(let id, _):
                datagramSockets.insert(id)
                server.datagramSocketOpened(id, bound: nil, now: now)
            // The one name that there is.
            case .resolve(let id, _, let family):
                let answer: NameResult =
                    family == .v4 ? .addresses([SimTarget.first.address], lifetime: .seconds(60)) : .none
                server.resolved(id, answer, now: now)
            case .log, .loggedOut: break
            case .login(let id, _): server.admit(id, Admission(user: "load"), now: now)
            }
        }
        while let run = server.nextDatagrams() {
            isBusy = true
            answer(run)
        }
        while let out = server.nextBatch(into: batch, now: now) {
            isBusy = true
            send(out, on: &down[Int(out.remote.port - Self.loadAddress.port)])
        }
    }

    private func dial(_ id: OutboundID, _ destination: Endpoint) {
        guard let service = TargetService(rawValue: destination.port &- first) else {
            return server.dialFailed(id, .refused, now: now)
        }
        let socket = TargetSocket(TargetFlow(service, pattern: pattern, place: 5, pool: targetPool))
        sockets[id] = socket
        server.dialSucceeded(id, bound: nil, now: now)
        serve(id, socket)
    }

    /// The target of the load takes datagrams, and answers.
    private func answer(_ run: OutboundDatagrams) {
        guard datagramSockets.contains(run.id) else { return }
        let port = run.destination.port
        let target =
            datagramTargets[port]
            ?? DatagramTarget(isEcho: port == first + TargetService.echo.rawValue, pattern: pattern)
        datagramTargets[port] = target
        // What is answered is sealed at once, so the outbox's memory may be read meanwhile.
        for start in stride(from: 0, to: run.bytes.count, by: run.segmentSize) {
            let end = min(start + run.segmentSize, run.bytes.count)
            guard let answer = target.receive(UnsafeRawBufferPointer(rebasing: run.bytes[start..<end])) else {
                continue
            }
            server.datagramReceived(run.id, from: run.destination, answer, now: now)
        }
    }

    /// All that can pass between the server and one of its sockets.
    private func serve(_ id: OutboundID, _ socket: TargetSocket) {
        while sockets[id] === socket {
            var passed = 0
            socket.flow.write { bytes in
                let count = min(server.roomToRead(id), bytes.count)
                if count > 0 { server.socketRead(id, UnsafeRawBufferPointer(rebasing: bytes[..<count]), now: now) }
                passed += max(count, 0)
                return max(count, 0)
            }
            if socket.flow.wantsBytes {
                var taken = 0
                server.pendingRegions(id) { region in
                    guard socket.flow.wantsBytes else { return false }
                    taken += region.count
                    return socket.flow.receive(region)
                }
                if taken > 0 { server.wrote(id, taken, now: now) }
                passed += taken
            }
            if passed == 0 { break }
        }
        if sockets[id] === socket, socket.flow.isDone, !socket.hasFinished {
            socket.hasFinished = true
            server.socketEnded(id, now: now)
        }
    }

    /// What should be zero once all flows are over, by name.
    var leftovers: [String: Int] {
        [
            "server flows": server.counters.flowsOpen, "sockets": sockets.count + datagramSockets.count,
            "server blocks": serverPool.outstanding,
        ]
        .merging(links.map(\.openChannels).enumerated().map { ("flows of link \($0)", $1) }) { $1 }
        .filter { $0.value != 0 }
    }
}

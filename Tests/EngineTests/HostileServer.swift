import FlowNAT
import Packets
import Primitives
import QuicTransport
import Sealing
import SimNet
import TestSupport
import Testing
import Tunnel

@testable import Client

/// A client engine with one application, and a server that keeps no rule, on a perfect network.
final class HostileServer {
    let peer = RawPeer()
    let client: ClientEngine
    let clientPool = BlockPool(byteLimit: 64 << 20)
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var events: [ClientEvent] = []
    /// What applications got.
    let datagrams = SimDatagrams()
    private let endpoint: QuicEndpoint
    private(set) var applications: [SimTCPPeer] = []
    private let pool = BlockPool(byteLimit: 64 << 20)
    private let batch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
    private let packet = PacketBuffer()
    private var served: QuicConnection?
    private var seed: UInt64 = 1

    /// - Parameter welcomes: says welcome as a good server does.
    init(
        transport: TransportSettings? = nil, welcomes: Bool = true, configure: (inout ClientSettings) -> Void = { _ in }
    ) throws {
        var settings = ClientSettings(
            trust: .authorities(pem: Certificates.valid.authority, serverName: "server.test"),
            serverKey: RawPeer.serverPair.publicKey, keyPair: RawPeer.clientPair)
        settings.cipher = .aes256gcm
        settings.firstReconnectDelay = .seconds(1_000)
        settings.maximumReconnectDelay = .seconds(1_000)
        configure(&settings)
        client = ClientEngine(settings: settings, pool: clientPool, random: SeededRandom(seed: 1), now: now)
        endpoint = QuicEndpoint(
            identity: try Certificates.valid.identity, settings: transport ?? TransportSettings(),
            resetKey: [UInt8](repeating: 9, count: 32), pool: pool, random: SeededRandom(seed: 2))
        run()
        if welcomes { welcome() }
    }

    deinit { batch.deallocate() }

    var disconnection: String? {
        for case .disconnected(let reason, _) in events { return reason }
        return nil
    }

    var controlStream: QuicStream { peer.opened[0] }
    /// The last flow that the client has opened.
    var flowStream: QuicStream { peer.opened.last! }

    /// Exchanges keys as a good server does.
    func exchangeKeys() -> ControlStream {
        let control = peer.beginAsServer()
        do { peer.send(try peer.hear(), on: controlStream) } catch { Issue.record("no key exchange: \(error)") }
        run()
        _ = try? peer.hear()
        return control
    }

    @discardableResult
    func welcome() -> ControlStream {
        let control = exchangeKeys()
        peer.send(
            control.sealedBytes(Welcome(maximumFlows: 10, software: "hostile").encode()), on: controlStream)
        run()
        return control
    }

    /// An application that connects; its flow's stream is then `flowStream`.
    func application(port: UInt16 = 20_000) -> SimTCPPeer {
        let application = SimTCPPeer(settings: SimTCPPeer.Settings(), seed: seed)
        seed += 1
        application.connect(
            to: Endpoint("203.0.113.2:80")!, from: Endpoint(IPAddress("198.18.0.1")!, port), now: now)
        applications.insert(application, at: 0)
        run(for: .milliseconds(50))
        return application
    }

    /// Takes an application away without a word, as if it had closed its socket in the midst of connecting.
    func forget(_ application: SimTCPPeer) { applications.removeAll { $0 === application } }

    func sealedFlow() -> FlowStream { peer.sealed(flowStream, .server) }

    func run(for time: Interval = .milliseconds(200)) {
        let end = now + time
        while true {
            settle()
            var next = earliest(client.nextDeadline, served?.nextDeadline)
            for application in applications { next = earliest(next, application.nextDeadline) }
            guard let next, next <= end else { break }
            now = max(next, now)
            if let due = client.nextDeadline, due <= now { client.handleTimeout(now: now) }
            if let due = served?.nextDeadline, due <= now { served?.handleTimeout(now: now) }
            for application in applications { application.handleTimeout(now: now) }
        }
        now = end
    }

    private func settle() {
        var isBusy = true
        while isBusy {
            isBusy = false
            while let event = client.nextEvent() {
                isBusy = true
                events.append(event)
                if event == .connectionWanted {
                    client.connect(to: HostileClient.serverAddress, local: HostileClient.address, now: now)
                }
            }
            while let out = client.nextBatch(into: batch, now: now) {
                isBusy = true
                each(out, serve)
            }
            while let out = served?.nextBatch(into: batch, now: now) {
                isBusy = true
                each(out) {
                    client.handleDatagram(
                        $0, from: HostileClient.serverAddress, to: HostileClient.address, ecn: 0, now: now)
                }
            }
            peer.takeEvents()
            exchangePackets(&isBusy)
        }
    }

    /// An application sends a datagram.
    func send(_ payload: [UInt8], from source: Endpoint, to destination: Endpoint) {
        let packet = SimDatagrams.packet(from: source, to: destination, payload)
        packet.withUnsafeBytes { client.handlePacket($0, offload: .none, now: now) }
        run(for: .milliseconds(50))
    }

    private func exchangePackets(_ isBusy: inout Bool) {
        for application in applications {
            while let bytes = application.nextPacket(now: now) {
                isBusy = true
                let header = application.packetHeader
                bytes.withUnsafeBytes { client.handlePacket($0, offload: header, now: now) }
            }
        }
        while client.nextPacket(into: packet, now: now) {
            isBusy = true
            let bytes = packet.flattened()
            datagrams.hear(bytes)
            for application in applications where application.handle(bytes, virtioHeader: packet.offload, now: now) {
                break
            }
        }
    }

    private func serve(_ datagram: UnsafeMutableRawBufferPointer) {
        let connection = endpoint.handle(
            UnsafeRawBufferPointer(datagram), from: HostileClient.address, to: HostileClient.serverAddress, ecn: 0,
            now: now)
        while let accepted = endpoint.nextAccepted() {
            accepted.owner = peer
            peer.connection = accepted
            served = accepted
        }
        if let connection { served = connection }
    }

    private func each(_ out: OutgoingBatch, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        let copy = Array(batch[..<out.count])
        for start in stride(from: 0, to: out.count, by: out.segmentSize) {
            var datagram = Array(copy[start..<min(start + out.segmentSize, out.count)])
            datagram.withUnsafeMutableBytes(body)
        }
    }
}

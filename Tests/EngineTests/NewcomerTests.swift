import Primitives
import QuicTransport
import Sealing
import SimNet
import TestSupport
import Testing

@testable import Server

/// Clients that come and say nothing, at a server with few places for them, on a perfect network.
@Suite struct NewcomerTests {
    private final class Crowd {
        let server: ServerEngine
        private(set) var clients: [QuicConnection] = []
        /// Addresses that answer nothing: somebody has forged them.
        private var forged: Set<Int> = []
        private var now = Instant(nanoseconds: 1_000_000_000)
        private let pool = BlockPool(byteLimit: 64 << 20)
        private let batch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

        init(newcomers: Int) throws {
            var settings = ServerSettings(
                identity: try Certificates.valid.identity, keyPair: RawPeer.serverPair,
                resetKey: [UInt8](repeating: 9, count: 32))
            settings.maximumNewcomers = newcomers
            server = ServerEngine(settings: settings, pool: pool, random: SeededRandom(seed: 1), now: now)
        }

        deinit { batch.deallocate() }

        private static func address(_ index: Int) -> Endpoint {
            Endpoint(HostileClient.address.address, HostileClient.address.port + UInt16(index))
        }

        func add() throws {
            try start()
            settle()
            now = now + .milliseconds(10)
            settle()
        }

        /// A first packet with an address that is not its sender's.
        func addForged() throws {
            let client = try start()
            let index = clients.count - 1
            forged.insert(index)
            while let out = client.nextBatch(into: batch, now: now) { deliver(out, from: index) }
            settle()
            now = now + .milliseconds(10)
        }

        @discardableResult private func start() throws -> QuicConnection {
            let client = try QuicConnection.client(
                to: HostileClient.serverAddress, local: Self.address(clients.count),
                trust: .authorities(pem: Certificates.valid.authority, serverName: "server.test"),
                settings: TransportSettings(), pool: pool, random: SeededRandom(seed: UInt64(clients.count) + 2),
                now: now)
            clients.append(client)
            return client
        }

        private func settle() {
            var isBusy = true
            while isBusy {
                isBusy = false
                for (index, client) in clients.enumerated() where !forged.contains(index) {
                    while let out = client.nextBatch(into: batch, now: now) {
                        isBusy = true
                        deliver(out, from: index)
                    }
                }
                while server.nextAction() != nil {}
                while let out = server.nextBatch(into: batch, now: now) {
                    isBusy = true
                    let index = Int(out.remote.port - HostileClient.address.port)
                    guard !forged.contains(index) else { continue }
                    each(out) {
                        clients[index].handle(
                            UnsafeRawBufferPointer($0), from: HostileClient.serverAddress, to: Self.address(index),
                            ecn: 0,
                            now: now)
                    }
                }
            }
        }

        private func deliver(_ out: OutgoingBatch, from index: Int) {
            each(out) {
                server.handleDatagram($0, from: Self.address(index), to: HostileClient.serverAddress, ecn: 0, now: now)
            }
        }

        private func each(_ out: OutgoingBatch, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
            let copy = Array(batch[..<out.count])
            for start in stride(from: 0, to: out.count, by: out.segmentSize) {
                var datagram = Array(copy[start..<min(start + out.segmentSize, out.count)])
                datagram.withUnsafeMutableBytes(body)
            }
        }
    }

    /// As many as may be stay; with one more the oldest goes, and the newest is always heard.
    @Test func theOldestMakesRoom() throws {
        let crowd = try Crowd(newcomers: 3)
        for _ in 0..<3 { try crowd.add() }
        #expect(crowd.clients.allSatisfy { $0.state == .established } && crowd.server.counters.newcomersDropped == 0)
        for dropped in 1...5 {
            try crowd.add()
            #expect(crowd.server.counters.newcomersDropped == dropped)
            #expect(crowd.clients.map { $0.state == .established } == crowd.clients.indices.map { $0 >= dropped })
        }
    }

    /// First packets from forged addresses take half of the places, then everybody must prove an address: nobody is sent away for
    /// them, and whoever is real gets in.
    @Test(arguments: [4, 32])
    func forgedAddressesSendNobodyAway(newcomers: Int) throws {
        let crowd = try Crowd(newcomers: newcomers)
        try crowd.add()
        for _ in 0..<100 { try crowd.addForged() }
        #expect(crowd.server.endpointCounters.accepted == 1 + newcomers / 2)
        #expect(crowd.server.endpointCounters.retriesSent == 100 - newcomers / 2)
        try crowd.add()
        #expect(crowd.server.endpointCounters.retriesSent == 101 - newcomers / 2)
        #expect(crowd.server.counters.newcomersDropped == 0)
        #expect(crowd.clients.first?.state == .established && crowd.clients.last?.state == .established)
    }
}

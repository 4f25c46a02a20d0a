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
            clients.append(
                try QuicConnection.client(
                    to: HostileClient.serverAddress, local: Self.address(clients.count),
                    trust: .authorities(pem: Certificates.valid.authority, serverName: "server.test"),
                    settings: TransportSettings(), pool: pool, random: SeededRandom(seed: UInt64(clients.count) + 2),
                    now: now))
            settle()
            now = now + .milliseconds(10)
            settle()
        }

        private func settle() {
            var isBusy = true
            while isBusy {
                isBusy = false
                for (index, client) in clients.enumerated() {
                    while let out = client.nextBatch(into: batch, now: now) {
                        isBusy = true
                        each(out) {
                            server.handleDatagram(
                                $0, from: Self.address(index), to: HostileClient.serverAddress, ecn: 0, now: now)
                        }
                    }
                }
                while server.nextAction() != nil {}
                while let out = server.nextBatch(into: batch, now: now) {
                    isBusy = true
                    let index = Int(out.remote.port - HostileClient.address.port)
                    each(out) {
                        clients[index].handle(
                            UnsafeRawBufferPointer($0), from: HostileClient.serverAddress, to: Self.address(index),
                            ecn: 0,
                            now: now)
                    }
                }
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
}

import FlowNAT
import Primitives
import Sealing
import SimNet
import Testing

@testable import Client
@testable import Server

/// Whole transfers through both engines over a network that delays, loses, reorders, repeats and corrupts.
struct TransferTests {
    static let lossy = LinkConditions(
        delay: .milliseconds(15), jitter: .milliseconds(3), loss: 0.02, duplication: 0.005, reordering: 0.01,
        corruption: 0.002)
    static let badLAN = LinkConditions(delay: .milliseconds(1), loss: 0.01, duplication: 0.005, reordering: 0.01)

    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
    func downloadUnderLoss(seed: UInt64) throws {
        let size = 4 << 20
        let net = try Simulation(link: Self.lossy, seed: seed)
        net.services[Endpoint("203.0.113.2:80")!] = .source(size)
        let app = net.application(to: "203.0.113.2:80")
        var got: [UInt8] = []
        let done = net.run(for: .seconds(120)) {
            got += app.read()
            if app.receivedFIN { app.shutdownWrite() }
            return app.receivedFIN && net.leftovers.isEmpty
        }
        #expect(done, "seed \(seed): \(got.count) bytes, \(net.leftovers)")
        #expect(got == SimSocket.bytes(size), "seed \(seed)")
        #expect(app.violations.isEmpty, "seed \(seed): \(app.violations)")
    }

    @Test(arguments: [11, 12, 13, 14, 15] as [UInt64])
    func uploadUnderLoss(seed: UInt64) throws {
        let size = 4 << 20
        let net = try Simulation(link: Self.lossy, seed: seed)
        net.services[Endpoint("203.0.113.2:80")!] = .sink
        let app = net.application(to: "203.0.113.2:80")
        let bytes = SimSocket.bytes(size)
        var sent = 0
        let done = net.run(for: .seconds(120)) {
            if sent < size {
                sent += app.write(Array(bytes[sent..<min(size, sent + max(0, app.writable))]))
                if sent == size { app.shutdownWrite() }
            }
            return app.receivedFIN && net.leftovers.isEmpty
        }
        #expect(done, "seed \(seed): \(sent) bytes, \(net.leftovers)")
        #expect(net.socket(0).received == bytes, "seed \(seed)")
        #expect(app.violations.isEmpty, "seed \(seed): \(app.violations)")
    }

    /// A gateway's LAN loses packets too: here both the network and the TUN's side do.
    @Test(arguments: [21, 22, 23] as [UInt64], [true, false])
    func echoOverBadLAN(seed: UInt64, offload: Bool) throws {
        let size = 1 << 20
        let net = try Simulation(link: Self.lossy, tun: Self.badLAN, seed: seed) { $0.flows.offload = offload }
        net.services[Endpoint("[2001:db8:3::2]:7")!] = .echo
        let app = net.application(to: "[2001:db8:3::2]:7", offload: offload)
        let bytes = SimSocket.bytes(size)
        var sent = 0
        var got: [UInt8] = []
        let done = net.run(for: .seconds(300)) {
            got += app.read()
            if sent < size {
                sent += app.write(Array(bytes[sent..<min(size, sent + max(0, app.writable))]))
                if sent == size { app.shutdownWrite() }
            }
            return app.receivedFIN && net.leftovers.isEmpty
        }
        #expect(done, "seed \(seed): sent \(sent), got \(got.count), \(net.leftovers)")
        #expect(got == bytes, "seed \(seed)")
        #expect(app.violations.isEmpty, "seed \(seed): \(app.violations)")
    }

    @Test func manyFlowsAtOnce() throws {
        let net = try Simulation(link: Self.lossy, seed: 31)
        let sizes = (0..<100).map { 1 + $0 * 997 }
        for (index, size) in sizes.enumerated() {
            net.services[Endpoint("203.0.113.2:\(1000 + index)")!] = .source(size)
        }
        let apps = sizes.indices.map { net.application(to: "203.0.113.2:\(1000 + $0)") }
        var got = [[UInt8]](repeating: [], count: apps.count)
        let done = net.run(for: .seconds(120)) {
            for (index, app) in apps.enumerated() {
                got[index] += app.read()
                if app.receivedFIN { app.shutdownWrite() }
            }
            return apps.allSatisfy(\.receivedFIN) && net.leftovers.isEmpty
        }
        #expect(done, "\(net.leftovers)")
        for (index, size) in sizes.enumerated() { #expect(got[index] == SimSocket.bytes(size)) }
        #expect(net.client.counters.streamsOpened == 100)
        #expect(net.server.counters.connectionsAccepted == 1)
    }

    @Test(arguments: [41] as [UInt64])
    func chachaWorksToo(seed: UInt64) throws {
        let net = try Simulation(link: Self.lossy, seed: seed, cipher: .chacha20poly1305)
        net.services[Endpoint("203.0.113.2:80")!] = .source(100_000)
        let app = net.application(to: "203.0.113.2:80")
        var got: [UInt8] = []
        net.run(for: .seconds(30)) {
            got += app.read()
            return app.receivedFIN
        }
        #expect(got.count == 100_000)
    }
}

import FlowNAT
import Primitives
import QuicTransport
import SimNet
import Testing

@testable import Client
@testable import Server

/// A reader that stops stops its writer, and memory stays within what the windows promise.
struct FlowControlTests {
    static let web = "203.0.113.2:80"
    /// Blocks are counted whole, and every queue may hold one that is partly used.
    static let slack = 8 * BlockPool.blockSize

    @Test func aStalledApplicationStopsTheService() throws {
        let size = 14 << 20
        let net = try Simulation(seed: 5)
        net.services[Endpoint(Self.web)!] = .source(size)
        let app = net.application(to: Self.web)
        app.isReading = false
        net.run(for: .seconds(120))
        // A window grows only while it is used up.
        let window = TransportSettings.initialStreamWindow
        let clientBytes = net.clientPool.highWater * BlockPool.blockSize
        let serverBytes = net.serverPool.highWater * BlockPool.blockSize
        // The client holds one stream window. The server holds what is unsent, one read on top, and what is not
        // acknowledged.
        #expect(clientBytes <= window + Self.slack, "\(clientBytes)")
        let serverLimit = net.server.settings.unsentLimit + (64 << 10) + window + Self.slack
        #expect(serverBytes <= serverLimit, "\(serverBytes)")
        #expect(clientBytes > window / 2, "the window was used: \(clientBytes)")

        app.isReading = true
        var got = 0
        let done = net.run(for: .seconds(300)) {
            got += app.read().count
            if app.receivedFIN { app.shutdownWrite() }
            return app.receivedFIN && net.leftovers.isEmpty
        }
        #expect(done, "got \(got), \(net.leftovers)")
        #expect(got == size)
        #expect(app.violations.isEmpty, "\(app.violations)")
    }

    /// What waits at either end of a slow path is what it carries in a tenth of a second, not half a megabyte that takes two
    /// seconds: an answer within the same flow is not stuck behind it.
    @Test func littleWaitsOnASlowPath() throws {
        let slow = LinkConditions(delay: .milliseconds(25), rate: 2_000_000)
        let download = try Simulation(link: slow, seed: 7)
        download.services[Endpoint(Self.web)!] = .source(8 << 20)
        let reader = download.application(to: Self.web)
        var got = 0
        download.run(for: .seconds(20)) {
            got += reader.read().count
            return false
        }
        #expect(got > 4_000_000, "the path was busy: \(got)")
        // What is unsent, one read on top, and what is in flight.
        let waiting = download.serverPool.outstanding * BlockPool.blockSize
        #expect(waiting <= (32 << 10) + (64 << 10) + (64 << 10) + Self.slack, "\(waiting)")

        let upload = try Simulation(link: slow, seed: 8)
        upload.services[Endpoint(Self.web)!] = .sink
        let writer = upload.application(to: Self.web)
        upload.run(for: .seconds(20)) {
            if writer.writable > 0 { _ = writer.write(SimSocket.bytes(writer.writable)) }
            return false
        }
        #expect(upload.socket(0).received.count > 4_000_000, "the path was busy: \(upload.socket(0).received.count)")
        let held = upload.clientPool.outstanding * BlockPool.blockSize
        #expect(held <= (64 << 10) + (64 << 10) + Self.slack, "\(held)")
    }

    @Test func aStalledServiceStopsTheApplication() throws {
        let net = try Simulation(seed: 6)
        net.services[Endpoint(Self.web)!] = .stalledSink
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        let size = 14 << 20
        let bytes = SimSocket.bytes(size)
        var sent = 0
        let write = {
            if sent < size { sent += app.write(Array(bytes[sent..<min(size, sent + max(0, app.writable))])) }
            if sent == size { app.shutdownWrite() }
            return false
        }
        net.run(for: .seconds(120), until: write)
        let window = TransportSettings.initialStreamWindow
        let serverBytes = net.serverPool.highWater * BlockPool.blockSize
        let clientBytes = net.clientPool.highWater * BlockPool.blockSize
        #expect(serverBytes <= window + Self.slack, "\(serverBytes)")
        #expect(
            clientBytes <= net.client.settings.flows.receiveWindow + window + Self.slack,
            "\(clientBytes)")
        #expect(sent < size, "the writer was stopped")

        net.socket(0).service = .sink
        let done = net.run(for: .seconds(300)) { write() || app.receivedFIN && net.leftovers.isEmpty }
        #expect(done, "sent \(sent), \(net.leftovers)")
        #expect(net.socket(0).received == bytes)
        #expect(app.violations.isEmpty, "\(app.violations)")
    }

    /// One flow whose reader sleeps does not hold up the others.
    @Test func aStalledFlowDoesNotStopTheOthers() throws {
        let net = try Simulation(seed: 7)
        net.services[Endpoint(Self.web)!] = .source(6 << 20)
        let stalled = net.application(to: Self.web)
        stalled.isReading = false
        net.run(for: .seconds(30))
        let app = net.application(to: Self.web)
        var got = 0
        let done = net.run(for: .seconds(60)) {
            got += app.read().count
            return app.receivedFIN
        }
        #expect(done)
        #expect(got == 6 << 20)
    }

    /// Many slow readers share what memory there is: they slow down, and nobody is cut.
    @Test func memoryPressureSlowsDownAndDoesNotCut() throws {
        let net = try Simulation(
            link: LinkConditions(delay: .milliseconds(5), rate: 40_000_000), seed: 9, serverMemory: 4 << 20)
        net.services[Endpoint(Self.web)!] = .source(300_000)
        let apps = (0..<30).map { _ in net.application(to: Self.web) }
        var got = 0
        let done = net.run(for: .seconds(120)) {
            for app in apps {
                got += app.read().count
                if app.receivedFIN { app.shutdownWrite() }
            }
            return apps.allSatisfy { $0.receivedFIN || $0.receivedRST } && net.leftovers.isEmpty
        }
        #expect(done, "\(net.leftovers)")
        #expect(apps.filter(\.receivedRST).isEmpty)
        #expect(got == 30 * 300_000)
        #expect(net.serverPool.refused == 0)
    }

    /// With hardly any memory transfers fail or finish, and nothing leaks or traps.
    @Test(arguments: [1, 2] as [UInt64])
    func memoryLimitsHold(seed: UInt64) throws {
        let net = try Simulation(
            seed: seed, clientMemory: 4 << 20, serverMemory: 4 << 20,
            configureClient: {
                $0.flows.receiveWindow = 256 << 10
                $0.transport.streamWindow = 512 << 10
            })
        for port in 1000..<1040 {
            net.services[Endpoint("203.0.113.2:\(port)")!] = port % 2 == 0 ? .source(2 << 20) : .stalledSink
        }
        let apps = (1000..<1040).map { net.application(to: "203.0.113.2:\($0)") }
        net.run(for: .seconds(20)) {
            for app in apps where app.outcome == .connected && app.writable > 0 {
                _ = app.write([UInt8](repeating: 1, count: app.writable))
            }
            return false
        }
        #expect(net.clientPool.highWater <= net.clientPool.limit)
        #expect(net.serverPool.highWater <= net.serverPool.limit)
        #expect(net.clientPool.refused + net.serverPool.refused > 0, "the limits were met")
        for app in apps { app.abort() }
        // Applications that were still connecting are gone without a word: their SYN-ACKs are repeated for a minute.
        #expect(net.run(for: .seconds(120)) { net.leftovers.isEmpty }, "\(net.leftovers)")
    }
}

import FlowNAT
import Primitives
import SimNet
import Testing

@testable import Client
@testable import Server

/// What the far end does is what the application sees.
struct TruthTests {
    static let web = "203.0.113.2:80"

    private func simulation(_ service: SimService, seed: UInt64 = 1) throws -> Simulation {
        let net = try Simulation(seed: seed)
        net.services[Endpoint(Self.web)!] = service
        return net
    }

    @Test func theHandshakeWaitsForTheDial() throws {
        let net = try simulation(.echo)
        net.dialDelay = .seconds(2)
        net.run(for: .seconds(1)) { net.client.isConnected }
        let app = net.application(to: Self.web)
        net.run(for: .milliseconds(1_900))
        #expect(app.outcome == nil)
        net.run(for: .milliseconds(300)) { app.outcome != nil }
        #expect(app.outcome == .connected)
    }

    @Test func refusedIsReset() throws {
        let net = try simulation(.fails(.refused, after: .milliseconds(5)))
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome != nil && net.leftovers.isEmpty }, "\(net.leftovers)")
        #expect(app.outcome == .refused)
    }

    @Test(
        arguments: [
            (DialFailure.networkUnreachable, UInt8(0)), (.hostUnreachable, 1), (.notAllowed, 13),
        ])
    func unreachableIsICMP(failure: DialFailure, code: UInt8) throws {
        let net = try simulation(.fails(failure, after: .milliseconds(5)))
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome != nil && net.leftovers.isEmpty }, "\(net.leftovers)")
        #expect(app.outcome == .unreachable(type: 3, code: code))
    }

    @Test func unreachableIsICMPv6() throws {
        let net = try Simulation(seed: 1)
        net.services[Endpoint("[2001:db8::9]:80")!] = .fails(.hostUnreachable, after: .milliseconds(5))
        let app = net.application(to: "[2001:db8::9]:80")
        #expect(net.run(for: .seconds(10)) { app.outcome != nil })
        #expect(app.outcome == .unreachable(type: 1, code: 3))
    }

    @Test func filteredIsSilence() throws {
        let net = try simulation(.silent)
        let app = net.application(to: Self.web)
        net.run(for: .seconds(200)) { app.outcome != nil }
        #expect(app.outcome == .timedOut)
        #expect(app.counters.packetsReceived == 0)
        #expect(net.server.counters.dials >= 2, "each repeated SYN after the dial timeout asks again")
        // The last dial ends by the dial timeout, and nothing stays.
        #expect(net.run(for: .seconds(120)) { net.leftovers.isEmpty }, "\(net.leftovers)")
    }

    /// The application says all it has to say and listens on, for an hour; the answer still comes.
    @Test func halfCloseByTheApplicationHasNoTimeLimit() throws {
        let net = try simulation(.listens)
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        _ = app.write([1, 2, 3])
        app.shutdownWrite()
        #expect(net.run(for: .seconds(10)) { net.socket(0).peerFinished })
        #expect(net.socket(0).received == [1, 2, 3])
        net.run(for: .seconds(3_600))
        #expect(!app.receivedFIN && !app.receivedRST)
        net.socket(0).service = .source(50_000)
        net.socket(0).connected()
        var got: [UInt8] = []
        let done = net.run(for: .seconds(30)) {
            got += app.read()
            return app.receivedFIN && net.leftovers.isEmpty
        }
        #expect(done, "\(net.leftovers)")
        #expect(got.count == 50_000)
    }

    /// The far end finishes first; the application still sends, for an hour.
    @Test func halfCloseByTheServiceHasNoTimeLimit() throws {
        let net = try simulation(.finishesFirst)
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.receivedFIN })
        var sent: [UInt8] = []
        for round in 0..<12 {
            net.run(for: .seconds(300))
            let bytes = [UInt8](repeating: UInt8(round), count: 5_000)
            #expect(app.write(bytes) == bytes.count)
            sent += bytes
        }
        app.shutdownWrite()
        #expect(net.run(for: .seconds(30)) { net.leftovers.isEmpty }, "\(net.leftovers)")
        #expect(net.socket(0).received == sent)
        #expect(net.socket(0).peerFinished)
    }

    @Test func resetByTheApplicationReachesTheService() throws {
        let net = try simulation(.stalledSink)
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        _ = app.write([UInt8](repeating: 1, count: 10_000))
        net.run(for: .seconds(1))
        app.abort()
        #expect(net.run(for: .seconds(10)) { net.leftovers.isEmpty }, "\(net.leftovers)")
        #expect(net.resetSockets == [net.socket(0).id])
    }

    @Test func resetByTheServiceReachesTheApplication() throws {
        let net = try simulation(.resetsAfter(10_000))
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        _ = app.write([UInt8](repeating: 1, count: 20_000))
        #expect(net.run(for: .seconds(10)) { app.receivedRST && net.leftovers.isEmpty }, "\(net.leftovers)")
    }

    /// What the policy forbids is told to the application; the socket is never dialled.
    @Test(arguments: ["10.0.0.1:80", "100.64.0.1:80", "169.254.169.254:80", "192.168.1.1:443"])
    func forbiddenDestinationsAreProhibited(destination: String) throws {
        let net = try Simulation(seed: 1)
        let app = net.application(to: destination)
        #expect(net.run(for: .seconds(10)) { app.outcome != nil })
        #expect(app.outcome == .unreachable(type: 3, code: 13))
        #expect(net.server.counters.dials == 0)
        #expect(net.server.counters.dialsDenied == 1)
    }

    /// A client that has no more streams keeps silent; the application tries again and comes through.
    @Test func flowsBeyondTheLimitWaitForTheirTurn() throws {
        let net = try Simulation(seed: 1, configureServer: { $0.maximumFlowsPerConnection = 3 })
        net.services[Endpoint(Self.web)!] = .source(10)
        net.run(for: .seconds(1)) { net.client.isConnected }
        let apps = (0..<5).map { _ in net.application(to: Self.web) }
        let done = net.run(for: .seconds(60)) {
            for app in apps where app.receivedFIN { app.shutdownWrite() }
            return apps.allSatisfy(\.receivedFIN) && net.leftovers.isEmpty
        }
        #expect(done, "\(apps.map(\.outcome)) \(net.leftovers)")
        #expect(net.client.counters.droppedWithoutTunnel >= 2)
    }
}

import Primitives
import QuicTransport
import Sealing
import SimNet
import Testing
import Tunnel

@testable import Client
@testable import Server

/// Fresh keys by time and by bytes, while flows and datagrams go on.
struct RekeyTests {
    private static let web = "203.0.113.2:80"
    private static let lossy = LinkConditions(
        delay: .milliseconds(20), jitter: .milliseconds(5), loss: 0.02, reordering: 0.02)

    private static func hurry(_ settings: inout ClientSettings, _ bytes: UInt64) {
        settings.rekeyBytes = bytes
        settings.rekeyPause = .zero
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func aTransferGoesOnWhileKeysChangeByBytes(seed: UInt64) throws {
        let net = try Simulation(
            link: Self.lossy, seed: seed, configureClient: { Self.hurry(&$0, 100_000) },
            configureServer: { $0.rekeyBurst = 1_000 })
        net.services[Endpoint(Self.web)!] = .source(4_000_000)
        let app = net.application(to: Self.web)
        var got = 0
        #expect(
            net.run(for: .seconds(60)) {
                got += app.read().count
                return app.receivedFIN
            })
        #expect(got == 4_000_000, "seed \(seed)")
        #expect(net.client.counters.rekeys >= 5, "seed \(seed): \(net.client.counters.rekeys)")
        #expect(net.server.counters.rekeys >= net.client.counters.rekeys)
        #expect(net.client.counters.sealingFailures == 0 && net.server.counters.sealingFailures == 0)
        #expect(net.client.counters.connects == 1)
    }

    @Test func bothWaysAtOnce() throws {
        let net = try Simulation(
            link: Self.lossy, seed: 4, configureClient: { Self.hurry(&$0, 60_000) },
            configureServer: { $0.rekeyBurst = 1_000 })
        net.services[Endpoint(Self.web)!] = .echo
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        var sent: [UInt8] = []
        var got: [UInt8] = []
        var random = SeededRandom(seed: 4)
        #expect(
            net.run(for: .seconds(60)) {
                if sent.count < 500_000 {
                    let bytes = (0..<2_000).map { _ in UInt8.random(in: 0...255, using: &random) }
                    sent += bytes.prefix(app.write(bytes))
                }
                got += app.read()
                return sent.count >= 500_000 && got.count == sent.count
            })
        #expect(got == sent)
        #expect(net.client.counters.rekeys >= 3)
        #expect(net.client.counters.sealingFailures == 0 && net.server.counters.sealingFailures == 0)
    }

    /// However fast the bytes go, the server is not asked more often than it allows.
    @Test func keyExchangesKeepTheirDistance() throws {
        let net = try Simulation(seed: 8, configureClient: { $0.rekeyBytes = 1_000 })
        net.services[Endpoint(Self.web)!] = .echo
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        let start = net.now
        for _ in 0..<400 {
            _ = app.write([UInt8](repeating: 1, count: 2_000))
            net.run(for: .milliseconds(50))
            _ = app.read()
        }
        let most = Int((net.now - start).seconds / 2) + 1
        #expect((5...most).contains(net.client.counters.rekeys), "\(net.client.counters.rekeys)")
        #expect(net.client.counters.connects == 1)
    }

    @Test func keysChangeByTimeAndTheOldAreWiped() throws {
        let net = try Simulation(
            seed: 5,
            configureClient: {
                $0.rekeyInterval = .seconds(600)
                $0.oldKeyTime = .seconds(60)
            }, configureServer: { $0.oldKeyTime = .seconds(60) })
        net.services[Endpoint(Self.web)!] = .echo
        let app = net.application(to: Self.web)
        #expect(net.run(for: .seconds(10)) { app.outcome == .connected })
        net.run(for: .seconds(605))
        #expect(net.client.counters.rekeys == 1 && net.server.counters.rekeys == 1)
        let client = try #require(net.client.sessionKeys)
        let server = try #require(net.server.sessions.compactMap(\.self).first?.control?.sealed.keys)
        #expect(client.sending == 1 && server.sending == 1)
        #expect(client.count == 2 && server.count == 2)
        net.run(for: .seconds(70))
        #expect(client.count == 2 && server.count == 2, "a flow that sleeps may still need what was before")
        // It goes on, and moves to the keys of today.
        _ = app.write([1, 2, 3])
        var got: [UInt8] = []
        #expect(
            net.run(for: .seconds(5)) {
                got += app.read()
                return got == [1, 2, 3]
            })
        net.run(for: .seconds(70))
        #expect(client.count == 1 && server.count == 1, "now what was before is wiped")
        net.run(for: .seconds(3_600))
        #expect((6...8).contains(net.client.counters.rekeys))
        #expect(net.client.counters.connects == 1)
    }

    @Test func datagramsGoOnWhileKeysChange() throws {
        let net = try Simulation(seed: 6, configureClient: { Self.hurry(&$0, 3_000) })
        #expect(net.run(for: .seconds(5)) { net.client.isConnected })
        let source = Endpoint("198.18.0.1:5000")!
        let destination = Endpoint("203.0.113.2:7")!
        for number in 0..<100 {
            net.send([UInt8](repeating: UInt8(number), count: 100), from: source, to: destination)
            net.run(for: .milliseconds(50))
        }
        #expect(net.client.counters.rekeys >= 2)
        #expect(net.server.datagramCounters.sent == 100)
        #expect(net.server.datagramCounters.unsealable == 0 && net.client.datagramCounters.unsealable == 0)
    }

    @Test func aServerThatDoesNotAnswerIsLeft() throws {
        let net = try HostileServer(transport: Self.patient) { $0.rekeyInterval = .seconds(5) }
        #expect(net.client.isConnected)
        net.run(for: .seconds(34))
        #expect(net.client.isConnected)
        net.run(for: .seconds(2))
        #expect(net.disconnection == "the server did not answer a key exchange in time")
    }

    private static var patient: TransportSettings {
        var transport = TransportSettings()
        transport.keepAlive = .seconds(1)
        return transport
    }

    @Test func aFalseAnswerEndsTheConnection() throws {
        let net = try HostileServer(transport: Self.patient, welcomes: false) { $0.rekeyInterval = .seconds(5) }
        let control = net.welcome()
        net.run(for: .seconds(6))
        let answer = ControlMessage.rekeyAnswer([UInt8](repeating: 9, count: 48)).encode()
        net.peer.send(control.sealedBytes(answer), on: net.controlStream)
        net.run()
        let reason = try #require(net.disconnection)
        #expect(reason.contains("does not open"), "\(reason)")
    }

    @Test func anAnswerThatNobodyAskedForEndsTheConnection() throws {
        let net = try HostileServer(welcomes: false)
        let control = net.welcome()
        let answer = ControlMessage.rekeyAnswer([UInt8](repeating: 9, count: 48)).encode()
        net.peer.send(control.sealedBytes(answer), on: net.controlStream)
        net.run()
        #expect(net.disconnection != nil)
    }

    // MARK: - At the server

    @Test func aFalseKeyExchangeEndsTheConnection() throws {
        let net = try HostileClient()
        let control = net.greet()
        let false1 = ControlMessage.rekey([UInt8](repeating: 5, count: 96)).encode()
        net.peer.send(control.sealed.sealedBytes(false1), on: control.stream)
        net.run()
        guard case .peerClosed(TunnelErrorCode.protocolViolation.rawValue, true, _)? = net.peer.closeReason else {
            Issue.record("\(String(describing: net.peer.closeReason))")
            return
        }
        #expect(net.server.counters.rekeys == 0)
    }

    @Test func keyExchangesAreLimited() throws {
        let net = try HostileClient { $0.rekeyBurst = 3 }
        let control = net.greet()
        _ = net.nextMessage()
        for _ in 0..<10 where net.peer.closeReason == nil {
            net.peer.send(control.sealed.sealedBytes(try control.sealed.beginRekey().encode()), on: control.stream)
            net.run(for: .milliseconds(50))
            var answer = try net.nextMessage().map { try ControlMessage(parsing: $0) }
            if answer == .rekeyDone { answer = try net.nextMessage().map { try ControlMessage(parsing: $0) } }
            guard case .rekeyAnswer(let message) = answer else { break }
            let done = try control.sealed.finishRekey(message)
            net.peer.send(control.sealed.sealedBytes(done.encode()), on: control.stream)
        }
        #expect(net.server.counters.rekeys == 3)
        guard case .peerClosed(TunnelErrorCode.resourceLimit.rawValue, true, _)? = net.peer.closeReason else {
            Issue.record("\(String(describing: net.peer.closeReason))")
            return
        }
    }

    // MARK: - Replays

    /// What was sent on one stream opens on no other, and what one connection sent in none.
    @Test func aReplayedStreamIsRefused() throws {
        let net = try HostileClient()
        net.greet()
        let flow = net.flow()
        let request = flow.sealed.sealedBytes(message: HostileClient.request("203.0.113.2:80"))
        net.peer.send(request, on: flow.stream)
        net.run()
        #expect(net.dials.count == 1)
        let second = net.flow()
        net.peer.send(request, on: second.stream)
        net.run()
        #expect(net.peer.resets[second.stream.id.rawValue] == TunnelErrorCode.sealingFailed.rawValue)
        #expect(net.dials.count == 1 && net.server.counters.sealingFailures == 1)

        let other = try HostileClient()
        other.greet()
        let replayed = other.flow()
        #expect(replayed.stream.id == flow.stream.id)
        other.peer.send(request, on: replayed.stream)
        other.run()
        #expect(other.dials.isEmpty)
        #expect(other.peer.resets[replayed.stream.id.rawValue] == TunnelErrorCode.sealingFailed.rawValue)
    }

    /// A whole login, recorded on one connection and played back on another.
    @Test func aReplayedLoginIsRefused() throws {
        let net = try HostileClient()
        let stream = try #require(net.connection.openStream())
        let first = try net.peer.beginAsClient()
        net.peer.send(first, on: stream)
        net.run()
        try net.peer.hear()
        let hello = try #require(net.peer.control).sealedBytes(Hello(software: "recorded").encode())
        net.peer.send(hello, on: stream)
        net.run()
        #expect(net.logins.count == 1)

        let other = try HostileClient()
        let again = try #require(other.connection.openStream())
        other.peer.send(first + hello, on: again)
        other.run()
        #expect(other.logins.isEmpty)
        #expect(other.server.counters.authenticationFailures == 1)
        #expect(
            other.peer.closeReason
                == .peerClosed(
                    code: TunnelErrorCode.authenticationFailed.rawValue, application: true, message: ""))
    }
}

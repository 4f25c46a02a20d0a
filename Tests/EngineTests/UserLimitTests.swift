import Primitives
import QuicTransport
import SimNet
import Testing
import Tunnel
import Users

@testable import Client
@testable import Server

/// What a user may have, through both engines.
@Suite struct UserLimitTests {
    private static let web = Endpoint("203.0.113.2:80")!

    /// `#expect` takes apart what it is given, which cannot be done with what cannot be copied.
    private struct Held: Equatable {
        var sessions = 0
        var flows = 0
        var halfOpen = 0
        var associations = 0
        var bytes = 0
    }

    private func held(_ account: Account) -> Held {
        Held(
            sessions: account.sessions.count, flows: account.flows.count, halfOpen: account.halfOpen.count,
            associations: account.associations.count, bytes: account.bufferedBytes.count)
    }

    private func account(_ limits: (inout UserLimits) -> Void) -> Account {
        var wanted = UserLimits()
        limits(&wanted)
        return Account(id: 1, name: UserName("anna")!, limits: wanted)
    }

    /// A tunnel that is up, whose client is the user of this account.
    private func connected(_ account: Account, link: LinkConditions = LinkConditions()) throws -> Simulation {
        let tun = LinkConditions(delay: .microseconds(20), mtu: 70_000)
        let net = try Simulation(link: link, tun: tun, seed: 1)
        net.decide = { _ in
            Seat(account).map { .success(Admission(user: account.name.text, seat: $0)) } ?? .failure(.tooManySessions)
        }
        try #require(net.run(for: .seconds(30)) { net.client.isConnected })
        return net
    }

    // MARK: - Rates

    @Test(arguments: [1_000_000, 20_000_000], [1, 5])
    func theRateDownHolds(rate: Int, flows: Int) throws {
        let account = account { $0.rateDown = rate }
        let net = try connected(account, link: LinkConditions(delay: .milliseconds(10)))
        net.services[Self.web] = .source(64 << 20)
        let apps = (0..<flows).map { _ in net.application(to: "203.0.113.2:80") }
        net.run(for: .seconds(1)) {
            for app in apps { _ = app.read() }; return false
        }
        let before = account.takeUsage().down
        #expect(before > 0)
        net.run(for: .seconds(4)) {
            for app in apps { _ = app.read() }; return false
        }
        let share = Double(account.takeUsage().down) / (Double(rate) / 8 * 4)
        #expect((0.95...1.05).contains(share), "rate \(rate), \(flows) flows: \(share)")
        #expect(net.server.counters.rateWaits > 0)
    }

    /// However many streams a client opens, whose first windows it need not wait for.
    @Test(arguments: [1, 8])
    func theRateUpHolds(flows: Int) throws {
        let rate = 20_000_000
        let account = account { $0.rateUp = rate }
        let net = try connected(account, link: LinkConditions(delay: .milliseconds(10)))
        net.services[Self.web] = .sink
        let apps = (0..<flows).map { _ in net.application(to: "203.0.113.2:80") }
        let piece = [UInt8](repeating: 7, count: 64 << 10)
        let push = {
            for app in apps where app.writable > 0 { _ = app.write(Array(piece.prefix(app.writable))) }
            return false
        }
        net.run(for: .seconds(1), until: push)
        let received = { (0..<flows).reduce(0) { $0 + net.socket($1).received.count } }
        let before = received()
        net.run(for: .seconds(3), until: push)
        let share = Double(received() - before) / (Double(rate) / 8 * 3)
        #expect((0.95...1.05).contains(share), "\(flows) flows: \(share)")
        // Each of them gets on.
        #expect((0..<flows).allSatisfy { net.socket($0).received.count > before / flows / 4 })
        for app in apps { app.abort() }
        #expect(net.run(for: .seconds(10)) { net.leftovers.isEmpty })
        #expect(held(account) == Held(sessions: 1))
    }

    @Test func datagramsKeepTheRateBothWays() throws {
        let rate = 2_000_000
        let account = account { ($0.rateUp, $0.rateDown) = (rate, rate / 2) }
        let net = try connected(account)
        let host = Endpoint("203.0.113.2:7")!
        net.datagrams.services[host] = .echo
        let application = Endpoint("198.18.0.1:30000")!
        net.send([0], from: application, to: host)
        net.run(for: .seconds(1))
        _ = account.takeUsage()
        let heard = net.datagrams.arrived.count
        // Twice the rate for four seconds; half of what passes comes back.
        for _ in 0..<1_600 {
            net.send([UInt8](repeating: 1, count: 1_250), from: application, to: host)
            net.run(for: .microseconds(2_500))
        }
        net.run(for: .seconds(1))
        let usage = account.takeUsage()
        #expect((0.95...1.05).contains(Double(usage.up) / 1_000_000), "up \(usage.up)")
        #expect((0.95...1.05).contains(Double(usage.down) / 500_000), "down \(usage.down)")
        #expect(net.datagrams.arrived.count - heard == usage.down / 1_250)
        #expect(net.server.datagramCounters.droppedForRate == account.datagramsDropped)
        #expect(account.datagramsDropped > 1_000)
    }

    /// Datagrams do not wait, so they would always be first.
    @Test func datagramsLeaveStreamsTheirShare() throws {
        let rate = 4_000_000
        let account = account { $0.rateUp = rate }
        let net = try connected(account, link: LinkConditions(delay: .milliseconds(5)))
        let host = Endpoint("203.0.113.2:7")!
        let application = Endpoint("198.18.0.1:30000")!
        net.datagrams.services[host] = .sink
        net.services[Self.web] = .sink
        let app = net.application(to: "203.0.113.2:80")
        let piece = [UInt8](repeating: 7, count: 64 << 10)
        var before = 0
        for round in 0..<1_600 {
            if app.writable > 0 { _ = app.write(Array(piece.prefix(app.writable))) }
            net.send([UInt8](repeating: 1, count: 1_250), from: application, to: host)
            net.run(for: .microseconds(2_500))
            if round == 399 {
                before = net.socket(0).received.count
                _ = account.takeUsage()
            }
        }
        let streams = Double(net.socket(0).received.count - before) / 1_500_000
        #expect((0.4...0.6).contains(streams), "of the rate: \(streams)")
        #expect((0.95...1.05).contains(Double(account.takeUsage().up) / 1_500_000))
    }

    @Test func aRateMayChangeAtAnyTime() throws {
        let account = account { $0.rateDown = 8_000 }
        let net = try connected(account)
        net.services[Self.web] = .source(1 << 20)
        let app = net.application(to: "203.0.113.2:80")
        var got = 0
        let read = {
            got += app.read().count; return app.receivedFIN
        }
        #expect(!net.run(for: .seconds(5), until: read) && got < 20_000)
        account.apply(UserLimits())
        #expect(net.run(for: .seconds(5), until: read) && got == 1 << 20)
    }

    // MARK: - Counts

    @Test func flows() throws {
        let account = account { $0.flows = 2 }
        let net = try connected(account)
        net.services[Self.web] = .listens
        let apps = (0..<3).map { _ in net.application(to: "203.0.113.2:80") }
        net.run(for: .seconds(2))
        #expect(apps.filter { $0.state == .established }.count == 2 && net.server.counters.flowsRefusedByLimit > 0)
        #expect(held(account) == Held(sessions: 1, flows: 2))
        for app in apps { app.abort() }
        #expect(net.run(for: .seconds(5)) { held(account) == Held(sessions: 1) })
        let another = net.application(to: "203.0.113.2:80")
        #expect(net.run(for: .seconds(2)) { another.state == .established })
    }

    @Test func dials() throws {
        let account = account { $0.halfOpen = 2 }
        let net = try connected(account)
        net.services[Self.web] = .silent
        for _ in 0..<3 { net.application(to: "203.0.113.2:80") }
        net.run(for: .milliseconds(500))
        #expect(held(account) == Held(sessions: 1, flows: 2, halfOpen: 2))
        #expect(net.server.counters.flowsRefusedByLimit == 1)
        net.services[Endpoint("203.0.113.3:80")!] = .listens
        // Those that hang are given up, and then there is room again.
        #expect(net.run(for: .seconds(70)) { held(account).halfOpen == 0 })
    }

    @Test func associations() throws {
        let account = account { $0.associations = 2 }
        let net = try connected(account)
        let host = Endpoint("203.0.113.2:7")!
        net.datagrams.services[host] = .echo
        for port in 30_000..<30_003 {
            net.send([1], from: Endpoint(IPAddress("198.18.0.1")!, UInt16(port)), to: host)
        }
        net.run(for: .seconds(1))
        #expect(net.datagrams.arrived.count == 2 && net.server.datagramCounters.associationsRefusedByLimit == 1)
        #expect(held(account) == Held(sessions: 1, flows: 2, associations: 2))
        #expect(net.run(for: .seconds(400)) { held(account) == Held(sessions: 1) })
    }

    /// A user whose destinations do not read what they are sent ends up with flows cut, not with the server's memory.
    @Test func bufferedBytes() throws {
        let limit = 1 << 20
        let account = account { $0.bufferedBytes = limit }
        let net = try connected(account)
        net.services[Self.web] = .stalledSink
        let apps = (0..<6).map { _ in net.application(to: "203.0.113.2:80") }
        let piece = [UInt8](repeating: 7, count: 64 << 10)
        var most = 0
        net.run(for: .seconds(10)) {
            for app in apps where app.writable > 0 { _ = app.write(Array(piece.prefix(app.writable))) }
            most = max(most, held(account).bytes)
            return false
        }
        // A flow is found out when its bytes have come: one datagram's worth.
        #expect(most > limit / 2 && most <= limit + 65_536, "\(most)")
        #expect(net.server.counters.flowsCutByUserLimit > 0 && apps.contains { $0.receivedRST })
        for app in apps { app.abort() }
        #expect(net.run(for: .seconds(10)) { held(account) == Held(sessions: 1) })
    }

    /// Memory is counted as it is held: a block for each flow with as little as one byte.
    @Test func smallPiecesCountAsTheBlocksThatTheyLieIn() throws {
        let account = account { _ in }
        let net = try HostileClient()
        net.decision = Seat(account).map { .success(Admission(user: "anna", seat: $0)) }
        net.socketsTake = false
        net.greet()
        let flows = (0..<10).map { _ in net.connectedFlow() }
        net.run()
        #expect(held(account) == Held(sessions: 1, flows: 10))
        for flow in flows { net.peer.send(flow.sealed.sealedBytes([1]), on: flow.stream) }
        net.run()
        #expect(held(account).bytes == 10 * BlockPool.blockSize && account.bufferedDown.count == 0)
        net.connection.close(code: 0x100, message: "", now: net.now)
        net.run()
        #expect(held(account) == Held(sessions: 1), "the seat is the test's own")
    }

    /// What has left for the client stays in memory until it is acknowledged.
    @Test func whatIsOnItsWayCounts() throws {
        let account = account { _ in }
        let net = try connected(account, link: LinkConditions(delay: .milliseconds(200)))
        net.services[Self.web] = .source(5_000)
        let app = net.application(to: "203.0.113.2:80")
        let isOnItsWay = {
            net.server.flows.compactMap(\.self).contains { $0.stream.buffered > 5_000 && $0.stream.unsent == 0 }
        }
        #expect(net.run(for: .seconds(5), until: isOnItsWay))
        #expect(account.bufferedDown.count == BlockPool.blockSize && held(account).bytes == BlockPool.blockSize)
        #expect(net.run(for: .seconds(5)) { app.read().isEmpty && app.receivedFIN && account.bufferedDown.count == 0 })
    }

    /// Datagrams too large for a packet wait on a stream; at the limit they are dropped.
    @Test func streamedDatagramsCount() throws {
        let account = account { $0.bufferedBytes = 1 << 20 }
        let net = try HostileClient()
        net.decision = Seat(account).map { .success(Admission(user: "anna", seat: $0)) }
        net.greet()
        _ = HostileDatagramTests.associate(net)
        net.run()
        let large = [UInt8](repeating: 1, count: 5_000)
        let hear = {
            large.withUnsafeBytes {
                net.server.datagramReceived(net.dials[0], from: HostileDatagramTests.host, $0, now: net.now)
            }
        }
        hear()
        net.run()
        #expect(net.server.datagramCounters.streamed == 1 && account.bufferedDown.count == 0)
        hear()
        hear()
        net.server.noteBuffered(try #require(net.server.sessions[0]))
        #expect(account.bufferedDown.count == BlockPool.blockSize)
        // Another loop has the rest.
        account.bufferedDown.adjust(by: 512 << 10)
        hear()
        #expect(net.server.datagramCounters.streamed == 3 && net.server.datagramCounters.droppedForStream == 1)
        account.bufferedDown.adjust(by: -512 << 10)
        hear()
        #expect(net.server.datagramCounters.streamed == 4)
    }

    /// Half of what may be buffered is for what comes up, whatever the number of sessions that share it.
    @Test func theWindowFollowsTheLimit() throws {
        let account = account { $0.bufferedBytes = 64 << 20 }
        let net = try connected(account)
        net.services[Self.web] = .echo
        let app = net.application(to: "203.0.113.2:80")
        let exchange = { (bytes: Int) in
            var got = 0
            _ = app.write([UInt8](repeating: 7, count: bytes))
            return net.run(for: .seconds(2)) {
                got += app.read().count
                return got == bytes
            }
        }
        #expect(net.run(for: .seconds(2)) { app.state == .established })
        let session = try #require(net.server.sessions.compactMap(\.self).first)
        #expect(session.windowLimit == 32 << 20)
        let another = Seat(account)
        #expect(exchange(10_000) && session.windowLimit == 16 << 20 && another != nil)
        account.apply(UserLimits())
        #expect(exchange(10_000) && session.windowLimit == nil)
    }

    @Test func destinations() throws {
        let rule = try DestinationRule("203.0.113.2:80")
        let account = account { $0.destinations = [rule] }
        let net = try connected(account)
        let other = Endpoint("203.0.113.2:81")!
        net.services[Self.web] = .listens
        net.services[other] = .listens
        let allowed = net.application(to: "203.0.113.2:80")
        let denied = net.application(to: "203.0.113.2:81")
        net.run(for: .seconds(1))
        #expect(
            allowed.state == .established && denied.outcome == .unreachable(type: 3, code: 13)
                && net.server.counters.dialsDenied == 1, "\(String(describing: denied.outcome))")
        // Datagrams are asked about anew when the list changes.
        let application = Endpoint("198.18.0.1:30000")!
        net.datagrams.services = [Self.web: .echo, other: .echo]
        for host in [Self.web, other, Self.web] {
            net.send([1], from: application, to: host)
            net.run(for: .seconds(1))
        }
        #expect(net.datagrams.arrived.map(\.remote) == [Self.web, Self.web] && net.datagrams.refusals.count == 1)
        account.apply(UserLimits())
        net.send([1], from: application, to: other)
        net.run(for: .seconds(1))
        #expect(net.datagrams.arrived.last?.remote == other)
    }

    /// Fewer destinations: flows to the others are reset, those to what is left go on, and what is being dialled is refused.
    @Test func fewerDestinationsEndFlows() throws {
        let account = account { _ in }
        let net = try connected(account)
        let other = Endpoint("203.0.113.3:80")!
        let late = Endpoint("203.0.113.4:80")!
        for host in [Self.web, other, late] { net.services[host] = .echo }
        let kept = net.application(to: "203.0.113.2:80")
        let ended = net.application(to: "203.0.113.3:80")
        #expect(net.run(for: .seconds(1)) { kept.state == .established && ended.state == .established })
        net.dialDelay = .milliseconds(500)
        let dialling = net.application(to: "203.0.113.4:80")
        net.run(for: .milliseconds(100))
        var limits = UserLimits()
        limits.destinations = [try DestinationRule("203.0.113.2")]
        account.apply(limits)
        net.server.judgeFlows(account: 2, now: net.now)
        #expect(net.server.counters.flowsEndedByDestinations == 0, "another user")
        net.server.judgeFlows(account: 1, now: net.now)
        net.run(for: .seconds(1))
        #expect(ended.receivedRST && !kept.receivedRST && net.server.counters.flowsEndedByDestinations == 1)
        #expect(dialling.outcome == .unreachable(type: 3, code: 13) && net.server.dialCounters.user == 1)
        #expect(net.resetSockets.count == 2 && held(account) == Held(sessions: 1, flows: 1))
        _ = kept.write([1, 2, 3])
        var got: [UInt8] = []
        #expect(
            net.run(for: .seconds(1)) {
                got += kept.read()
                return got == [1, 2, 3]
            })
    }

    /// Who learns the port of a user with a quota cannot spend it: only those are heard that the user has sent to.
    @Test(arguments: [true, false]) func strangersSpendNoQuota(hasQuota: Bool) throws {
        let account = account { _ in }
        if hasQuota { account.set(quotaLeft: 1 << 30) }
        let net = try HostileClient()
        net.decision = Seat(account).map { .success(Admission(user: "anna", seat: $0)) }
        net.greet()
        let association = HostileDatagramTests.associate(net)
        let host = HostileDatagramTests.host
        net.peer.send(datagram: association.channel.sealed([1], host), now: net.now)
        net.run()
        #expect(net.takeDatagrams().count == 1)
        _ = account.takeUsage()
        let hear = { (from: Endpoint) in
            [UInt8](repeating: 1, count: 1_000).withUnsafeBytes {
                net.server.datagramReceived(net.dials[0], from: from, $0, now: net.now)
            }
            return account.takeUsage().down
        }
        #expect(hear(host) == 1_000)
        #expect(hear(Endpoint(host.address, 9_999)) == 1_000, "another port of the same address")
        #expect(hear(Endpoint("198.51.100.9:7")!) == (hasQuota ? 0 : 1_000))
        #expect(net.server.datagramCounters.unsolicited == (hasQuota ? 1 : 0))
        guard hasQuota else { return }
        // As many of the latest as may be; the first of them is heard no more.
        for number in 0..<RecentPeers.limit {
            let far = Endpoint(IPAddress("203.0.\(114 + number / 200).\(1 + number % 200)")!, 7)
            net.peer.send(datagram: association.channel.sealed([1], far), now: net.now)
            net.run(for: .milliseconds(1))
            _ = net.takeDatagrams()
        }
        _ = account.takeUsage()
        #expect(hear(host) == 0 && hear(Endpoint("203.0.114.1:7")!) == 1_000)
        #expect(net.server.sessions.first??.associations.values.first?.association?.peers.count == RecentPeers.limit)
    }

    // MARK: - The end

    @Test func theQuotaEndsTheSession() throws {
        let account = account { _ in }
        account.set(quotaLeft: 100_000)
        let net = try connected(account)
        net.services[Self.web] = .source(1 << 20)
        let app = net.application(to: "203.0.113.2:80")
        net.decide = { _ in .failure(.quotaSpent) }
        var got = 0
        #expect(
            net.run(for: .seconds(5)) {
                got += app.read().count
                return !net.client.isConnected
            })
        #expect(got <= 100_000 && net.server.counters.sessionsKicked == 1)
        #expect(held(account) == Held())
        #expect(
            net.clientEvents.contains { event in
                if case .notice(let text) = event { text.contains("the quota of this month is spent") } else { false }
            })
    }

    @Test func aKickEndsTheSessionsOfOneUser() throws {
        let account = account { _ in }
        let net = try connected(account)
        net.services[Self.web] = .listens
        let app = net.application(to: "203.0.113.2:80")
        net.run(for: .seconds(1))
        net.server.kick(account: 2, reason: "another one", now: net.now)
        net.run(for: .seconds(1))
        #expect(net.client.isConnected && held(account) == Held(sessions: 1, flows: 1))
        net.decide = { _ in .failure(.disabled) }
        net.server.kick(account: 1, reason: "the account was disabled", now: net.now)
        #expect(net.run(for: .seconds(1)) { !net.client.isConnected })
        #expect(held(account) == Held() && net.resetSockets.count == 1)
        #expect(net.run(for: .seconds(1)) { app.receivedRST })
    }
}

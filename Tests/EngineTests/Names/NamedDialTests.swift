import Primitives
import QuicTransport
import Sealing
import Testing
import Tunnel
import Users

@testable import Server

/// Flows to names, from the request to the reply: what a client gets, and what the server dials meanwhile.
struct NamedDialTests {
    private static let v6 = IPAddress("2001:db8::9")!
    private static let v4 = IPAddress("203.0.113.9")!

    private typealias Flow = (stream: QuicStream, sealed: FlowStream)

    private static func flow(_ net: HostileClient, to name: String, port: UInt16 = 80) throws -> Flow {
        let flow = net.flow()
        let request = FlowRequest(.connect, to: .name(try DomainName(name), port: port)).encode()
        net.peer.send(flow.sealed.sealedBytes(message: request), on: flow.stream)
        net.run(for: .milliseconds(1))
        return flow
    }

    private static func answer(
        _ net: HostileClient, _ family: NameFamily, _ addresses: [IPAddress], lifetime: Interval = .seconds(60)
    ) throws {
        let query = try #require(net.queries.last { $0.family == family })
        net.server.resolved(
            query.id, addresses.isEmpty ? .none : .addresses(addresses, lifetime: lifetime), now: net.now)
        net.run(for: .milliseconds(1))
    }

    private static func expectNothingLeft(_ net: HostileClient) {
        #expect(net.server.counters.flowsOpen == 0)
        #expect(net.server.sessions.compactMap { $0 }.allSatisfy { $0.dials == 0 && $0.waitingForNames == 0 })
    }

    @Test func aNameIsLookedUpInBothFamiliesAndDialled() throws {
        let net = try HostileClient()
        net.greet()
        let flow = try Self.flow(net, to: "Host.Example")
        #expect(net.queries.map(\.name) == ["host.example", "host.example"])
        #expect(net.queries.map(\.family) == [.v6, .v4])
        #expect(net.dials.isEmpty)
        try Self.answer(net, .v6, [Self.v6])
        #expect(net.attempts.map(\.destination) == [Endpoint(Self.v6, 80)])
        net.server.dialSucceeded(net.dials[0], bound: Endpoint("[2001:db8::1]:40000")!, now: net.now)
        net.run()
        #expect(net.reply(on: flow) == FlowReply(.succeeded, bound: Endpoint("[2001:db8::1]:40000")!))
        #expect(net.closes.isEmpty)
        #expect(net.server.counters.dials == 1 && net.server.counters.dialsSucceeded == 1)
    }

    /// The one that answers first wins, and what was sent meanwhile goes to it; the others are closed.
    @Test func theFirstToConnectWins() throws {
        let net = try HostileClient()
        net.greet()
        let flow = try Self.flow(net, to: "host.example")
        net.peer.send(flow.sealed.sealedBytes([1, 2, 3]), on: flow.stream)
        try Self.answer(net, .v6, [Self.v6])
        try Self.answer(net, .v4, [Self.v4])
        net.run(for: .milliseconds(300))
        #expect(net.attempts.map(\.destination.address) == [Self.v6, Self.v4])
        #expect(net.attempts[1].time - net.attempts[0].time == .milliseconds(250))
        #expect(net.dials[0] != net.dials[1] && net.dials[0].index == net.dials[1].index)
        #expect(net.server.dialSucceeded(net.dials[1], bound: nil, now: net.now))
        // The other connects in the same moment: it is too late.
        #expect(!net.server.dialSucceeded(net.dials[0], bound: nil, now: net.now))
        net.run(for: .milliseconds(10))
        #expect(net.closes == [net.dials[0]])
        #expect(net.reply(on: flow)?.code == .succeeded)
        #expect(net.written[net.dials[1]] == [1, 2, 3] && net.written[net.dials[0]] == nil)
        // What a socket that has lost says is not taken for the flow's.
        #expect(net.server.roomToRead(net.dials[0]) == 0 && net.server.roomToRead(net.dials[1]) > 0)
        net.server.socketFailed(net.dials[0], now: net.now)
        net.server.socketEnded(net.dials[0], now: net.now)
        #expect(net.server.counters.flowsOpen == 1)
        net.server.socketEnded(net.dials[1], now: net.now)
        net.connection.finish(flow.stream)
        net.run()
        #expect(net.closes == [net.dials[0], net.dials[1]])
        Self.expectNothingLeft(net)
        #expect(net.server.currentNameCounters.attemptsBeaten == 1)
    }

    @Test func fourWaitsForSixAndIsThenDialledAlone() throws {
        let net = try HostileClient()
        net.greet()
        _ = try Self.flow(net, to: "host.example")
        let start = net.now
        try Self.answer(net, .v4, [Self.v4])
        #expect(net.dials.isEmpty)
        net.run(for: .milliseconds(100))
        #expect(net.attempts.map(\.destination.address) == [Self.v4])
        let waited = net.attempts[0].time - start
        #expect(waited >= .milliseconds(50) && waited < .milliseconds(52), "\(waited)")
    }

    @Test func allAttemptsMayFail() throws {
        let net = try HostileClient()
        net.greet()
        let flow = try Self.flow(net, to: "host.example")
        try Self.answer(net, .v6, [Self.v6])
        try Self.answer(net, .v4, [Self.v4])
        net.server.dialFailed(net.dials[0], .networkUnreachable, now: net.now)
        net.run(for: .milliseconds(1))
        #expect(net.attempts.map(\.destination.address) == [Self.v6, Self.v4])
        net.server.dialFailed(net.dials[1], .refused, now: net.now)
        net.run()
        #expect(net.reply(on: flow)?.code == .connectionRefused)
        #expect(net.closes == net.dials)
        #expect(net.server.counters.dialsFailed == 1)
        Self.expectNothingLeft(net)
    }

    @Test func whoDoesNotAnswerIsTimedOutWithAllAttempts() throws {
        let net = try HostileClient { $0.dialTimeout = .seconds(20) }
        net.greet()
        let flow = try Self.flow(net, to: "host.example")
        try Self.answer(net, .v6, [Self.v6])
        try Self.answer(net, .v4, [Self.v4])
        net.run(for: .seconds(19))
        #expect(net.closes.isEmpty)
        net.run(for: .seconds(2))
        #expect(net.reply(on: flow)?.code == .timedOut)
        #expect(Set(net.closes) == Set(net.dials) && net.dials.count == 2)
        Self.expectNothingLeft(net)
    }

    @Test func aNameWithoutAddressIsUnreachable() throws {
        let net = try HostileClient()
        net.greet()
        let flow = try Self.flow(net, to: "nothing.example")
        try Self.answer(net, .v6, [])
        try Self.answer(net, .v4, [])
        net.run()
        #expect(net.reply(on: flow)?.code == .hostUnreachable)
        #expect(net.dials.isEmpty && net.server.currentNameCounters.unknown == 1)
        Self.expectNothingLeft(net)
        // That is known now for both families.
        let again = try Self.flow(net, to: "nothing.example")
        net.run()
        #expect(net.queries.count == 2 && net.server.currentNameCounters.hits == 2)
        #expect(net.reply(on: again)?.code == .hostUnreachable)
    }

    @Test func nameServersThatFailAreNoAnswer() throws {
        let net = try HostileClient()
        net.greet()
        let flow = try Self.flow(net, to: "host.example")
        for query in net.queries { net.server.resolved(query.id, .failed, now: net.now) }
        net.run()
        #expect(net.reply(on: flow)?.code == .hostUnreachable)
        #expect(net.server.currentNameCounters.failed == 1)
        Self.expectNothingLeft(net)
    }

    /// A user's own destinations: a name among them is dialled wherever it points that the policy allows, and any other is not even
    /// looked up, since a question to a name server tells something.
    @Test func namesOfAUser() throws {
        let net = try HostileClient()
        var limits = UserLimits()
        limits.destinations = [try DestinationRule("*.example:80")]
        let account = Account(id: 1, name: UserName("anna")!, limits: limits)
        net.decision = .success(Admission(user: "anna", seat: Seat(account)))
        net.greet()
        let other = try Self.flow(net, to: "host.test")
        #expect(net.reply(on: other)?.code == .notAllowed && net.queries.isEmpty)
        let otherPort = try Self.flow(net, to: "host.example", port: 81)
        #expect(net.reply(on: otherPort)?.code == .notAllowed && net.queries.isEmpty)
        #expect(net.server.dialCounters.user == 2)

        _ = try Self.flow(net, to: "host.example")
        try Self.answer(net, .v6, [])
        try Self.answer(net, .v4, [Self.v4])
        #expect(net.attempts.map(\.destination) == [Endpoint(Self.v4, 80)])
        let inside = try Self.flow(net, to: "inside.example")
        try Self.answer(net, .v6, [])
        try Self.answer(net, .v4, [IPAddress("10.0.0.1")!])
        net.run()
        #expect(net.reply(on: inside)?.code == .notAllowed && net.attempts.count == 1)
    }

    /// A name may point anywhere. Only the addresses that the policy allows are dialled, and where there is none the client is
    /// told so.
    @Test func everyAddressOfANameIsJudged() throws {
        let net = try HostileClient()
        net.greet()
        let inside = ["127.0.0.1", "10.0.0.1", "169.254.169.254"].map { IPAddress($0)! }
        let refused = try Self.flow(net, to: "inside.example")
        try Self.answer(net, .v6, [IPAddress("::1")!, IPAddress("fd00::1")!, IPAddress("64:ff9b::a00:1")!])
        try Self.answer(net, .v4, inside)
        net.run()
        #expect(net.reply(on: refused)?.code == .notAllowed)
        #expect(net.dials.isEmpty)
        #expect(net.server.counters.dialsDenied == 1 && net.server.currentNameCounters.addressesDenied == 6)
        #expect(net.server.dialCounters.denied(as: .loopback) == 2 && net.server.dialCounters.denied(as: .nat64) == 1)
        Self.expectNothingLeft(net)

        _ = try Self.flow(net, to: "mixed.example")
        try Self.answer(net, .v6, [])
        try Self.answer(net, .v4, inside + [Self.v4])
        net.run(for: .seconds(2))
        #expect(net.attempts.map(\.destination.address) == [Self.v4])
    }

    /// A name whose answer changes with every question (DNS rebinding): what was judged is what is dialled, and a later
    /// answer is judged anew.
    @Test func aNameThatChangesItsAddressIsJudgedEachTime() throws {
        let net = try HostileClient { $0.names.negativeLifetime = .seconds(5) }
        net.greet()
        _ = try Self.flow(net, to: "rebind.example")
        try Self.answer(net, .v6, [])
        try Self.answer(net, .v4, [Self.v4], lifetime: .zero)
        #expect(net.attempts.map(\.destination) == [Endpoint(Self.v4, 80)])
        net.run(for: .seconds(6))
        let second = try Self.flow(net, to: "rebind.example")
        #expect(net.queries.count == 4)
        try Self.answer(net, .v6, [])
        try Self.answer(net, .v4, [IPAddress("127.0.0.1")!])
        net.run()
        #expect(net.reply(on: second)?.code == .notAllowed)
        #expect(net.attempts.count == 1)
    }

    @Test func aRuleRefusesANameBeforeAnybodyIsAsked() throws {
        var rule = DialRule(.deny, name: "secret")
        rule.domains = [try DomainPattern(".secret.example")]
        let net = try HostileClient { $0.policy = DialPolicy(rules: [rule]) }
        net.greet()
        let flow = try Self.flow(net, to: "a.SECRET.example.")
        net.run()
        #expect(net.reply(on: flow)?.code == .notAllowed)
        #expect(net.queries.isEmpty)
        #expect(net.server.dialCounters.list.first?.count == 1)
        #expect(
            net.notices.contains(
                .denied(
                    HostileClient.address, .name(try DomainName("a.secret.example"), port: 80), .tcp,
                    by: "rule secret")))
    }

    @Test func aFlowThatIsGivenUpTakesItsAttemptsWithIt() throws {
        let net = try HostileClient()
        net.greet()
        let waiting = try Self.flow(net, to: "slow.example")
        net.connection.reset(waiting.stream, code: TunnelErrorCode.flowReset.rawValue)
        net.connection.stopReceiving(waiting.stream, code: TunnelErrorCode.flowReset.rawValue)
        net.run()
        Self.expectNothingLeft(net)
        // The answer comes to nobody, and is kept.
        try Self.answer(net, .v6, [Self.v6])
        try Self.answer(net, .v4, [Self.v4])
        #expect(net.dials.isEmpty)
        let dialling = try Self.flow(net, to: "slow.example")
        net.run(for: .milliseconds(300))
        #expect(net.dials.count == 2)
        net.connection.reset(dialling.stream, code: TunnelErrorCode.flowReset.rawValue)
        net.connection.stopReceiving(dialling.stream, code: TunnelErrorCode.flowReset.rawValue)
        net.run()
        #expect(Set(net.closes) == Set(net.dials))
        Self.expectNothingLeft(net)
    }

    @Test func flowsThatWaitForNamesAreBounded() throws {
        let net = try HostileClient { $0.names.maximumWaitingPerConnection = 3 }
        net.greet()
        var flows: [Flow] = []
        for number in 0..<5 { flows.append(try Self.flow(net, to: "n\(number).example")) }
        net.run()
        #expect(flows.map { net.reply(on: $0)?.code } == [nil, nil, nil, .tooManyFlows, .tooManyFlows])
        #expect(net.server.currentNameCounters.waitingRefusedByLimit == 2)
        #expect(net.queries.count == 6)
    }

    private static func user(_ net: HostileClient, halfOpen: Int) -> Account {
        var limits = UserLimits()
        limits.halfOpen = halfOpen
        let account = Account(id: 1, name: UserName("anna")!, limits: limits)
        net.decision = Seat(account).map { .success(Admission(user: "anna", seat: $0)) }
        return account
    }

    /// Each address that is dialled counts, so a name with many is no way around the limit.
    @Test func everyAttemptIsADialOfItsUser() throws {
        let net = try HostileClient()
        let account = Self.user(net, halfOpen: 2)
        net.greet()
        let flow = try Self.flow(net, to: "many.example")
        #expect(account.halfOpen.count == 1, "while its name is looked up")
        try Self.answer(net, .v6, [])
        try Self.answer(net, .v4, (1...5).map { IPAddress("203.0.113.\($0)")! })
        net.run(for: .seconds(3))
        #expect(net.attempts.count == 2 && account.halfOpen.count == 2)
        #expect(net.server.currentNameCounters.attemptsPutOff > 5)
        // The place of one that has failed is the next one's at once.
        net.server.dialFailed(net.dials[0], .hostUnreachable, now: net.now)
        net.run(for: .milliseconds(1))
        #expect(net.attempts.count == 3 && account.halfOpen.count == 2)
        net.server.dialSucceeded(net.dials[2], bound: nil, now: net.now)
        net.run()
        #expect(net.reply(on: flow)?.code == .succeeded && account.halfOpen.count == 0)
        #expect(net.server.sessions.compactMap { $0 }.allSatisfy { $0.dials == 0 })
    }

    /// Where other flows have all places, a race goes on with one address at a time, and wider once there is room.
    @Test func aRaceIsAsWideAsItsUserMay() throws {
        let net = try HostileClient()
        let account = Self.user(net, halfOpen: 2)
        net.greet()
        _ = try Self.flow(net, to: "many.example")
        let other = net.flow()
        net.peer.send(other.sealed.sealedBytes(message: HostileClient.request("203.0.113.200:80")), on: other.stream)
        net.run(for: .milliseconds(1))
        let third = try Self.flow(net, to: "other.example")
        net.run(for: .milliseconds(10))
        #expect(net.reply(on: third)?.code == .tooManyFlows && account.halfOpen.count == 2)
        let many = try #require(net.queries.first { $0.family == .v6 })
        net.server.resolved(many.id, .none, now: net.now)
        let four = try #require(net.queries.first { $0.family == .v4 })
        let addresses = (1...3).map { IPAddress("203.0.113.\($0)")! }
        net.server.resolved(four.id, .addresses(addresses, lifetime: .seconds(60)), now: net.now)
        net.run(for: .seconds(2))
        #expect(net.attempts.map(\.destination.address) == [IPAddress("203.0.113.200")!, addresses[0]])
        net.server.dialSucceeded(net.dials[0], bound: nil, now: net.now)
        net.run(for: .seconds(2))
        #expect(net.attempts.count == 3 && account.halfOpen.count == 2)
        net.connection.close(code: 0x100, message: "", now: net.now)
        net.run()
        #expect(account.halfOpen.count == 0 && Set(net.closes) == Set(net.dials))
    }

    /// The destinations change while a name is dialled: no other address of it is tried that is not among them, and none of those that
    /// are under way wins.
    @Test func fewerDestinationsHoldForARaceUnderWay() throws {
        let net = try HostileClient()
        let account = Self.user(net, halfOpen: 8)
        net.greet()
        let flow = try Self.flow(net, to: "host.example")
        try Self.answer(net, .v6, [])
        try Self.answer(net, .v4, (1...3).map { IPAddress("203.0.113.\($0)")! })
        #expect(net.attempts.count == 1)
        var limits = UserLimits()
        limits.destinations = [try DestinationRule("203.0.113.3")]
        account.apply(limits)
        net.run(for: .seconds(1))
        #expect(net.attempts.map(\.destination) == ["203.0.113.1:80", "203.0.113.3:80"].map { Endpoint($0)! })
        #expect(!net.server.dialSucceeded(net.dials[0], bound: nil, now: net.now))
        net.run()
        #expect(net.reply(on: flow)?.code == .notAllowed && Set(net.closes) == Set(net.dials))
        #expect(account.halfOpen.count == 0)
        Self.expectNothingLeft(net)
    }

    /// Where one client has as many flows waiting as it may, the rest of the questions are there for others; each answer makes room.
    @Test func oneClientLeavesQuestionsToOthers() throws {
        let net = try HostileClient {
            $0.names.maximumQueries = 16
            $0.names.maximumWaitingPerConnection = 4
        }
        net.greet()
        var flows: [Flow] = []
        for number in 0..<20 { flows.append(try Self.flow(net, to: "n\(number).example")) }
        #expect(net.server.currentNameCounters.queriesOpen == 8)
        #expect(net.server.currentNameCounters.waitingRefusedByLimit == 16)
        for query in net.queries.prefix(2) { net.server.resolved(query.id, .none, now: net.now) }
        net.run(for: .milliseconds(1))
        _ = try Self.flow(net, to: "another.example")
        #expect(net.server.currentNameCounters.queriesOpen == 8 && net.queries.count == 10)
    }

    @Test func questionsOfAllClientsAreBounded() throws {
        let net = try HostileClient { $0.names.maximumQueries = 2 }
        net.greet()
        _ = try Self.flow(net, to: "one.example")
        let second = try Self.flow(net, to: "two.example")
        net.run()
        #expect(net.queries.count == 2 && net.server.currentNameCounters.refusedByLimit == 2)
        #expect(net.reply(on: second)?.code == .hostUnreachable)
    }

    /// Every denial is counted; of a flood of them the log hears of some.
    @Test func denialsInTheLogAreBounded() throws {
        let net = try HostileClient()
        net.greet()
        for _ in 0..<300 {
            let flow = net.flow()
            net.peer.send(flow.sealed.sealedBytes(message: HostileClient.request("10.0.0.1:80")), on: flow.stream)
        }
        net.run(for: .milliseconds(100))
        let told = net.notices.count { if case .denied = $0 { true } else { false } }
        #expect(net.server.dialCounters.denied(as: .privateUse) == 300)
        #expect(told >= ServerEngine.denialNoticeBurst)
        #expect(told <= ServerEngine.denialNoticeBurst + ServerEngine.denialNoticesPerSecond)
    }

    /// A new set of own addresses, or a new policy, holds at once for what is asked after it.
    @Test func whatChangesHoldsAtOnce() throws {
        let net = try HostileClient()
        net.greet()
        net.server.setOwnAddresses(PrefixSet([IPPrefix("203.0.113.9")!]))
        let own = net.flow()
        net.peer.send(own.sealed.sealedBytes(message: HostileClient.request("203.0.113.9:22")), on: own.stream)
        net.run()
        #expect(net.reply(on: own)?.code == .notAllowed && net.server.dialCounters.own == 1)
        net.server.setPolicy(DialPolicy(allow: [IPPrefix("203.0.113.9")!]))
        let opened = net.flow()
        net.peer.send(opened.sealed.sealedBytes(message: HostileClient.request("203.0.113.9:22")), on: opened.stream)
        net.run()
        #expect(net.attempts.map(\.destination) == [Endpoint("203.0.113.9:22")!])
        // The server's own addresses outlive the policy.
        net.server.setPolicy(DialPolicy())
        #expect(!net.server.policy.verdict(Endpoint("203.0.113.9:22")!, DialAsker(.tcp)).isAllowed)
    }

    // MARK: - Associations

    private static func association(_ net: HostileClient, to name: String, port: UInt16 = 53) throws -> Flow {
        let flow = net.flow()
        let request = FlowRequest(.udp, to: .name(try DomainName(name), port: port)).encode()
        net.peer.send(flow.sealed.sealedBytes(message: request), on: flow.stream)
        net.run(for: .milliseconds(1))
        return flow
    }

    @Test func anAssociationWithANameSendsToItsAddress() throws {
        let net = try HostileClient()
        net.greet()
        let flow = try Self.association(net, to: "host.example")
        #expect(net.queries.map(\.family) == [.v4])
        // A datagram that did not wait for the answer: to the request's destination.
        let record: [UInt8] = [0, 0, 0, 3, 7, 8, 0]
        net.peer.send(flow.sealed.sealedBytes(record), on: flow.stream)
        net.run(for: .milliseconds(1))
        #expect(net.datagramSockets.isEmpty && net.takeDatagrams().isEmpty)
        try Self.answer(net, .v4, [IPAddress("127.0.0.1")!, Self.v4])
        #expect(net.datagramSockets.count == 1)
        net.server.datagramSocketOpened(net.datagramSockets[0], bound: Endpoint("192.0.2.2:5000")!, now: net.now)
        net.run()
        #expect(net.reply(on: flow) == FlowReply(.succeeded, bound: Endpoint("192.0.2.2:5000")!))
        let sent = net.takeDatagrams()
        #expect(sent.map(\.destination) == [Endpoint(Self.v4, 53)] && sent.map(\.payload) == [[7, 8]])
        net.connection.finish(flow.stream)
        net.run()
        Self.expectNothingLeft(net)
    }

    @Test func anAssociationTakesSixWhereThereIsNoFour() throws {
        let net = try HostileClient()
        net.greet()
        _ = try Self.association(net, to: "host.example")
        try Self.answer(net, .v4, [])
        #expect(net.queries.map(\.family) == [.v4, .v6])
        try Self.answer(net, .v6, [Self.v6])
        #expect(net.datagramSockets.count == 1)
        #expect(net.server.datagramCounters.associationsOpened == 1)
    }

    @Test func anAssociationIsRefusedLikeAFlow() throws {
        let net = try HostileClient()
        net.greet()
        let inside = try Self.association(net, to: "inside.example")
        try Self.answer(net, .v4, [IPAddress("10.0.0.1")!])
        try Self.answer(net, .v6, [])
        let nowhere = try Self.association(net, to: "nowhere.example")
        try Self.answer(net, .v4, [])
        try Self.answer(net, .v6, [])
        net.run()
        #expect(net.reply(on: inside)?.code == .notAllowed)
        #expect(net.reply(on: nowhere)?.code == .hostUnreachable)
        #expect(net.dials.isEmpty)
        Self.expectNothingLeft(net)
    }

    @Test func anAssociationThatEndsBeforeItsAnswerIsGone() throws {
        let net = try HostileClient()
        net.greet()
        let flow = try Self.association(net, to: "host.example")
        net.connection.finish(flow.stream)
        net.run()
        Self.expectNothingLeft(net)
        try Self.answer(net, .v4, [Self.v4])
        #expect(net.dials.isEmpty)
    }
}

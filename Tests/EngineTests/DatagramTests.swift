import Primitives
import QuicTransport
import SimNet
import Testing

@testable import Client
@testable import Server

/// UDP from an application to a far host and back: client engine, network, server engine.
@Suite struct DatagramTests {
    static let application = Endpoint("198.18.0.1:30000")!
    static let host = Endpoint("203.0.113.2:7")!
    static let hostV6 = Endpoint("[2001:db8::9]:7")!
    static let applicationV6 = Endpoint("[fd00:5053::1]:30000")!
    static let bad = LinkConditions(
        delay: .milliseconds(10), jitter: .milliseconds(5), loss: 0.05, duplication: 0.02, reordering: 0.05)

    /// A tunnel that is up, with an echo at `host`.
    func connected(
        _ link: LinkConditions = LinkConditions(), seed: UInt64 = 1,
        client: (inout ClientSettings) -> Void = { _ in }, server: @escaping (inout ServerSettings) -> Void = { _ in }
    ) throws -> Simulation {
        // A TUN takes the largest packets there are.
        let tun = LinkConditions(delay: .microseconds(20), mtu: 70_000)
        let net = try Simulation(link: link, tun: tun, seed: seed, configureClient: client, configureServer: server)
        net.datagrams.services = [Self.host: .echo, Self.hostV6: .echo]
        try #require(net.run(for: .seconds(30)) { net.client.isConnected })
        return net
    }

    static func pattern(_ size: Int) -> [UInt8] { (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) } }

    @Test(arguments: [0, 1, 100, 1_200, 1_380, 1_472, 9_000, 65_507])
    func everySizeComesBack(size: Int) throws {
        let net = try connected()
        net.run(for: .seconds(3))  // until both ends know how large packets the path takes
        // The first goes behind the request, the second in a QUIC datagram where it fits.
        for round in 1...2 {
            net.send(Self.pattern(size), from: Self.application, to: Self.host)
            #expect(net.run(for: .seconds(5)) { net.datagrams.arrived.count == round })
            #expect(
                net.datagrams.arrived.last
                    == .init(application: Self.application, remote: Self.host, payload: Self.pattern(size)))
        }
        let isLarge = size > 1_400
        #expect(net.client.datagramCounters.streamed == (isLarge ? 2 : 1))
        #expect(net.client.datagramCounters.sent == (isLarge ? 0 : 1))
        #expect(net.server.datagramCounters.streamed == (isLarge ? 2 : 0))
        #expect(net.datagrams.socketsOpened == 1)
    }

    @Test func ipv6() throws {
        let net = try connected()
        for size in [10, 65_527] {
            net.send(Self.pattern(size), from: Self.applicationV6, to: Self.hostV6)
            #expect(net.run(for: .seconds(5)) { net.datagrams.payloads(of: Self.applicationV6).last?.count == size })
            #expect(net.datagrams.arrived.last?.payload == Self.pattern(size))
        }
    }

    /// The answer to the very first datagram needs no more than one round trip: it goes right behind the request.
    @Test func theFirstAnswerTakesOneRoundTrip() throws {
        let net = try connected(LinkConditions(delay: .milliseconds(50)))
        let start = net.now
        net.send([1], from: Self.application, to: Self.host)
        #expect(net.run(for: .seconds(5)) { net.datagrams.arrived.count == 1 })
        #expect(net.now - start < .milliseconds(110))
    }

    /// One socket for one port of the application, whoever the far ends are; what comes from anybody arrives.
    @Test func mappingAndFilteringDoNotDependOnTheFarEnd() throws {
        let net = try connected()
        let hosts = (1...5).map { Endpoint(Self.host.address, UInt16($0)) }
        for host in hosts {
            net.datagrams.services[host] = .echo
            net.send([UInt8(host.port)], from: Self.application, to: host)
            net.run(for: .seconds(1))
        }
        #expect(net.datagrams.arrived.map(\.remote) == hosts)
        #expect(net.datagrams.socketsOpened == 1)
        let stranger = Endpoint("198.51.100.1:9")!
        net.datagrams.receive([7], from: stranger, on: net.datagrams.sockets.first!, net.server, now: net.now)
        net.run(for: .seconds(1))
        #expect(net.datagrams.arrived.last == .init(application: Self.application, remote: stranger, payload: [7]))
        // From where the client may not send, nothing comes.
        net.datagrams.receive(
            [8], from: Endpoint("10.0.0.1:9")!, on: net.datagrams.sockets.first!, net.server, now: net.now)
        net.run(for: .seconds(1))
        #expect(net.datagrams.arrived.last?.payload == [7])
        #expect(net.server.datagramCounters.denied == 1)
    }

    /// What arrives is what was sent, each at most once and to the right application; most of it does arrive.
    @Test(arguments: 0..<10)
    func aBadNetworkLosesSomeAndSpoilsNone(seed: UInt64) throws {
        let net = try connected(Self.bad, seed: 100 + seed)
        let applications = (0..<5).map { Endpoint(Self.application.address, UInt16(31_000 + $0)) }
        var sent: [Endpoint: Set<[UInt8]>] = [:]
        var random = SeededRandom(seed: seed)
        for number in 0..<400 {
            let application = applications[number % applications.count]
            let size = number % 40 == 7 ? 5_000 : Int.random(in: 4...1_300, using: &random)
            var payload = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: size)
            payload[0] = UInt8(number >> 8)
            payload[1] = UInt8(number & 255)
            sent[application, default: []].insert(payload)
            net.send(payload, from: application, to: Self.host)
            net.run(for: .milliseconds(3))
        }
        net.run(for: .seconds(2))
        for application in applications {
            let got = net.datagrams.payloads(of: application)
            #expect(Set(got).count == got.count, "seed \(seed): a datagram came twice")
            #expect(sent[application]!.isSuperset(of: got), "seed \(seed): something was made up")
        }
        #expect(net.datagrams.arrived.count > 300, "seed \(seed): \(net.datagrams.arrived.count) of 400 came back")
        #expect(net.client.datagramCounters.unsealable == 0 && net.server.datagramCounters.unsealable == 0)
    }

    /// Datagrams of one size that come together leave together.
    @Test func datagramsLeaveInRuns() throws {
        let net = try connected()
        net.send([1], from: Self.application, to: Self.host)
        net.run(for: .seconds(1))
        for number in 0..<50 {
            net.send([UInt8](repeating: UInt8(number), count: 100), from: Self.application, to: Self.host)
        }
        net.run(for: .seconds(1))
        #expect(net.datagrams.sent.dropFirst().map { $0.payload[0] } == (0..<50).map { UInt8($0) })
        #expect(net.datagrams.runs >= 1)
    }

    // MARK: - Truth

    @Test(arguments: [
        (DialFailure.refused, UInt8(3)), (.networkUnreachable, 0), (.hostUnreachable, 1), (.notAllowed, 13),
    ])
    func failuresAreTold(failure: DialFailure, code: UInt8) throws {
        let net = try connected()
        let silent = Endpoint("203.0.113.9:99")!
        net.datagrams.services[silent] = .fails(failure)
        net.send([1], from: Self.application, to: silent)
        #expect(net.run(for: .seconds(5)) { !net.datagrams.refusals.isEmpty })
        #expect(
            net.datagrams.refusals
                == [.init(application: Self.application, destination: silent, type: 3, code: code)])
        // The association goes on.
        net.send([2], from: Self.application, to: Self.host)
        #expect(net.run(for: .seconds(5)) { net.datagrams.arrived.count == 1 })
        #expect(net.datagrams.socketsOpened == 1)
    }

    @Test func failuresOfIPv6AreTold() throws {
        let net = try connected()
        net.datagrams.services[Self.hostV6] = .fails(.refused)
        net.send([1], from: Self.applicationV6, to: Self.hostV6)
        #expect(net.run(for: .seconds(5)) { !net.datagrams.refusals.isEmpty })
        #expect(net.datagrams.refusals.first?.type == 1)
        #expect(net.datagrams.refusals.first?.code == 4)
    }

    /// The policy is asked about every destination, not only the first.
    @Test func forbiddenDestinationsAreProhibited() throws {
        let net = try connected()
        let forbidden = Endpoint("169.254.169.254:53")!
        for destination in [forbidden, Self.host, forbidden, Self.host] {
            net.send([1], from: Self.application, to: destination)
            net.run(for: .seconds(1))
        }
        let refusal = SimDatagrams.Refusal(application: Self.application, destination: forbidden, type: 3, code: 13)
        #expect(net.datagrams.refusals == [refusal, refusal])
        #expect(net.datagrams.arrived.count == 2)
        #expect(net.datagrams.sent.allSatisfy { $0.destination == Self.host })
        #expect(net.server.datagramCounters.denied == 2)
    }

    /// A server without sockets to give says so; the application hears silence, and later datagrams ask again.
    @Test func aServerWithoutSocketsIsAskedAgainLater() throws {
        let net = try connected()
        net.datagrams.socketFailure = .outOfResources
        for _ in 0..<10 { net.send([1], from: Self.application, to: Self.host) }
        net.run(for: .milliseconds(500))
        net.send([1], from: Self.application, to: Self.host)
        net.run(for: .milliseconds(100))
        #expect(net.client.datagramCounters.associationsRefused == 1)
        #expect(net.client.datagramCounters.associationsOpened == 1)
        #expect(net.datagrams.refusals.isEmpty)
        net.datagrams.socketFailure = nil
        net.run(for: .seconds(1))
        net.send([2], from: Self.application, to: Self.host)
        #expect(net.run(for: .seconds(5)) { net.datagrams.arrived.map(\.payload) == [[2]] })
    }

    // MARK: - Limits and ends

    @Test func associationsOfOneClientHaveALimit() throws {
        let net = try connected(server: { $0.maximumAssociationsPerConnection = 3 })
        for port in 0..<5 {
            net.send([1], from: Endpoint(Self.application.address, UInt16(40_000 + port)), to: Self.host)
            net.run(for: .seconds(1))
        }
        #expect(net.datagrams.arrived.count == 3)
        #expect(net.server.datagramCounters.associationsRefusedByLimit == 2)
        #expect(net.server.datagramCounters.associationsOpen == 3)
    }

    @Test func associationsOfAllClientsHaveALimit() throws {
        let net = try connected(server: { $0.maximumAssociations = 1 })
        for port in 0..<2 {
            net.send([1], from: Endpoint(Self.application.address, UInt16(40_000 + port)), to: Self.host)
        }
        net.run(for: .seconds(1))
        #expect(net.server.datagramCounters.associationsOpen == 1)
        #expect(net.server.datagramCounters.associationsRefusedByLimit == 1)
    }

    /// The client ends an association whose application is quiet; nothing stays on either side.
    @Test func quietAssociationsEnd() throws {
        let net = try connected()
        net.send([1], from: Self.application, to: Self.host)
        net.run(for: .seconds(1))
        #expect(net.datagrams.sockets.count == 1)
        net.run(for: .seconds(290))
        #expect(net.datagrams.sockets.count == 1)
        #expect(net.run(for: .seconds(20)) { net.leftovers.isEmpty }, "\(net.leftovers)")
        // A new one is another association, on another stream.
        net.send([2], from: Self.application, to: Self.host)
        #expect(net.run(for: .seconds(5)) { net.datagrams.arrived.count == 2 })
        #expect(net.datagrams.socketsOpened == 2)
    }

    @Test func nameLookupsEndSooner() throws {
        let net = try connected()
        let nameServer = Endpoint("203.0.113.2:53")!
        net.datagrams.services[nameServer] = .echo
        net.send([1], from: Self.application, to: nameServer)
        net.run(for: .seconds(29))
        #expect(net.datagrams.arrived.count == 1)
        #expect(net.datagrams.sockets.count == 1)
        #expect(net.run(for: .seconds(2)) { net.leftovers.isEmpty }, "\(net.leftovers)")
    }

    /// The server does not rely on the client: what is quiet for its own time ends, and the client makes another.
    @Test func theServerEndsQuietAssociationsToo() throws {
        let net = try connected(server: { $0.associationTimeout = .seconds(60) })
        net.send([1], from: Self.application, to: Self.host)
        net.run(for: .seconds(30))
        // What comes from outside does not keep an association.
        net.datagrams.receive([9], from: Self.host, on: net.datagrams.sockets.first!, net.server, now: net.now)
        #expect(net.run(for: .seconds(32)) { net.leftovers.isEmpty }, "\(net.leftovers)")
        #expect(net.server.datagramCounters.associationsExpired == 1)
        net.send([2], from: Self.application, to: Self.host)
        #expect(net.run(for: .seconds(5)) { net.datagrams.arrived.last?.payload == [2] })
        #expect(net.datagrams.socketsOpened == 2)
    }

    /// Without a tunnel datagrams are dropped; when it is back, the application's next one passes.
    @Test func associationsComeBackWithTheTunnel() throws {
        let net = try connected()
        net.send([1], from: Self.application, to: Self.host)
        net.run(for: .seconds(1))
        net.killServer()
        net.run(for: .seconds(1))
        try net.restartServer()
        for payload in 2..<200 as Range<UInt8> {
            net.send([payload], from: Self.application, to: Self.host)
            net.run(for: .milliseconds(200))
        }
        #expect(net.datagrams.arrived.count > 100)
        #expect(net.datagrams.arrived.last?.payload == [199])
        #expect(net.client.datagramCounters.associationsOpened == 2)
    }

    /// A burst before the server has answered is bounded; what does not fit is dropped and counted.
    @Test func theFirstBurstIsBounded() throws {
        let net = try connected(LinkConditions(delay: .milliseconds(50)))
        for _ in 0..<200 { net.send(Self.pattern(1_000), from: Self.application, to: Self.host) }
        net.run(for: .seconds(2))
        let limit = net.client.settings.maximumEarlyDatagramBytes / 1_000
        #expect((limit / 2...limit).contains(net.datagrams.arrived.count))
        #expect(net.client.datagramCounters.droppedForStream == 200 - net.datagrams.arrived.count)
    }

    /// Datagrams too large for a packet are bounded on their stream, on both sides.
    @Test func largeDatagramsAreBounded() throws {
        let net = try connected(
            LinkConditions(delay: .milliseconds(50)), client: { $0.maximumStreamedDatagramBytes = 100_000 },
            server: { $0.maximumStreamedDatagramBytes = 50_000 })
        net.send([1], from: Self.application, to: Self.host)
        net.run(for: .seconds(1))
        for _ in 0..<20 { net.send(Self.pattern(20_000), from: Self.application, to: Self.host) }
        net.run(for: .seconds(2))
        #expect(net.client.datagramCounters.droppedForStream == 16)
        #expect(net.server.datagramCounters.droppedForStream >= 1)
        #expect(net.datagrams.sent.count == 5)
        #expect(net.leftovers["client blocks"] == nil)
    }

    /// Two ends of which one takes no QUIC datagrams carry everything over streams.
    @Test func withoutQuicDatagramsEverythingGoesOverStreams() throws {
        let net = try connected(
            client: { $0.transport.maximumDatagramPayload = 0 }, server: { $0.transport.maximumDatagramPayload = 0 })
        for number in 1...5 as ClosedRange<UInt8> {
            net.send([number], from: Self.application, to: Self.host)
            net.run(for: .seconds(1))
        }
        #expect(net.datagrams.arrived.map(\.payload) == (1...5).map { [$0] })
        #expect(net.client.datagramCounters.streamed == 5 && net.client.datagramCounters.sent == 0)
    }
}

import Load
import Primitives
import Server
import SimNet
import Testing
import Tunnel

/// The load's own way of speaking the tunnel's protocol, against a whole server engine over a network that loses.
@Suite struct TunnelLoadTests {
    static let bad = LinkConditions(
        delay: .milliseconds(5), jitter: .milliseconds(2), loss: 0.01, duplication: 0.01, reordering: 0.01,
        rate: 50_000_000)

    static let workloads: [Workload] = [
        .bulk(.up, flows: 2), .bulk(.down, flows: 2), .bulk(.both, flows: 2),
        .requests(flows: 5, rate: nil, requestSize: 300, responseSize: 20_000),
        .requests(flows: 5, rate: 100, requestSize: 0, responseSize: 500),
        .churn(flows: 5, rate: 50, requestSize: 10, responseSize: 5_000), .idle(flows: 500, touch: .milliseconds(200)),
        .udp(flows: 2, rate: 500, size: 500, echo: true),
    ]

    @Test(arguments: workloads, [1, 2] as [UInt64])
    func everyWorkloadEndsWellOverALossyLink(_ workload: Workload, seed: UInt64) throws {
        let world = try TunnelWorld(conditions: Self.bad, seed: seed)
        let result = try #require(world.run([WorkloadPlan(workload, for: .milliseconds(500))]).first, "seed \(seed)")
        #expect(result.failures == [:], "seed \(seed)")
        #expect(result.wrongBytes == 0)
        #expect(result.operations > 0)
        #expect(result.flows.begun == result.flows.completed)
        world.run(for: .seconds(5))
        #expect(world.leftovers == [:])
        #expect(world.events.count == 1, "connected, and nothing else")
    }

    /// Datagrams in the tunnel: small ones in QUIC datagrams, large ones as records on the stream.
    @Test(arguments: [64, 1_100, 8_000], [true, false])
    func datagramsArrive(size: Int, echo: Bool) throws {
        let world = try TunnelWorld(
            conditions: LinkConditions(delay: .milliseconds(5), rate: 50_000_000), connections: 2)
        let plan = WorkloadPlan(.udp(flows: 3, rate: 300, size: size, echo: echo))
        let result = try #require(world.run([plan]).first)
        let datagrams = try #require(result.datagrams)
        #expect(result.failures == [:] && result.wrongBytes == 0)
        #expect(datagrams.sent == 300 && datagrams.received == 300 && datagrams.notSent == 0)
        if echo { #expect(try #require(result.latency).p50 >= 9_900) }
        world.run(for: .seconds(5))
        #expect(world.leftovers == [:])
    }

    @Test func datagramsThatAreLostAreCounted() throws {
        let world = try TunnelWorld(conditions: LinkConditions(delay: .milliseconds(5), loss: 0.1))
        let result = try #require(world.run([WorkloadPlan(.udp(flows: 2, rate: 1_000, size: 200, echo: false))]).first)
        let datagrams = try #require(result.datagrams)
        #expect(result.failures == [:])
        #expect((50...150).contains(datagrams.lost), "\(datagrams.lost) of 1 000")
    }

    /// The server looks the name up; datagrams never carry it.
    @Test func datagramsToATargetWithAName() throws {
        let world = try TunnelWorld()
        let plan = WorkloadPlan(.udp(flows: 1, rate: 100, size: 64, echo: true))
        let result = try #require(world.run([plan], name: try DomainName("target.example")).first)
        #expect(result.failures == [:] && result.datagrams?.received == 100)
    }

    @Test func associationsThatAreRefused() throws {
        let none = try TunnelWorld(configureServer: { $0.maximumAssociationsPerConnection = 1 })
        let plan = WorkloadPlan(.udp(flows: 2, rate: 100, size: 64, echo: true))
        let result = try #require(none.run([plan]).first)
        #expect(result.failures["too-many-flows"] ?? 0 > 0 && result.failures["no-answer"] == 1)
        #expect(result.flows.completed == 1)
        // Nothing comes back from where the policy lets nothing go.
        let denied = try TunnelWorld(configureServer: {
            $0.policy = DialPolicy(allow: [], deny: [IPPrefix("192.0.2.0/24")!])
        })
        let refused = try #require(denied.run([plan]).first)
        #expect(refused.failures["not-allowed"] ?? 0 > 0 && refused.datagrams?.received == 0)
    }

    @Test func allAtOnceOnTwoConnections() throws {
        let world = try TunnelWorld(conditions: Self.bad, connections: 2)
        let plans = Self.workloads.enumerated().map { WorkloadPlan($1, name: "load \($0)", for: .milliseconds(500)) }
        for result in world.run(plans) { #expect(result.failures == [:], "\(result.name)") }
        #expect(world.server.counters.connectionsAccepted == 2)
        world.run(for: .seconds(5))
        #expect(world.leftovers == [:])
    }

    @Test func aRefusedDialIsARefusal() throws {
        let world = try TunnelWorld()
        let plan = WorkloadPlan(.churn(flows: 2, rate: 10, requestSize: 0, responseSize: 0))
        let result = try #require(world.run([plan], port: 9_000).first)
        #expect(result.failures == ["refused": 10])
        world.run(for: .seconds(5))
        #expect(world.leftovers == [:])
    }

    @Test func whatPolicyForbidsIsNotAllowed() throws {
        let world = try TunnelWorld(configureServer: {
            $0.policy = DialPolicy(allow: [], deny: [IPPrefix("192.0.2.0/24")!])
        })
        let result = try #require(world.run([WorkloadPlan(.bulk(.up, flows: 3), for: .milliseconds(500))]).first)
        #expect(result.failures == ["not-allowed": 3])
    }

    /// The number of flows that the server allows, and one more.
    @Test func theServersLimitIsKept() throws {
        let limit: (inout ServerSettings) -> Void = { $0.maximumFlowsPerConnection = 20 }
        let enough = try TunnelWorld(configureServer: limit)
        #expect(try #require(enough.run([WorkloadPlan(.idle(flows: 20, touch: nil))]).first).failures == [:])
        #expect(enough.events == [.connected(software: "penstock", maximumFlows: 20)])
        let tooMany = try TunnelWorld(configureServer: limit)
        let result = try #require(
            tooMany.run([WorkloadPlan(.idle(flows: 21, touch: nil), for: .milliseconds(500))]).first)
        #expect(result.failures == ["too-many-flows": 1])
        #expect(result.flows.completed == 20)
    }

    /// Ten thousand flows at once on one connection, opened in turns that the server's dials allow.
    @Test func tenThousandIdleFlows() throws {
        let world = try TunnelWorld(
            conditions: LinkConditions(delay: .milliseconds(1)),
            configureServer: { $0.maximumFlowsPerConnection = 10_000 })
        let result = try #require(world.run([WorkloadPlan(.idle(flows: 10_000, touch: nil), for: .seconds(3))]).first)
        #expect(result.failures == [:])
        #expect(result.flows.peak == 10_000)
        world.run(for: .seconds(5))
        #expect(world.leftovers == [:])
    }

    @Test func aLinkThatHasNoMemoryGoesOnWhenThereIsSome() throws {
        let world = try TunnelWorld(conditions: Self.bad, linkMemory: BlockPool(byteLimit: 10 * BlockPool.blockSize))
        let result = try #require(world.run([WorkloadPlan(.bulk(.up, flows: 4))]).first)
        #expect(result.failures == [:])
        #expect(result.bytesSent > 1_000_000)
    }

    // MARK: - When there is no tunnel

    @Test func aWrongKeyIsTold() throws {
        let world = try TunnelWorld(wrongKey: true)
        world.run(for: .seconds(20), until: { !world.events.isEmpty })
        #expect(
            world.events == [
                .lost("the server refused the key exchange: is 'server-key' the key of this server?")
            ])
    }

    @Test func aServerThatIsNotThereIsTold() throws {
        let world = try TunnelWorld()
        world.serverIsUp = false
        world.run(for: .seconds(20), until: { !world.events.isEmpty })
        guard case .lost(let reason)? = world.events.first else { return #expect(Bool(false), "not told") }
        #expect(reason.contains("does not answer"))
    }

    @Test func aServerThatGoesAwayEndsAllFlows() throws {
        let world = try TunnelWorld()
        #expect(world.run(until: { world.links[0].isUp }))
        let engine = LoadEngine(
            plan: LoadPlan(
                workloads: [
                    WorkloadPlan(.bulk(.both, flows: 3)), WorkloadPlan(.idle(flows: 5, touch: nil), name: "idle"),
                ],
                target: .endpoint(SimTarget.first)),
            carrier: TunnelCarrier(links: world.links), random: SeededRandom(seed: 3), now: world.now)
        world.run(engine, for: .milliseconds(500))
        world.server.stop(now: world.now)
        world.run(engine, for: .seconds(1))
        engine.stop(drain: .zero, now: world.now)
        world.run(engine, for: .seconds(1), until: { engine.isOver })
        #expect(engine.isOver)
        let results = engine.results(now: world.now)
        #expect(results.map { $0.failures["tunnel-lost"] ?? 0 >= 1 } == [true, true])
        #expect(results.allSatisfy { !$0.isGood })
        #expect(world.events.count >= 2)
    }
}

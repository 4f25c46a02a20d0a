import Primitives
import Testing

@testable import Load

/// Each kind of workload against a perfect target, and against ones that do wrong.
@Suite struct WorkloadTests {
    let target = SimTarget()

    private func result(of workload: Workload, for duration: Interval = .seconds(1)) throws -> WorkloadResult {
        let engine = target.engine([WorkloadPlan(workload, for: duration)])
        #expect(target.run(engine))
        let result = try #require(engine.results(now: target.now).first)
        // Its parts are the whole.
        #expect(result.series.reduce(0) { $0 + $1.operations } == result.operations)
        #expect(result.series.reduce(0) { $0 + $1.bytesReceived } == result.bytesReceived)
        return result
    }

    @Test(arguments: [
        Workload.bulk(.up, flows: 3), .bulk(.down, flows: 3), .bulk(.both, flows: 3),
        .requests(flows: 3, rate: nil, requestSize: 100, responseSize: 100_000),
        .requests(flows: 3, rate: 50, requestSize: 0, responseSize: 0),
        .churn(flows: 3, rate: nil, requestSize: 70_000, responseSize: 10),
        .churn(flows: 3, rate: 50, requestSize: 1, responseSize: 1),
        .idle(flows: 300, touch: .milliseconds(100)), .idle(flows: 3, touch: nil),
    ])
    func aGoodTargetGivesNoFailures(_ workload: Workload) throws {
        let result = try result(of: workload, for: .milliseconds(workload.rate == nil ? 200 : 1_000))
        #expect(result.failures == [:])
        #expect(result.wrongBytes == 0)
        #expect(result.isGood)
        #expect(result.operations > 0)
        #expect(result.flows.begun == result.flows.completed)
        #expect(result.flows.peak <= workload.flows)
        #expect(target.pool.outstanding == 0)
        // Only a source has no end but a reset.
        #expect(target.resets == (workload == .bulk(.down, flows: 3) ? 3 : 0))
    }

    @Test func bulkFillsTheWindowInBothDirections() throws {
        // 64 KiB in flight, and two milliseconds until the room is known: 3 MiB in a tenth of a second.
        let time = Interval.milliseconds(100)
        let both = try result(of: .bulk(.both, flows: 1), for: time)
        #expect((2_000_000...4_000_000).contains(both.bytesSent))
        #expect(both.bytesSent == both.bytesReceived)
        #expect(try result(of: .bulk(.down, flows: 1), for: time).bytesReceived > 2_000_000)
        #expect(try result(of: .bulk(.up, flows: 1), for: time).bytesSent > 2_000_000)
    }

    @Test func requestsFollowEachOtherWithoutARate() throws {
        let result = try result(of: .requests(flows: 4, rate: nil, requestSize: 10, responseSize: 10))
        // Two milliseconds each way and back, four at once, in a second less the dial.
        #expect((1_960...2_000).contains(result.operations))
        let latency = try #require(result.latency)
        #expect((1_990...2_010).contains(latency.p50))
        #expect((1_990...2_010).contains(latency.maximum))
    }

    @Test func aRateIsKept() throws {
        let result = try result(of: .requests(flows: 10, rate: 200, requestSize: 10, responseSize: 10))
        #expect(result.operations == 200)
        #expect(result.latency.map { (1_990...2_010).contains($0.p90) } == true)
    }

    /// A target that stalls for half a second answers what was due meanwhile late; all of that must show, not the one
    /// request that happened to be under way.
    @Test func aStallShowsInEverythingThatWasDue() throws {
        target.stall = target.now + .milliseconds(300)..<target.now + .milliseconds(800)
        let open = try result(of: .requests(flows: 1, rate: 100, requestSize: 10, responseSize: 10))
        #expect(open.operations == 100)
        let latency = try #require(open.latency)
        // Half of all were due in the stall, evenly: a quarter of all waited more than a quarter of a second.
        #expect(latency.maximum > 490_000)
        #expect(latency.p90 > 300_000)

        let again = SimTarget()
        again.stall = again.now + .milliseconds(300)..<again.now + .milliseconds(800)
        let engine = again.engine([WorkloadPlan(.requests(flows: 1, rate: nil, requestSize: 10, responseSize: 10))])
        again.run(engine)
        let closed = try #require(engine.results(now: again.now).first?.latency)
        #expect(closed.p99 < 3_000, "one after the other, a single request meets the stall")
    }

    @Test func churnAtARateMeasuresFromTheArrival() throws {
        target.stall = target.now + .milliseconds(100)..<target.now + .milliseconds(900)
        let result = try result(of: .churn(flows: 2, rate: 100, requestSize: 0, responseSize: 10))
        #expect(result.operations == 100)
        #expect(result.flows.peak == 2)
        #expect(try #require(result.latency).p50 > 200_000)
    }

    @Test func whatIsNeverBegunIsCounted() throws {
        target.stall = target.now + .milliseconds(100)..<target.now + .seconds(1_000)
        let result = try result(of: .requests(flows: 1, rate: 100, requestSize: 0, responseSize: 10))
        #expect(result.operations < 11)
        #expect(result.failures["unfinished"] == 1)
        #expect(result.failures["not-started"] == 100 - result.operations - 1)
        // They have waited, the youngest of them for the ten seconds that the end may take, and do not make the percentiles look
        // good by their absence; nor does the one that was begun and never answered.
        let latency = try #require(result.latency)
        #expect(latency.count == 100)
        #expect(latency.p50 > 10_000_000)
        #expect(latency.maximum > 10_800_000)
    }

    @Test func flowsThatTheTimeWasTooShortForAreCounted() throws {
        target.delay = .milliseconds(300)
        let result = try result(of: .idle(flows: 1_000, touch: nil))
        // Two rounds of 256 dials, of 600 ms each.
        #expect(result.flows.connected == 512)
        #expect(result.failures == ["not-started": 488])
    }

    /// All workloads together open no more flows at a time than a server dials.
    @Test func openingHasALimit() {
        target.behaviour = .isSilent
        let engine = target.engine([
            WorkloadPlan(.idle(flows: 200, touch: nil), name: "a"),
            WorkloadPlan(.idle(flows: 200, touch: nil), name: "b"),
        ])
        #expect(target.run(engine))
        #expect(target.dials == 256)
        let results = engine.results(now: target.now)
        #expect(results.map { $0.failures["unfinished"] ?? 0 }.reduce(0, +) == 256)
        #expect(results.map { $0.failures["not-started"] ?? 0 }.reduce(0, +) == 144)
    }

    /// As many flows end at once as may, and the rest after them.
    @Test func endingHasALimit() throws {
        let result = try result(of: .idle(flows: StreamWorkload.maximumEnding + 1, touch: nil))
        #expect(result.failures == [:])
        #expect(result.flows.completed == 1_025)
        // A touch and the end for all but one, and again for that one: two milliseconds each.
        #expect((1.007...1.009).contains(result.seconds))
    }

    // MARK: - Targets that do wrong

    @Test func refusalsAreCountedAndTriedAgainSlowly() throws {
        target.behaviour = .fails(.refused)
        let result = try result(of: .bulk(.up, flows: 5), for: .milliseconds(3_500))
        #expect(result.failures == ["refused": 20], "five, and five more each second")
        #expect(result.flows.failed == 20)
        #expect(!result.isGood)
    }

    @Test func aFailureKnownAtOnceIsNoLoop() throws {
        target.behaviour = .fails(.outOfResources)
        let result = try result(of: .churn(flows: 5, rate: nil, requestSize: 0, responseSize: 0))
        #expect(result.failures == ["out-of-resources": 5])
        #expect(target.dials == 5)
    }

    @Test func arrivalsAreNotRepeated() throws {
        target.behaviour = .fails(.hostUnreachable)
        let result = try result(of: .churn(flows: 5, rate: 20, requestSize: 0, responseSize: 0))
        #expect(result.failures == ["host-unreachable": 20])
    }

    @Test func dialsThatNobodyAnswersAreUnfinished() throws {
        target.behaviour = .isSilent
        let result = try result(of: .idle(flows: 7, touch: nil))
        #expect(result.failures == ["unfinished": 7])
        #expect(result.seconds == 11, "a second of load, and ten to end")
        #expect(target.resets == 7)
    }

    @Test(arguments: [
        Workload.bulk(.down, flows: 1), .bulk(.both, flows: 1),
        .requests(flows: 1, rate: nil, requestSize: 10, responseSize: 4_000),
        .churn(flows: 1, rate: nil, requestSize: 10, responseSize: 4_000),
    ])
    func aWrongByteIsFound(_ workload: Workload) throws {
        target.behaviour = .corruptsByte(3_000)
        let result = try result(of: workload, for: .milliseconds(900))
        #expect(result.wrongBytes >= 1)
        #expect(result.failures["wrong-bytes"] ?? 0 >= 1)
        #expect(!result.isGood)
    }

    @Test(arguments: [
        Workload.bulk(.up, flows: 1), .bulk(.both, flows: 1),
        .requests(flows: 1, rate: nil, requestSize: 1_000, responseSize: 10),
    ])
    func aResetIsAFailure(_ workload: Workload) throws {
        target.behaviour = .resets(after: 5_000)
        let result = try result(of: workload, for: .milliseconds(900))
        #expect(result.failures == ["reset": 1])
    }

    @Test(arguments: [
        Workload.bulk(.down, flows: 1), .bulk(.both, flows: 1),
        .requests(flows: 1, rate: nil, requestSize: 0, responseSize: 3_000),
        .idle(flows: 1, touch: .milliseconds(100)),
    ])
    func anEarlyEndIsAFailure(_ workload: Workload) throws {
        target.behaviour = .ends(after: 40)
        let result = try result(of: workload, for: .milliseconds(900))
        #expect(result.failures == ["ended-early": 1])
    }

    /// A sink's report that is cut short says nothing.
    @Test func aReportThatIsMissingIsAFailure() throws {
        target.behaviour = .ends(after: 5)
        let result = try result(of: .bulk(.up, flows: 1))
        #expect(result.failures == ["bad-answer": 1])
    }
}

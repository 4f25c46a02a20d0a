import Configuration
import Load
import Primitives
import TestSupport
import Testing

@testable import penstock

/// A scenario, or options of the command line, and what is told about it.
@Suite struct ScenarioTests {
    @Test func theExampleIsGoodAndHasEveryKind() throws {
        let plans = try Scenario.parse(scenarioExample, file: "s.yaml")
        #expect(plans.map(\.workload.kind) == [.bulkUp, .requests, .churn, .idle, .udp])
        #expect(plans.map(\.name) == ["upload", "pages", "short connections", "sleepers", "voice"])
        #expect(
            plans[0]
                == WorkloadPlan(
                    name: "upload", workload: .bulk(.up, flows: 2), start: .seconds(1), duration: .seconds(5)))
        #expect(plans[1].workload == .requests(flows: 20, rate: 500, requestSize: 200, responseSize: 16_384))
        #expect(plans[1].duration == .seconds(10))
        #expect(plans[3].workload == .idle(flows: 1_000, touch: .seconds(5)))
        #expect(plans[4].workload == .udp(flows: 4, rate: 200, size: 172, echo: true))
        for kind in Workload.Kind.allCases {
            #expect(scenarioExample.contains(kind.rawValue), "the example does not name \(kind.rawValue)")
        }
    }

    @Test func defaults() throws {
        let text = "duration: 1m\nworkloads: [{ workload: churn }, { workload: bulk-both, duration: 2s }]"
        let plans = try Scenario.parse(text, file: "s.yaml")
        #expect(plans[0].workload == .churn(flows: 10, rate: nil, requestSize: 0, responseSize: 1_024))
        #expect(plans[0].name == "churn")
        #expect(plans[0].duration == .seconds(60))
        #expect(plans[1] == WorkloadPlan(name: "bulk-both", workload: .bulk(.both, flows: 1), duration: .seconds(2)))
    }

    @Test(arguments: [
        ("", "s.yaml:1:1: 'workloads' has no entry; add '- workload: requests' below it"),
        ("workloads: []", "s.yaml:1:12: 'workloads' has no entry; add '- workload: requests' below it"),
        ("workloads: 3", "s.yaml:1:12: 'workloads' is not a list; write each entry as '- key: value'"),
        ("workloads: [3]", "s.yaml:1:13: 'workloads[1]' is not a section; write '- key: value'"),
        (
            "duration: 1s\nworkload:\n  - workload: idle\n",
            "s.yaml:1:1: 'workloads' has no entry; add '- workload: requests' below it\n"
                + "s.yaml:2:1: unknown key 'workload'; did you mean 'workloads'?"
        ),
        (
            "workloads:\n  - workload: idle\n",
            "s.yaml:2:5: 'workloads[1].duration' is missing; add 'duration: 10s'"
        ),
        (
            "duration: 1s\nworkloads:\n  - name: x\n",
            "s.yaml:3:5: 'workloads[1].workload' is missing; add 'workload: requests'"
        ),
        (
            "duration: 1s\nworkloads:\n  - workload: download\n    flows: 1\n",
            "s.yaml:3:15: 'workloads[1].workload' is 'download'; "
                + "write one of bulk-up, bulk-down, bulk-both, requests, churn, idle, udp"
        ),
        (
            "duration: 1s\nworkloads:\n  - workload: requests\n    respons-size: 1KiB\n",
            "s.yaml:4:5: unknown key 'respons-size' in 'workloads[1]'; did you mean 'response-size'?"
        ),
        (
            "duration: 1s\nworkloads:\n  - workload: bulk-up\n    rate: 5\n",
            "s.yaml:4:5: unknown key 'rate' in 'workloads[1]'; "
                + "known keys here: workload, name, start, duration, flows"
        ),
        (
            "duration: 1s\nworkloads:\n  - workload: requests\n    rate: 0\n",
            "s.yaml:4:11: 'workloads[1].rate' is '0'; write a number from 0.001 to 10000000"
        ),
        (
            "duration: 1s\nworkloads:\n  - workload: churn\n    rate: 1e3\n",
            "s.yaml:4:11: 'workloads[1].rate' is '1e3'; write a number from 0.001 to 10000000"
        ),
        (
            "duration: 1s\nworkloads:\n  - workload: requests\n    request-size: 200\n",
            "s.yaml:4:19: 'workloads[1].request-size' is '200'; write a size from 0B to 1GiB"
        ),
        (
            "duration: 1s\nworkloads:\n  - workload: udp\n",
            "s.yaml:3:5: 'workloads[1].rate' is missing; add 'rate: 1000'"
        ),
        (
            "duration: 1s\nworkloads:\n  - { workload: udp, rate: 1, size: 31B, echo: no }\n",
            "s.yaml:3:37: 'workloads[1].size' is '31B'; write a size from 32B to 65507B\n"
                + "s.yaml:3:48: 'workloads[1].echo' is 'no'; write true or false"
        ),
        (
            "duration: 1s\nworkloads:\n  - workload: idle\n    flows: 0\n",
            "s.yaml:4:12: 'workloads[1].flows' is '0'; write a whole number from 1 to 1000000"
        ),
        (
            "duration: 1s\nworkloads:\n  - workload: idle\n  - workload: idle\n",
            "s.yaml:4:15: 'workloads[2].name' is 'idle', as that of a workload before it; give each a 'name' of its own"
        ),
        (
            "duration: 1s\nworkloads:\n  - { workload: idle, flows: 600000 }\n  - { name: b, workload: idle, flows: 600000 }\n",
            "s.yaml:3:3: 'workloads' has more than 1000000 flows in all entries; make 'flows' smaller"
        ),
        (
            "duration: soon\nworkloads: [{ workload: idle, duration: 1s }]",
            "s.yaml:1:11: 'duration' is 'soon'; write a time from 100ms to 720h, such as 30s"
        ),
    ])
    func problemsNamePlaceKeyAndRemedy(_ text: String, _ expected: String) {
        do {
            _ = try Scenario.parse(text, file: "s.yaml")
            Issue.record("accepted")
        } catch {
            #expect(error.description == expected)
        }
    }

    @Test func tooManyWorkloadsAreRefused() {
        let entries = (0...LoadPlan.maximumWorkloads).map { "{ name: w\($0), workload: idle }" }.joined(separator: ", ")
        #expect(throws: ConfigurationError.self) {
            try Scenario.parse("duration: 1s\nworkloads: [\(entries)]", file: "s.yaml")
        }
    }

    @Test func aMissingFileNamesTheExample() throws {
        let folder = try TemporaryFolder()
        let error = #expect(throws: ConfigurationError.self) { try Scenario.load(folder("none.yaml")) }
        #expect(
            error?.description == folder("none.yaml")
                + ": the configuration file cannot be read: there is no such file; "
                + "see 'penstock load example' for one to start from")
    }

    @Test func theCommandLineHasTheSameKeys() throws {
        let plan = try Scenario.commandLine([("workload", "requests"), ("flows", "7"), ("rate", "2.5")])
        #expect(
            plan == [
                WorkloadPlan(
                    name: "requests", workload: .requests(flows: 7, rate: 2.5, requestSize: 0, responseSize: 1_024),
                    duration: .seconds(10))
            ])
        do {
            _ = try Scenario.commandLine([("workload", "bulk-up"), ("touch", "1s")])
            Issue.record("accepted")
        } catch {
            #expect(
                error.description
                    == "command line: unknown key 'touch'; known keys here: workload, name, start, duration, flows")
        }
    }
}

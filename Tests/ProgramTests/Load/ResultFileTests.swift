import Foundation
import Load
import Testing

@testable import penstock

@Suite struct ResultFileTests {
    private let result = LoadResult(
        software: "penstock test", started: "2026-01-02T03:04:05Z", machine: "Linux", via: "tcp", connections: 0,
        target: "h:1", seconds: 1, interrupted: false, workloads: [],
        processes: [
            ProcessResult(
                name: "load", pid: 1, cpuSeconds: 0.5, resident: 1, residentPeak: 2, anonymous: 3, anonymousPeak: 4,
                ended: false)
        ])

    @Test func aResultComesBackAsItWas() throws {
        #expect(try ResultFile.decode(try ResultFile.encode(result), name: "r.json") == result)
    }

    @Test(arguments: [
        ("", "r.json is no result of penstock load; make one with 'penstock load run --json FILE'"),
        ("{}", "r.json is no result of penstock load; make one with 'penstock load run --json FILE'"),
        (
            #"{"format":"other","version":1}"#,
            "r.json is no result of penstock load; make one with 'penstock load run --json FILE'"
        ),
        (
            #"{"format":"penstock-load-result","version":7}"#,
            "r.json has version 7 of the results, and this program reads version 1; use the penstock that made it"
        ),
        (#"{"format":"penstock-load-result","version":1}"#, "r.json is damaged: 'software' is missing in ''"),
    ])
    func whatIsNoResultIsRefused(_ text: String, _ expected: String) {
        do {
            _ = try ResultFile.decode(Data(text.utf8), name: "r.json")
            Issue.record("accepted")
        } catch {
            #expect(error.description == expected)
        }
    }

    @Test func aWrongFormNamesItsPlace() throws {
        let good = String(decoding: try ResultFile.encode(result), as: UTF8.self)
        let bad = good.replacing("\"pid\" : 1", with: "\"pid\" : \"one\"")
        #expect(bad != good)
        do {
            _ = try ResultFile.decode(Data(bad.utf8), name: "r.json")
            Issue.record("accepted")
        } catch {
            #expect(error.description == "r.json is damaged: 'processes.Index 0.pid' does not have the right form")
        }
    }

    @Test func aMissingFileIsNamed() {
        #expect(throws: ResultFileError.self) { try ResultFile.read("/nonexistent/result.json") }
    }
}

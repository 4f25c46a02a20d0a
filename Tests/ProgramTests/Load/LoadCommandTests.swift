import ArgumentParser
import Configuration
import Load
import Primitives
import Testing

@testable import penstock

@Suite struct LoadCommandTests {
    private func parse(_ arguments: String) throws -> LoadRunCommand? {
        try Penstock.parseAsRoot(["load", "run"] + arguments.split(separator: " ").map(String.init)) as? LoadRunCommand
    }

    @Test func oneWorkloadByOptions() throws {
        let command = try #require(
            try parse("--target [2001:db8::1]:7400 --workload churn --rate 5 --flows 3 --watch server=12 --watch a=b=3")
        )
        #expect(command.target.description == "[2001:db8::1]:7400")
        #expect(command.via == .tcp)
        #expect(command.workload.given.map(\.key) == ["workload", "flows", "rate"])
        #expect(command.watch.map(\.name) == ["server", "a=b"])
        #expect(command.watch.map(\.pid) == [12, 3])
    }

    @Test func theWays() throws {
        #expect(try parse("--target h:1 --workload idle --via quic --config c --connections 3")?.via == .quic)
        let proxied = try #require(try parse("--target h:1 --workload idle --via socks5://127.0.0.1:1080"))
        #expect(proxied.via.description == "socks5://127.0.0.1:1080")
    }

    @Test(arguments: [
        "--workload idle", "--target h:1", "--target h --workload idle", "--target h:65533 --workload idle",
        "--target h:1 --workload idle --via udp", "--target h:1 --workload idle --via socks5://",
        "--target h:1 --workload idle --via quic", "--target h:1 --workload idle --connections 2",
        "--target h:1 --workload idle --via quic --config c --connections 0",
        "--target h:1 --scenario s.yaml --rate 3", "--target h:1 --workload idle --watch 12",
        "--target h:1 --workload idle --watch =12", "--target h:1 --workload idle --watch a=-1",
        "--target h:1 --workload idle --watch a=99999999999", "--target h:1 --workload idle --json /nonexistent/r.json",
    ])
    func wrongUsageIsRefused(_ arguments: String) {
        #expect(throws: (any Error).self) { try parse(arguments) }
    }

    @Test func theTargetNeedsRoomForItsPorts() {
        #expect(throws: (any Error).self) { try Penstock.parseAsRoot(["load", "serve", "--listen", "[::]:65533"]) }
        #expect(throws: (any Error).self) { try Penstock.parseAsRoot(["load", "serve", "--listen", "[::]:0"]) }
        #expect(throws: (any Error).self) { try Penstock.parseAsRoot(["load", "serve", "--listen", "7400"]) }
        #expect(throws: Never.self) { try Penstock.parseAsRoot(["load", "serve", "--listen", "127.0.0.1:65532"]) }
    }
}

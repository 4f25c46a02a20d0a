import Primitives
import Testing

@testable import LinuxIO

/// The outcome of one look-up, waited for.
private func lookUp(_ host: String, _ port: UInt16 = 443) throws -> Result<[Endpoint], ResolveError> {
    let loop = try EventLoop()
    let resolver = Resolver()
    var outcome: Result<[Endpoint], ResolveError>?
    resolver.resolve(host: host, port: port, loop: loop) { outcome = $0 }
    let giveUp = MonotonicClock.now + .seconds(5)
    loop.run {
        if outcome != nil || MonotonicClock.now > giveUp { loop.stop() }
        return giveUp
    }
    guard let outcome else { throw Failed("no answer") }
    return outcome
}

@Suite struct ResolverTests {
    @Test(arguments: [("192.0.2.1", "192.0.2.1:443"), ("2001:db8::1", "[2001:db8::1]:443"), ("[::1]", "[::1]:443")])
    func literalsAreAnsweredAtOnce(host: String, endpoint: String) throws {
        var outcome: Result<[Endpoint], ResolveError>?
        Resolver().resolve(host: host, port: 443, loop: try EventLoop()) { outcome = $0 }
        #expect(outcome == .success([Endpoint(endpoint)!]))
    }

    @Test func aKnownNameIsFound() throws {
        let endpoints = try lookUp("localhost").get()
        #expect(endpoints.allSatisfy { $0.address.isLoopback && $0.port == 443 })
        #expect(!endpoints.isEmpty)
    }

    @Test func anUnknownNameIsSaidInPlainWords() throws {
        // In an empty namespace, where no question can leave the machine.
        let outcome = try inNamespace { try lookUp("vpn.example.invalid") }
        guard let outcome else { return }
        guard case .failure(let error) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(error.description.hasPrefix("the name vpn.example.invalid does not resolve: "))
        #expect(error.description.count > 55, "a reason follows")
    }

    @Test func lookUpsBeyondTheLimitAreRefused() throws {
        let loop = try EventLoop()
        let resolver = Resolver()
        var found = 0
        var refused: [ResolveError] = []
        for _ in 0...Resolver.limit {
            resolver.resolve(host: "localhost", port: 1, loop: loop) { result in
                switch result {
                case .success: found += 1
                case .failure(let error): refused.append(error)
                }
            }
        }
        #expect(refused == [.busy(name: "localhost")])
        #expect(resolver.pendingCount == Resolver.limit)
        let giveUp = MonotonicClock.now + .seconds(5)
        loop.run {
            if resolver.pendingCount == 0 || MonotonicClock.now > giveUp { loop.stop() }
            return giveUp
        }
        #expect(found == Resolver.limit)
        #expect(resolver.pendingCount == 0)
    }
}

import Primitives
import Synchronization
import Testing
import Users

/// `#expect` takes apart what it is given, which cannot be done with what cannot be copied.
extension Account {
    fileprivate var heldFlows: Int { flows.count }
    fileprivate var heldSessions: Int { sessions.count }
    fileprivate var refusedSessions: Int { sessions.refused }
    fileprivate var sessionLimit: Int? { sessions.limit }
    fileprivate var hasAllSessions: Bool { sessions.isFull }
}

/// What threads share: as many of them as there are loops.
@Suite struct SharingTests {
    private static let threads = 4
    private let now = Instant(nanoseconds: 1_000_000_000)

    private final class Number: Sendable {
        private let number = Atomic<Int>(0)

        var value: Int { number.load(ordering: .relaxed) }
        func note(_ other: Int) { _ = number.max(other, ordering: .relaxed) }
        func add(_ other: Int) { number.wrappingAdd(other, ordering: .relaxed) }
    }

    private func together(_ body: @escaping @Sendable (Int) -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<Self.threads { group.addTask { body(number) } }
        }
    }

    @Test func aTallyNeverGoesBeyondItsLimit() async {
        let account = Account(id: 1, name: UserName("anna")!, limits: UserLimits())
        account.flows.set(limit: 3)
        let most = Number()
        await together { _ in
            for _ in 0..<10_000 where account.flows.take() {
                most.note(account.flows.count)
                account.flows.giveBack()
            }
        }
        #expect(most.value <= 3)
        #expect(account.heldFlows == 0)
    }

    @Test func theLimitOfATally() {
        let account = Account(id: 1, name: UserName("anna")!, limits: UserLimits())
        account.sessions.set(limit: 2)
        var seats = [Seat(account), Seat(account)]
        #expect(seats.allSatisfy { $0 != nil } && Seat(account) == nil && account.refusedSessions == 1)
        account.sessions.set(limit: 1)
        seats.removeLast()
        #expect(account.heldSessions == 1 && account.hasAllSessions && Seat(account) == nil)
        account.sessions.set(limit: nil)
        #expect(account.sessionLimit == nil && Seat(account) != nil)
    }

    /// All threads together get what one would.
    @Test func aRateIsOneForAll() async {
        let account = Account(id: 1, name: UserName("anna")!, limits: UserLimits())
        account.up.set(rate: 800_000_000)
        let passed = Number()
        let start = now
        await together { _ in
            for step in 0..<1_000 {
                let now = start + .milliseconds(Int64(step))
                while account.take(1_000, .up, now: now) { passed.add(1_000) }
            }
        }
        // Each thread has a clock of its own here, so the last one in decides: one second and the burst, to a datagram each.
        let total = passed.value
        #expect(total >= 99_900_000 && total <= 100_000_000 + 2_000_000 + Self.threads * 1_000)
        #expect(account.takeUsage() == Usage(up: total) && account.datagramsDropped > 0)
    }

    @Test func theQuotaEnds() {
        let account = Account(id: 1, name: UserName("anna")!, limits: UserLimits())
        #expect(account.pass(1 << 40, .down, now: now) && !account.isQuotaSpent)
        account.set(quotaLeft: 100)
        #expect(account.pass(60, .up, now: now) && account.pass(39, .down, now: now) && !account.isQuotaSpent)
        #expect(!account.pass(1, .down, now: now) && account.isQuotaSpent)
        account.set(quotaLeft: nil)
        #expect(account.pass(1, .down, now: now) && !account.isQuotaSpent)
    }

    @Test func usageIsTakenOnce() {
        let account = Account(id: 1, name: UserName("anna")!, limits: UserLimits())
        account.pass(5, .up, now: now)
        account.pass(7, .down, now: now)
        let usage = account.takeUsage()
        #expect(usage == Usage(up: 5, down: 7) && account.takeUsage().isEmpty)
        account.giveBack(usage)
        account.pass(1, .up, now: now)
        #expect(account.takeUsage() == Usage(up: 6, down: 7))
        #expect(Usage(up: .max, down: 1).total == .max)
    }

    @Test func destinationsChange() throws {
        let account = Account(id: 1, name: UserName("anna")!, limits: UserLimits())
        let version = account.destinationsVersion
        var limits = UserLimits()
        account.apply(limits)
        #expect(account.destinationsVersion == version && account.allows(Endpoint("192.0.2.1:80")!))
        limits.destinations = [try DestinationRule("192.0.2.1:443")]
        account.apply(limits)
        #expect(account.destinationsVersion != version && !account.allows(Endpoint("192.0.2.1:80")!))
        #expect(account.allows(Endpoint("192.0.2.1:443")!))
    }
}

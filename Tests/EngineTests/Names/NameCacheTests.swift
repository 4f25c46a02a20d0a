import Primitives
import Testing
import Tunnel

@testable import Server

struct NameCacheTests {
    private static let start = Instant(nanoseconds: 1_000_000_000)
    private static let one = IPAddress("203.0.113.1")!

    private static func question(_ name: String, _ family: NameFamily = .v4) throws -> NameCache.Question {
        NameCache.Question(name: try DomainName(name), family: family)
    }

    private static func flow(_ index: Int) -> OutboundID { OutboundID(index: index, generation: 1) }

    /// Asks and has it answered.
    private static func fill(
        _ cache: inout NameCache, _ question: NameCache.Question, _ result: NameResult, now: Instant = start
    ) throws {
        guard case .ask(let id) = cache.ask(question, for: flow(0), now: now) else {
            throw MissingQuery()
        }
        _ = cache.answered(id, result, now: now)
    }

    private struct MissingQuery: Error {}

    @Test func theSameQuestionIsAskedOnceAndAnswersAll() throws {
        var cache = NameCache(NameSettings())
        let question = try Self.question("a.test")
        guard case .ask(let id) = cache.ask(question, for: Self.flow(1), now: Self.start) else { throw MissingQuery() }
        #expect(cache.ask(question, for: Self.flow(2), now: Self.start) == .wait)
        #expect(cache.queries == 1 && cache.count == 0)
        // The other family is another question.
        let other = cache.ask(try Self.question("a.test", .v6), for: Self.flow(2), now: Self.start)
        guard case .ask(let otherID) = other else { throw MissingQuery() }
        #expect(id != otherID)
        let found = cache.answered(id, .addresses([Self.one], lifetime: .seconds(60)), now: Self.start)
        let answered = try #require(found)
        #expect(answered.question == question)
        #expect(answered.answer == .addresses([Self.one]))
        #expect(answered.waiting == [Self.flow(1), Self.flow(2)])
        #expect(cache.ask(question, for: Self.flow(3), now: Self.start) == .known(.addresses([Self.one])))
        #expect(cache.queries == 1 && cache.count == 1)
    }

    @Test func nobodyAnswersTwice() throws {
        var cache = NameCache(NameSettings())
        guard case .ask(let id) = cache.ask(try Self.question("a.test"), for: Self.flow(1), now: Self.start) else {
            throw MissingQuery()
        }
        #expect(cache.answered(NameQueryID(number: 999), .none, now: Self.start) == nil)
        #expect(cache.answered(id, .none, now: Self.start) != nil)
        #expect(cache.answered(id, .none, now: Self.start) == nil)
    }

    /// Who says that an answer is good for no time is asked each time, unless the settings have a minimum.
    @Test func anAnswerForNoTimeIsNotKept() throws {
        var cache = NameCache(NameSettings())
        let question = try Self.question("a.test")
        try Self.fill(&cache, question, .addresses([Self.one], lifetime: .zero))
        guard case .ask = cache.ask(question, for: Self.flow(2), now: Self.start) else { throw MissingQuery() }
    }

    /// An answer is good for as long as it says, within bounds; so is that there is none.
    @Test(
        arguments: [
            (NameResult.addresses([one], lifetime: .seconds(60)), Interval.seconds(60)),
            (.addresses([one], lifetime: .zero), .seconds(5)),
            (.addresses([one], lifetime: .seconds(1_000_000)), .seconds(3_600)),
            (.none, .seconds(30)), (.failed, .seconds(5)),
            // An AAAA record in answer to the question for A records says nothing.
            (.addresses([IPAddress("2001:db8::1")!], lifetime: .seconds(60)), .seconds(30)),
        ])
    func answersAreGoodForTheirTime(result: NameResult, lifetime: Interval) throws {
        var settings = NameSettings()
        settings.minimumLifetime = .seconds(5)
        var cache = NameCache(settings)
        let question = try Self.question("a.test")
        try Self.fill(&cache, question, result)
        let last = Self.start + lifetime + .nanoseconds(-1)
        guard case .known = cache.ask(question, for: Self.flow(2), now: last) else { throw MissingQuery() }
        guard case .ask = cache.ask(question, for: Self.flow(2), now: Self.start + lifetime) else {
            throw MissingQuery()
        }
    }

    @Test func moreAddressesThanMayAreForgotten() throws {
        var settings = NameSettings()
        settings.maximumAddresses = 3
        var cache = NameCache(settings)
        let many = (1...20).map { IPAddress.v4(IPv4Address(0xCB00_7100 + $0)) }
        let question = try Self.question("a.test")
        try Self.fill(&cache, question, .addresses(many, lifetime: .seconds(60)))
        #expect(cache.ask(question, for: Self.flow(1), now: Self.start) == .known(.addresses(Array(many[..<3]))))
    }

    @Test func questionsUnderWayAreBounded() throws {
        var settings = NameSettings()
        settings.maximumQueries = 2
        var cache = NameCache(settings)
        guard case .ask(let id) = cache.ask(try Self.question("a.test"), for: Self.flow(1), now: Self.start) else {
            throw MissingQuery()
        }
        _ = cache.ask(try Self.question("b.test"), for: Self.flow(1), now: Self.start)
        #expect(cache.ask(try Self.question("c.test"), for: Self.flow(1), now: Self.start) == .busy)
        // Who asks the same still joins, and an answer makes room.
        #expect(cache.ask(try Self.question("b.test"), for: Self.flow(2), now: Self.start) == .wait)
        _ = cache.answered(id, .none, now: Self.start)
        guard case .ask = cache.ask(try Self.question("c.test"), for: Self.flow(1), now: Self.start) else {
            throw MissingQuery()
        }
        #expect(cache.queries == 2)
    }

    @Test func answersThatAreKeptAreBoundedAndTheOldestGoes() throws {
        var settings = NameSettings()
        settings.maximumEntries = 4
        var cache = NameCache(settings)
        for number in 0..<10 {
            try Self.fill(&cache, try Self.question("n\(number).test"), .addresses([Self.one], lifetime: .seconds(60)))
            #expect(cache.count == min(number + 1, 4))
        }
        #expect(cache.evicted == 6)
        guard case .ask = cache.ask(try Self.question("n5.test"), for: Self.flow(1), now: Self.start) else {
            throw MissingQuery()
        }
        #expect(
            cache.ask(try Self.question("n6.test"), for: Self.flow(1), now: Self.start)
                == .known(.addresses([Self.one])))
    }

    /// One name that is asked about for years takes no more memory than in its first minute.
    @Test func aNameThatIsRenewedTakesNoMoreRoom() throws {
        var settings = NameSettings()
        settings.maximumEntries = 4
        var cache = NameCache(settings)
        var now = Self.start
        for _ in 0..<1_000 {
            try Self.fill(&cache, try Self.question("a.test"), .none, now: now)
            now = now + .seconds(60)
            #expect(cache.count == 1 && cache.orderCount <= 8)
        }
        #expect(cache.evicted == 0)
    }
}

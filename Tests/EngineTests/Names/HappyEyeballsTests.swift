import Primitives
import SimNet
import Testing

@testable import Server

/// The race of RFC 8305, moment by moment.
struct HappyEyeballsTests {
    private static let v6 = (1...9).map { IPAddress("2001:db8::\($0)")! }
    private static let v4 = (1...9).map { IPAddress("203.0.113.\($0)")! }

    private static func at(_ milliseconds: Int64) -> Instant {
        Instant(nanoseconds: 5_000_000_000) + .milliseconds(milliseconds)
    }

    private static func race() -> HappyEyeballs { HappyEyeballs(NameSettings()) }

    @Test func nothingIsDialledBeforeAnAnswer() {
        var race = Self.race()
        #expect(race.next(now: Self.at(0)) == nil)
        #expect(race.deadline == nil && race.end == nil)
    }

    @Test func sixIsDialledAtOnce() {
        var race = Self.race()
        race.answer(.v6, [Self.v6[0]], now: Self.at(10))
        #expect(race.next(now: Self.at(10))?.address == Self.v6[0])
        #expect(race.next(now: Self.at(10)) == nil)
    }

    /// Section 3: the answer with IPv4 addresses waits 50 ms for the other.
    @Test func fourWaitsForSix() {
        var race = Self.race()
        race.answer(.v4, [Self.v4[0]], now: Self.at(0))
        #expect(race.next(now: Self.at(0)) == nil && race.deadline == Self.at(50))
        #expect(race.next(now: Self.at(49)) == nil)
        #expect(race.next(now: Self.at(50))?.address == Self.v4[0])
        #expect(race.end == nil)
    }

    @Test func sixThatComesInThatTimeIsFirst() {
        var race = Self.race()
        race.answer(.v4, [Self.v4[0]], now: Self.at(0))
        race.answer(.v6, [Self.v6[0]], now: Self.at(30))
        #expect(race.next(now: Self.at(30))?.address == Self.v6[0])
        #expect(race.next(now: Self.at(30)) == nil && race.deadline == Self.at(280))
        #expect(race.next(now: Self.at(280))?.address == Self.v4[0])
    }

    @Test func thatThereIsNoSixEndsTheWait() {
        var race = Self.race()
        race.answer(.v4, [Self.v4[0]], now: Self.at(0))
        race.answer(.v6, [], now: Self.at(12))
        #expect(race.next(now: Self.at(12))?.address == Self.v4[0])
        #expect(race.deadline == nil)
    }

    @Test func sixThatComesLateIsNextInTurn() {
        var race = Self.race()
        race.answer(.v4, Array(Self.v4[..<3]), now: Self.at(0))
        #expect(race.next(now: Self.at(50))?.address == Self.v4[0])
        race.answer(.v6, [Self.v6[0]], now: Self.at(100))
        #expect(race.next(now: Self.at(100)) == nil)
        #expect(race.next(now: Self.at(300))?.address == Self.v6[0])
        #expect(race.next(now: Self.at(550))?.address == Self.v4[1])
    }

    /// Sections 4 and 5: families take turns, 250 ms apart.
    @Test func familiesTakeTurns() {
        var race = Self.race()
        race.answer(.v6, Array(Self.v6[..<3]), now: Self.at(0))
        race.answer(.v4, Array(Self.v4[..<2]), now: Self.at(0))
        let order = [Self.v6[0], Self.v4[0], Self.v6[1], Self.v4[1], Self.v6[2]]
        for (index, address) in order.enumerated() {
            let time = Self.at(Int64(index) * 250)
            if index > 0 { #expect(race.next(now: time + .nanoseconds(-1)) == nil && race.deadline == time) }
            let attempt = race.next(now: time)
            #expect(attempt?.address == address && attempt.map { Int($0.number) } == index + 1)
        }
        #expect(race.next(now: Self.at(100_000)) == nil && race.deadline == nil && race.end == nil)
    }

    @Test func aFailureLetsTheNextBeginAtOnce() {
        var race = Self.race()
        race.answer(.v6, Array(Self.v6[..<2]), now: Self.at(0))
        race.answer(.v4, [], now: Self.at(0))
        let first = race.next(now: Self.at(0))
        #expect(race.failed(first!.number, .networkUnreachable, now: Self.at(3)) == true)
        #expect(race.next(now: Self.at(3))?.address == Self.v6[1])
        #expect(race.failed(first!.number, .networkUnreachable, now: Self.at(4)) == false)
        #expect(race.end == nil)
        #expect(race.failed(2, .refused, now: Self.at(9)) == true)
        #expect(race.end == .failed(.refused))
    }

    /// Not the last failure is told but the one that says most.
    @Test(
        arguments: [
            ([DialFailure.refused, .networkUnreachable], DialFailure.refused),
            ([.networkUnreachable, .refused], .refused),
            ([.networkUnreachable, .timedOut, .other], .timedOut),
            ([.hostUnreachable, .networkUnreachable], .hostUnreachable),
        ])
    func theMostTellingFailureIsTold(failures: [DialFailure], told: DialFailure) {
        var race = Self.race()
        race.answer(.v6, Array(Self.v6[..<failures.count]), now: Self.at(0))
        race.answer(.v4, [], now: Self.at(0))
        for failure in failures {
            let attempt = race.next(now: Self.at(0))
            #expect(race.failed(attempt!.number, failure, now: Self.at(0)) == true)
        }
        #expect(race.end == .failed(told))
    }

    @Test func noAddressAtAllIsTheEnd() {
        var race = Self.race()
        race.answer(.v6, [], now: Self.at(0))
        #expect(race.end == nil)
        race.answer(.v4, [], now: Self.at(1))
        #expect(race.end == .withoutAddress)
    }

    @Test func attemptsUnderWayAreBounded() {
        var settings = NameSettings()
        settings.maximumAttempts = 2
        var race = HappyEyeballs(settings)
        race.answer(.v6, Array(Self.v6[..<4]), now: Self.at(0))
        race.answer(.v4, [], now: Self.at(0))
        #expect(race.next(now: Self.at(0)) != nil && race.next(now: Self.at(250)) != nil)
        #expect(race.next(now: Self.at(10_000)) == nil && race.deadline == nil)
        #expect(race.failed(1, .timedOut, now: Self.at(20_000)) == true)
        #expect(race.next(now: Self.at(20_000))?.address == Self.v6[2])
        #expect(race.underWay == [2, 3])
    }

    /// Whatever happens, every address is dialled once at most, no two attempts begin within 250 ms unless one has failed,
    /// and the race ends when all have.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func everyRaceEnds(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var race = Self.race()
        let six = Array(Self.v6[..<Int.random(in: 0...5, using: &random)])
        let four = Array(Self.v4[..<Int.random(in: 0...5, using: &random)])
        let times = (0..<2).map { _ in Int64.random(in: 0...200, using: &random) }
        var dialled: [IPAddress] = []
        var underWay: [(number: UInt8, fails: Int64)] = []
        var lastStart: Int64?
        for time in 0..<20_000 as Range<Int64> {
            if time == times[0] { race.answer(.v6, six, now: Self.at(time)) }
            if time == times[1] { race.answer(.v4, four, now: Self.at(time)) }
            for (number, _) in underWay.filter({ $0.fails == time }) {
                #expect(race.failed(number, .timedOut, now: Self.at(time)) == true)
                lastStart = nil
            }
            underWay.removeAll { $0.fails == time }
            while let attempt = race.next(now: Self.at(time)) {
                if let lastStart { #expect(time - lastStart >= 250, "seed \(seed)") }
                lastStart = time
                dialled.append(attempt.address)
                underWay.append((attempt.number, time + Int64.random(in: 1...1_500, using: &random)))
            }
            if race.end != nil { break }
        }
        #expect(race.end == (dialled.isEmpty ? .withoutAddress : .failed(.timedOut)), "seed \(seed)")
        #expect(Set(dialled) == Set(six + four) && dialled.count == six.count + four.count, "seed \(seed)")
    }
}

import Primitives
import Testing
import Users

@Suite struct LoginLimiterTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)
    private let anna = UserName("anna")!

    private func source(_ text: String) -> LoginLimiter.Source { LoginLimiter.Source(IPAddress(text)!) }

    @Test func aSourceIsSlowedDown() {
        var limiter = LoginLimiter()
        let here = source("192.0.2.1")
        var tries = 0
        // Somebody who guesses names and passwords, as fast as may be, for an hour.
        var now = start
        while now < start + .seconds(3_600) {
            let name = UserName("user\(tries)")!
            if let wait = limiter.wait(for: here, name: name, now: now) {
                now = now + wait
                continue
            }
            limiter.failed(here, name: name, now: now)
            tries += 1
        }
        // Ten at once, and one each 20 seconds.
        #expect((185...195).contains(tries))
        #expect(limiter.counters.failures == tries && limiter.counters.refused > 0)
        #expect(limiter.wait(for: source("192.0.2.2"), name: UserName("other"), now: now) == nil)
        #expect(limiter.wait(for: here, name: UserName("other"), now: start + .seconds(7_200)) == nil)
    }

    @Test func aNameIsSlowedDownWhereverItIsTriedFrom() {
        var limiter = LoginLimiter()
        let home = source("203.0.113.1")
        limiter.succeeded(home, name: anna, now: start)
        var tries = 0
        for number in 0..<1_000 {
            let from = LoginLimiter.Source(.v4(IPv4Address(0x0A00_0000 + UInt32(number))))
            guard limiter.wait(for: from, name: anna, now: start) == nil else { continue }
            limiter.failed(from, name: anna, now: start)
            tries += 1
        }
        #expect(tries == 30)
        let wait = limiter.wait(for: source("198.51.100.1"), name: anna, now: start)
        #expect(wait == .seconds(20))
        // Its owner still comes in from home, and that pays for the rest.
        #expect(limiter.wait(for: home, name: anna, now: start) == nil)
        limiter.succeeded(home, name: anna, now: start)
        #expect(limiter.wait(for: source("198.51.100.1"), name: anna, now: start) == nil)
    }

    @Test func aSiteIsOneSource() {
        #expect(source("2001:db8:1:2::1") == source("2001:db8:1:2:ffff::9"))
        #expect(source("2001:db8:1:2::1") != source("2001:db8:1:3::1"))
        #expect(source("::ffff:192.0.2.1") == source("192.0.2.1"))
        #expect(source("192.0.2.1") != source("192.0.2.2"))
        #expect(source("0.0.0.0") != source("::"))
    }

    /// Who has a /48 has 65 536 sources: together they have forty tries at once, and one each 20 seconds.
    @Test func manySourcesOfASiteAreOneSite() {
        var limiter = LoginLimiter()
        func place(_ site: UInt64, _ number: UInt64) -> LoginLimiter.Source {
            LoginLimiter.Source(.v6(IPv6Address(high: 0x2001_0db8_0000_0000 | site << 16 | number, low: 1)))
        }
        limiter.succeeded(place(7, 3), name: anna, now: start)
        var tries = 0
        for number in 0..<1_000 as Range<UInt64> {
            guard limiter.wait(for: place(7, number), name: nil, now: start) == nil else { continue }
            limiter.failed(place(7, number), name: nil, now: start)
            tries += 1
        }
        #expect(tries == 40)
        #expect(limiter.wait(for: place(7, 5_000), name: UserName("bert"), now: start) == .seconds(20))
        #expect(limiter.wait(for: place(8, 5_000), name: UserName("bert"), now: start) == nil)
        #expect(limiter.wait(for: place(7, 3), name: anna, now: start) == nil, "she has come in from there")
        #expect(limiter.wait(for: place(7, 5_000), name: UserName("bert"), now: start + .seconds(20)) == nil)
        #expect(limiter.counters.refused == 961)
    }

    @Test func itRemembersSoManyAndNoMore() {
        var settings = LoginLimiter.Settings()
        settings.capacity = 8
        var limiter = LoginLimiter(settings: settings)
        let worst = source("192.0.2.1")
        for _ in 0..<20 { limiter.failed(worst, name: anna, now: start) }
        for number in 0..<1_000 {
            let from = LoginLimiter.Source(.v4(IPv4Address(0x0A00_0000 + UInt32(number))))
            limiter.failed(from, name: UserName("user\(number)"), now: start)
        }
        #expect(limiter.remembered == 16)
        #expect(limiter.counters.evicted == 2 * (1_000 - 7))
        // Those who owe most are forgotten last.
        #expect(limiter.wait(for: worst, name: nil, now: start) != nil)
        // What is paid makes room for nothing.
        let later = start + .seconds(10_000)
        for number in 0..<4 {
            limiter.failed(LoginLimiter.Source(.v4(IPv4Address(UInt32(number)))), name: nil, now: later)
        }
        #expect(limiter.counters.evicted == 2 * (1_000 - 7))
    }
}

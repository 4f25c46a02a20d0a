import Primitives
import SimNet
import Testing
import Users

@Suite struct RateGateTests {
    /// `#expect` takes apart what it is given, which cannot be done with what cannot be copied.
    private final class Shared: Sendable {
        private let gate: RateGate

        init(rate: Int?) { gate = RateGate(rate: rate) }

        var isLimited: Bool { gate.isLimited }
        func set(rate: Int?) { gate.set(rate: rate) }
        func room(now: Instant) -> Int { gate.room(now: now) }
        func charge(_ count: Int, now: Instant) { gate.charge(count, now: now) }
        func take(_ count: Int, now: Instant) -> Bool { gate.take(count, now: now) }
        func opens(now: Instant) -> Instant { gate.opens(now: now) }
    }

    private let start = Instant(nanoseconds: 5_000_000_000)

    /// Bytes that a greedy user gets through in `time`, who takes pieces of a socket's size whenever there is room.
    private func stream(_ gate: Shared, for time: Interval, piece: Int) -> Int {
        var now = start
        var total = 0
        while now < start + time {
            let room = min(gate.room(now: now), piece)
            if room == 0 {
                now = max(now + .microseconds(1), gate.opens(now: now))
                continue
            }
            gate.charge(room, now: now)
            total += room
        }
        return total
    }

    @Test(arguments: [8_000, 64_000, 1_000_000, 20_000_000, 100_000_000, 1_000_000_000, 10_000_000_000])
    func aStreamKeepsItsRate(rate: Int) {
        // At the lowest rates the two packets of the burst take seconds by themselves.
        let time = Interval.seconds(rate < 1_000_000 ? 1_000 : 1)
        let expected = Double(rate) / 8 * time.seconds
        for piece in [rate < 1_000_000_000 ? 1_200 : 9_000, 65_536] {
            let gate = Shared(rate: rate)
            let share = Double(stream(gate, for: time, piece: piece)) / expected
            #expect((0.99...1.05).contains(share), "rate \(rate), piece \(piece): \(share)")
        }
    }

    @Test(arguments: [64_000, 1_000_000, 50_000_000])
    func datagramsKeepTheirRate(rate: Int) {
        let gate = Shared(rate: rate)
        var random = SeededRandom(seed: 7)
        var now = start
        var passed = 0
        var dropped = 0
        let time = Interval.seconds(rate < 10_000_000 ? 100 : 5)
        // Twice the rate is offered, in datagrams of any size.
        while now < start + time {
            let size = Int.random(in: 40...1_400, using: &random)
            if gate.take(size, now: now) { passed += size } else { dropped += 1 }
            now = now + .nanoseconds(Int64(size) * 4_000_000_000 / Int64(rate))
        }
        let share = Double(passed) / (Double(rate) / 8 * time.seconds)
        #expect((0.95...1.05).contains(share), "rate \(rate): \(share)")
        #expect(dropped > 0)
    }

    @Test func whatIsTooMuchIsOwed() {
        let gate = Shared(rate: 8_000_000)  // a byte each microsecond
        gate.charge(1_000_000, now: start)
        #expect(gate.room(now: start) == 0)
        #expect(!gate.take(1, now: start + .milliseconds(979)))
        #expect(gate.take(1, now: start + .milliseconds(981)))
        #expect(gate.opens(now: start) == start + .milliseconds(990) + .microseconds(1))
        // Time that nobody uses is not saved up beyond the burst.
        let later = start + .seconds(3_600)
        #expect(gate.room(now: later) == 20_000)
        #expect(gate.opens(now: later) == later)
    }

    @Test func ratesChangeInFlight() {
        let gate = Shared(rate: nil)
        gate.charge(1 << 30, now: start)
        #expect(gate.room(now: start) == .max && gate.take(.max, now: start) && !gate.isLimited)
        gate.set(rate: 8_000_000)
        #expect(gate.isLimited && gate.room(now: start) == 20_000)
        gate.charge(40_000, now: start)
        #expect(gate.room(now: start) == 0)
        gate.set(rate: nil)
        #expect(gate.room(now: start) == .max && gate.opens(now: start) == start)
    }

    /// Numbers of a file or a peer make no trap.
    @Test func extremes() {
        for rate in [Int.min, -1, 0, 1, Int.max] {
            let gate = Shared(rate: rate)
            let end = Instant(nanoseconds: .max)
            for now in [Instant(nanoseconds: 0), start, end] {
                gate.charge(.max, now: now)
                gate.charge(-1, now: now)
                _ = gate.take(.max, now: now)
                _ = gate.room(now: now)
                _ = gate.opens(now: now)
            }
        }
    }
}

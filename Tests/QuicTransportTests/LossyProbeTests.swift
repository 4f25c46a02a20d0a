import Primitives
import Testing

@testable import QuicTransport

/// The probe alone: what a path delivers of what it is asked for, a round trip at a time.
@Suite struct LossyProbeTests {
    static let roundTrip = Interval.milliseconds(100)

    /// - Parameter delivers: what arrives when so much is sent; congestion control asks for the most that ever arrived.
    /// - Returns: the rate that was sent in each round trip.
    func sent(
        _ roundTrips: Int, start: Double, hasQueue: (Double) -> Bool = { _ in false }, delivers: (Double) -> Double
    )
        -> [Double]
    {
        var probe = LossyProbe()
        var now = Instant(nanoseconds: 1_000_000_000)
        var known = start
        var sent = start
        return (0..<roundTrips).map { _ in
            let delivered = delivers(sent)
            known = max(known, delivered)
            sent =
                known * probe.gain(delivered: delivered, hasQueue: hasQueue(sent), roundTrip: Self.roundTrip, now: now)
            now = now + Self.roundTrip
            return sent
        }
    }

    /// A tenth of what was found in a lossy start: it grows without a rest until the path carries no more.
    @Test func aRateThatIsTooLowGrows() {
        let rates = sent(60, start: 10) { min($0, 100) * 0.95 }
        #expect(rates[10] < 60 && rates[59] >= 95, "\(rates)")
    }

    /// A router with a short queue drops what is too much: ever fewer tries.
    @Test func whereMoreOnlyLosesMoreItRests() {
        let rates = sent(2_000, start: 100) { min($0, 100) }
        let tries = { (range: Range<Int>) in rates[range].count { $0 > 100 } }
        #expect(tries(0..<100) <= 40 && tries(0..<100) >= 2 * Int(LossyProbe.triedFor))
        #expect(tries(1_000..<2_000) <= 40 && tries(1_000..<2_000) >= Int(LossyProbe.triedFor), "but some")
    }

    /// After a rest it finds what has become free, and then goes on at once.
    @Test func itFindsWhatHasBecomeFree() {
        var limit = 20.0
        var count = 0
        let rates = sent(1_200, start: 20) {
            count += 1
            if count == 300 { limit = 100 }
            return min($0, limit)
        }
        #expect(rates[299] <= 20 * LossyProbe.gain)
        #expect(rates[300 + Int(LossyProbe.longestRest) + 60] >= 100)
    }

    /// A queue says that there is no more, at once.
    @Test func aQueueEndsTheTry() {
        let rates = sent(12, start: 100, hasQueue: { $0 > 100 }) { min($0, 100) }
        #expect(rates[0] > 100 && rates[1] == 100 && rates[11] == 100)
    }
}

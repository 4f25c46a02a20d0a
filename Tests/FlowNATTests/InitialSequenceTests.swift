import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// RFC 6528, section 3: ISN = M + F(addresses, ports, secret key), M a clock of four microseconds.
struct InitialSequenceTests {
    /// Two ends, and others that differ from them in one thing each.
    private struct Ends: CustomTestStringConvertible {
        let source: String
        let destination: String
        let others: [(String, String)]

        var testDescription: String { "\(source) \(destination)" }
    }

    private static let ends = [
        Ends(
            source: "10.0.0.2:40000", destination: "192.0.2.1:443",
            others: [
                ("10.0.0.2:40001", "192.0.2.1:443"), ("10.0.0.2:40000", "192.0.2.1:444"),
                ("10.0.0.3:40000", "192.0.2.1:443"), ("10.0.0.2:40000", "192.0.2.2:443"),
                ("10.1.0.2:40000", "192.0.2.1:443"), ("10.0.0.2:443", "192.0.2.1:40000"),
                ("192.0.2.1:40000", "10.0.0.2:443"),
            ]),
        // Both halves of both addresses count.
        Ends(
            source: "[fd00::2]:40000", destination: "[2001:db8::1]:443",
            others: [
                ("[fd00::2]:40001", "[2001:db8::1]:443"), ("[fd00::2]:40000", "[2001:db8::1]:444"),
                ("[fd00::3]:40000", "[2001:db8::1]:443"), ("[fd00::2]:40000", "[2001:db8::2]:443"),
                ("[fd00:0:0:1::2]:40000", "[2001:db8::1]:443"), ("[fd00::2]:40000", "[2001:db8:0:1::1]:443"),
                ("[fd00::2]:443", "[2001:db8::1]:40000"), ("[2001:db8::1]:40000", "[fd00::2]:443"),
            ]),
    ]

    private static let start = Instant(nanoseconds: 1_000_000_000_000)

    /// The number of the SYN-ACK between two ends, by a `FlowNAT` whose keys come from `key`.
    private func number(
        _ source: String, _ destination: String, key: UInt64 = 1, at now: Instant = start
    ) -> UInt32? {
        let t = Trace(seed: key, start: now)
        t.source = Endpoint(source)!
        t.destination = Endpoint(destination)!
        t.app.sends(.syn, seq: 100)
        t.owner.accepts()
        return t.nextPacket()?.tcp?.sequence.rawValue
    }

    @Test(arguments: ends)
    private func differByPortAndAddress(_ ends: Ends) throws {
        let pairs = [(ends.source, ends.destination)] + ends.others
        let numbers = try pairs.map { try #require(number($0.0, $0.1)) }
        #expect(Set(numbers).count == pairs.count, "\(numbers)")
    }

    /// Who knows the number of one port knows nothing of the next: the distances are all over the space.
    @Test(arguments: ends)
    private func tellNothingOfEachOther(_ ends: Ends) throws {
        let source = ends.source.dropLast(5)
        let numbers = try (40_000..<40_064).map { try #require(number("\(source)\($0)", ends.destination)) }
        let distances = zip(numbers, numbers.dropFirst()).map { $1 &- $0 }
        #expect(Set(distances).count == distances.count)
        // Each of the 32 bits is set in about half of them: outside 12...51 with a chance of 10^-6 a bit.
        for bit in 0..<32 {
            let set = distances.count { $0 >> UInt32(bit) & 1 == 1 }
            #expect((12...51).contains(set), "bit \(bit) is set in \(set) of \(distances.count)")
        }
    }

    @Test(arguments: ends)
    private func differByTheRandomKey(_ ends: Ends) throws {
        let numbers = try (0..<64 as Range<UInt64>).map {
            try #require(number(ends.source, ends.destination, key: $0))
        }
        #expect(Set(numbers).count == numbers.count)
        #expect(number(ends.source, ends.destination, key: 7) == numbers[7], "the key is all that is random")
    }

    /// Four microseconds a step, the rest of a step cut off, and around after 4.77 hours.
    @Test(
        arguments: ends,
        [(4, 1), (7, 1), (8, 2), (1_000_000, 250_000), (17_179_869_184, 0), (17_179_869_188, 1), (86_400_000_000, nil)]
            as [(UInt64, UInt32?)])
    private func advanceWithTheClock(_ ends: Ends, _ step: (microseconds: UInt64, difference: UInt32?)) throws {
        let first = try #require(number(ends.source, ends.destination))
        let later = Instant(nanoseconds: Self.start.nanoseconds + step.microseconds * 1_000)
        let second = try #require(number(ends.source, ends.destination, at: later))
        #expect(second &- first == step.difference ?? UInt32(truncatingIfNeeded: step.microseconds / 4))
        let justBefore = Instant(nanoseconds: later.nanoseconds / 4_000 * 4_000 + 3_999)
        #expect(number(ends.source, ends.destination, at: justBefore) == second)
    }

    /// The number stays the same however the flow is asked for: a `FlowNAT` that has seen other flows gives it too.
    @Test func dependsOnNothingElse() throws {
        let t = Trace()
        for port in 1...20 as ClosedRange<UInt16> {
            t.source.port = port
            t.flow = nil
            t.app.sends(.syn, seq: 100)
        }
        t.source.port = 40_000
        t.flow = nil
        t.app.sends(.syn, seq: 77_777, mss: 1_000, ws: 3)
        t.owner.accepts()
        #expect(t.nextPacket()?.tcp?.sequence.rawValue == number("10.0.0.2:40000", "192.0.2.1:443"))
    }

    /// Timestamps begin anywhere too, and not where the sequence numbers do (RFC 7323, section 7.1).
    @Test func timestampsHaveAnOffsetOfTheirOwn() {
        var random = SeededRandom(seed: 3)
        let sequence = InitialSequence(random: &random)
        let addresses = (1...32).map {
            FlowAddresses(source: Endpoint("10.0.0.2:\($0)")!, destination: Endpoint("192.0.2.1:443")!)
        }
        let offsets = addresses.map(sequence.timestampOffset)
        #expect(Set(offsets).count == addresses.count)
        let zero = Instant(nanoseconds: 0)
        #expect(
            !addresses.contains { sequence.number(for: $0, now: zero).rawValue == sequence.timestampOffset(for: $0) })
    }
}

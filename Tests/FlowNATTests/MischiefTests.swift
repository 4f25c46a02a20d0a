import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Peers that lie about what they have received: the transfer still ends well, and a lie costs no more than it must.
struct LossyMischiefTests {
    private static let habits: [(String, Mischief.Habits)] = {
        func habit(_ change: (inout Mischief.Habits) -> Void) -> Mischief.Habits {
            var habits = Mischief.Habits()
            change(&habits)
            return habits
        }
        return [
            ("divides", habit { $0.divides = 0.5 }),
            ("repeats", habit { $0.repeats = 0.5 }),
            ("stretches", habit { $0.stretches = 0.4 }),
            ("anticipates", habit { $0.anticipates = 0.3 }),
            ("reneges", habit { $0.reneges = 0.2 }),
            ("duplicates", habit { $0.duplicates = 0.5 }),
            ("shrinks", habit { $0.shrinks = 0.2 }),
            (
                "everything",
                habit {
                    $0.divides = 0.1
                    $0.repeats = 0.1
                    $0.stretches = 0.1
                    $0.anticipates = 0.1
                    $0.reneges = 0.1
                    $0.duplicates = 0.1
                    $0.shrinks = 0.1
                }
            ),
        ]
    }()

    /// Seeds that once found faults of the simulation itself.
    @Test(arguments: [303, 451, 771, 935, 1043, 1126] as [UInt64])
    func whatWasFoundStaysMended(seed: UInt64) { aPeerThatLiesGetsItsBytes(seed: seed) }

    @Test(arguments: Seeds.upTo(120))
    func aPeerThatLiesGetsItsBytes(seed: UInt64) {
        let (name, habits) = Self.habits[Int(seed) % Self.habits.count]
        let simulation = LossySimulation(seed: seed, habits: habits)
        simulation.run()
        simulation.check()
        let counters = simulation.nat.counters
        // No storm of answers: a few packets for each that came in or that carries text.
        #expect(counters.packetsOut <= 8 * counters.packetsIn + 2_000, "seed \(seed), \(name): \(counters)")
    }

    /// Every habit is practised: a liar that never lies proves nothing.
    @Test func everyHabitIsPractised() {
        for (index, (name, habits)) in Self.habits.enumerated() {
            var distorted = 0
            // The seeds of this habit, until it shows.
            for seed in stride(from: UInt64(index), to: 120, by: Self.habits.count) where distorted == 0 {
                let simulation = LossySimulation(seed: seed, habits: habits)
                simulation.run()
                distorted += simulation.mischief?.distorted ?? 0
            }
            #expect(distorted > 0, "\(name)")
        }
    }

    /// Ten ACKs that divide what one segment carries open the window no more than one ACK.
    @Test func divisionGainsNothing() {
        var sent: [Int] = []
        for parts in [1, 10] {
            let t = openedForRecovery()
            t.sendsFlight(10)
            for i in 1...parts { t.app.sends(.ack, seq: 101, ack: 1 + 10_000 / parts * i) }
            t.owner.writes(100_000)
            var count = 0
            while t.nextPacket() != nil { count += 1 }
            sent.append(count)
        }
        #expect(sent[0] == 20 && sent[1] <= sent[0], "\(sent)")
    }

    /// Spoofed duplicates let no more go out than the peer's own window and what is proven to have left (RFC 9937).
    @Test func spoofedDuplicatesBringNoFlood() {
        let t = openedForRecovery(sack: false)
        t.sendsFlight(10)
        t.owner.writes(500_000)
        t.app.expectsNothing()
        var sent = 0
        for _ in 0..<1_000 {
            t.app.sends(.ack, seq: 101, ack: 1)
            while t.nextPacket() != nil { sent += 1 }
        }
        #expect(sent <= 40, "\(sent)")
    }

    @Test func liesAboutSACKBringNoFlood() {
        let t = openedForRecovery()
        t.sendsFlight(10)
        t.owner.writes(500_000)
        t.app.expectsNothing()
        var sent = 0
        var end = 10
        for _ in 0..<200 {
            t.app.sacks((Trace.start(1), Trace.start(end)), ack: 1)
            var fresh = 0
            while let packet = t.nextPacket() {
                fresh += 1
                if packet.tcp!.sequence.rawValue &- t.natStart! >= UInt32(Trace.start(end)) { end += 1 }
            }
            sent += fresh
            #expect(fresh <= 40)
        }
        // The peer's own window is the end of it.
        #expect(t.nat.sendRecordCount <= 20 && sent <= 700, "\(sent), \(t.nat.sendRecordCount)")
    }
}

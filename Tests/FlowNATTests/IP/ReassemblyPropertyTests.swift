import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Whatever way a datagram is cut, shuffled and repeated, it comes out as it was; whatever else comes, memory stays within
/// its limits.
struct ReassemblyPropertyTests {
    @Test(arguments: Seeds.upTo(60))
    func anyWayOfCuttingGivesTheDatagram(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let t = DatagramTrace { $0.maximumFragments = 256 }
        var sent: [[UInt8]] = []
        var all: [[UInt8]] = []
        /// Datagrams of which every piece comes twice: they may well come out twice.
        var sentTwice = 0
        for index in 0..<Int.random(in: 1...6, using: &random) {
            var isTwice = true
            let isIPv4 = random.chance(0.5)
            let payload = random.bytes(.random(in: 100...20_000, using: &random))
            let packet = Built.udp(
                from: isIPv4 ? DatagramTrace.application : DatagramTrace.applicationV6,
                to: isIPv4 ? DatagramTrace.remote : DatagramTrace.remoteV6, payload)
            sent.append(payload)
            let total = payload.count + 8
            var at = 0
            while at < total {
                let size = max(8, .random(in: 8...(total < 1_000 ? 200 : 3_000), using: &random) & ~7)
                let end = min(at + size, total)
                let fragment = Built.fragment(of: packet, at..<end, hasMore: end < total, identification: UInt32(index))
                all.append(fragment)
                let isRepeated = random.chance(0.2)
                if isRepeated { all.insert(fragment, at: 0) }
                isTwice = isTwice && isRepeated
                at = end
            }
            if isTwice { sentTwice += 1 }
        }
        var got: [[UInt8]] = []
        all.shuffle(using: &random)
        for fragment in all { got += t.inject(fragment).map(\.payload) }
        #expect((sent.count...sent.count + sentTwice).contains(got.count), "seed \(seed)")
        #expect(Set(got) == Set(sent), "seed \(seed)")
        t.after(.seconds(30))
        #expect(t.nat.reassembly.count == 0 && t.nat.counters.overlappingFragments == 0, "seed \(seed)")
    }

    @Test func hostileOnesStayWithinTheLimits() {
        var all = FlowCounters()
        for seed in Seeds.upTo(20) {
            let c = hostileRun(seed: seed)
            all.reassembled += c.reassembled
            all.overlappingFragments += c.overlappingFragments
            all.excessFragments += c.excessFragments
            all.malformedFragments += c.malformedFragments
            all.tinyFragments += c.tinyFragments
            all.reassemblyEvicted += c.reassemblyEvicted
        }
        // Every way to be refused was gone.
        #expect(all.reassembled > 0 && all.overlappingFragments > 0 && all.excessFragments > 0)
        #expect(all.malformedFragments > 0 && all.tinyFragments > 0 && all.reassemblyEvicted > 0)
    }

    private func hostileRun(seed: UInt64) -> FlowCounters {
        var random = SeededRandom(seed: seed)
        let t = DatagramTrace {
            $0.maximumReassemblies = 8
            $0.maximumReassembliesPerSource = 4
            $0.maximumFragments = 2
        }
        let limit = 8 * PartialDatagram.memorySize(maximumFragments: 2)
        var isWithin = true
        for _ in 0..<4_000 {
            let isIPv4 = random.chance(0.5)
            let source = isIPv4 ? DatagramTrace.application : DatagramTrace.applicationV6
            let number = [IPProtocol.tcp, IPProtocol.udp, IPProtocol.icmp, 60].randomElement(using: &random)!
            var header = Array(
                Built.ip(
                    from: source.address, to: (isIPv4 ? DatagramTrace.remote : DatagramTrace.remoteV6).address, number,
                    [], trafficClass: .random(in: 0...3, using: &random)))
            header[isIPv4 ? 15 : 23] = .random(in: 1...2, using: &random)
            let length = [0, 1, 8, 8, 8, 16, 24, 1_400].randomElement(using: &random)!
            let offset = [0, 8, 16, 24, 32, 40, 1_400, 65_520, 65_528].randomElement(using: &random)!
            let packet = Built.fragment(
                header: header, random.bytes(length), at: offset, hasMore: random.chance(0.7),
                identification: .random(in: 0...1, using: &random))
            t.inject(packet)
            isWithin = isWithin && t.nat.reassembly.count <= 8 && t.nat.reassembly.memory <= limit
            if random.chance(0.02) { t.after(.seconds(Int64.random(in: 1...20, using: &random))) }
        }
        #expect(isWithin, "seed \(seed)")
        t.after(.seconds(30))
        #expect(t.nat.reassembly.count == 0, "seed \(seed)")
        return t.nat.counters
    }
}

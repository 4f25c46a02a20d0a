import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Packets that no kernel would send, against a NAT with flows in every state.
struct MalformedPacketTests {
    /// Flows in every state; the port names the state.
    private func crowd() -> (Trace, [[UInt8]]) {
        var settings = FlowSettings()
        settings.receiveWindow = 50_000
        let t = Trace(settings: settings, poolBytes: 4 << 20)
        var samples: [[UInt8]] = []
        for (index, state) in TCPState.allCases.enumerated() {
            t.source = Endpoint(index % 2 == 0 ? "10.0.0.2:\(40_000 + index)" : "[fd00::2]:\(40_000 + index)")!
            t.destination = Endpoint(index % 2 == 0 ? "192.0.2.1:443" : "[2001:db8::1]:443")!
            t.bring(to: state)
            let options = TCPOptions(maximumSegmentSize: 1_460, windowScale: 7, sackPermitted: true, timestamps: (1, 2))
            let start = t.natStart ?? 0
            samples.append(t.app.segment(.syn, sequence: 100, options: options))
            samples.append(
                t.app.segment([.ack, .psh], sequence: 101, acknowledgment: start &+ 1, payload: [1, 2, 3, 4, 5]))
            samples.append(t.app.segment([.ack, .fin], sequence: 103, acknowledgment: start &+ 2, payload: [6, 7]))
            samples.append(t.app.segment(.rst, sequence: 120, acknowledgment: start))
        }
        t.isPlain = false
        return (t, samples)
    }

    private func holdsInvariants(_ t: Trace, _ context: String) {
        while t.nextPacket() != nil {}
        _ = t.takeReports()
        #expect(t.nat.flowCount <= t.nat.settings.maximumFlows, "\(context)")
        #expect((0...t.nat.flowCount).contains(t.nat.halfOpenCount), "\(context)")
        #expect((0...t.nat.flowCount).contains(t.nat.activeFlowCount), "\(context)")
        #expect(t.nat.timerCount <= t.nat.flowCount, "\(context)")
        #expect((0...t.nat.settings.maximumHeldBytes).contains(t.nat.heldSegmentBytes), "\(context)")
    }

    @Test func everyTruncation() {
        let (t, samples) = crowd()
        for (index, sample) in samples.enumerated() {
            for count in 0..<sample.count {
                t.inject(Array(sample[..<count]))
                t.inject(Array(sample[..<count]), VirtioHeader(flags: VirtioHeader.dataValid))
            }
            holdsInvariants(t, "sample \(index)")
        }
        #expect(t.nat.counters.malformed > 1_000)
        #expect(t.nat.flowCount == TCPState.allCases.count)  // none did anything
    }

    @Test(arguments: 0..<10 as Range<UInt64>)
    func mutations(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var (t, samples) = crowd()
        for round in 0..<10_000 {
            if round % 2_000 == 1_999 { (t, samples) = crowd() }
            var packet = samples.randomElement(using: &random)!
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 0..<packet.count, using: &random)
                packet[at] = UInt8.random(in: 0...255, using: &random)
            }
            // Numbers near those that count are what a clever attacker would try.
            if random.chance(0.5) {
                let offset = packet[0] >> 4 == 6 && packet.count >= 60 ? 44 : 24
                let value = 90 &+ UInt32.random(in: 0..<60_000, using: &random)
                withUnsafeBytes(of: value.bigEndian) { for i in 0..<4 { packet[offset + i] = $0[i] } }
            }
            repairChecksum(&packet)
            t.appetite = random.chance(0.1) ? Int.random(in: 0..<10, using: &random) : .max
            t.inject(packet, VirtioHeader(flags: VirtioHeader.dataValid))
            if random.chance(0.01) { t.after(.milliseconds(Int64.random(in: 0..<400, using: &random))) }
            if round % 50 == 0 { holdsInvariants(t, "seed \(seed), round \(round)") }
        }
        t.nat.abortAll()
        t.after(t.nat.settings.reassemblyTimeout)  // some have become fragments
        while t.nextPacket() != nil {}
        _ = t.takeReports()
        t.isOver()
    }

    /// A wrong IPv4 header checksum would end most mutations too early.
    private func repairChecksum(_ packet: inout [UInt8]) {
        guard packet[0] >> 4 == 4, packet.count >= 20 else { return }
        let length = min(Int(packet[0] & 15) * 4, packet.count)
        guard length >= 20 else { return }
        packet.withUnsafeMutableBytes {
            PacketWriter.setIPv4HeaderChecksum(at: $0.baseAddress!, headerLength: length)
        }
    }
}

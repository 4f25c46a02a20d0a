import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// What is told about flows: snapshot, counters, gauges.
struct FlowReportTests {
    @Test func aSnapshotTellsHowAFlowStands() {
        let t = Trace()
        t.app.sends(.syn, seq: 100, mss: 1460, ws: 7)
        t.after(.milliseconds(40))
        t.owner.accepts()
        t.app.expects([.syn, .ack], seq: 0, ack: 101)
        t.after(.milliseconds(2))
        t.app.sends(.ack, seq: 101, ack: 1, len: 300)
        t.owner.writes(1_000)
        while t.nextPacket() != nil {}
        t.app.sends(.ack, seq: 401, ack: 601)
        t.nat.release(t.flow!, 100)
        t.after(.seconds(3))
        while t.nextPacket() != nil {}
        let all = t.nat.snapshot(now: t.now)
        #expect(all.count == 1)
        let flow = all[0]
        #expect(flow.id == t.flow && flow.state == .established)
        #expect(flow.addresses == FlowAddresses(source: t.source, destination: t.destination))
        #expect(flow.bytesIn == 300 && flow.bytesOut == 600 && flow.queued == 400 && flow.unreleased == 200)
        #expect(flow.age == .milliseconds(3_042) && flow.idle == .seconds(3))
        // 2 ms for the handshake, then nothing for the text: an eighth of the difference (RFC 6298, section 2.3).
        #expect(flow.smoothedRoundTrip == .microseconds(1_750))
        #expect(flow.retransmissions == 1)
        #expect(flow.congestionWindow > 0 && flow.peerWindow == 0xFFFF << 7)
    }

    @Test func oneLineForOneFlow() {
        let flow = FlowSnapshot(
            id: FlowID(slot: 7, generation: 1), state: .finWait1,
            addresses: FlowAddresses(
                source: Endpoint("[fd00::2]:40000")!, destination: Endpoint("[2001:db8::1]:443")!),
            bytesIn: 1_200, bytesOut: 1 << 40, age: .milliseconds(12_034), idle: .microseconds(250_900),
            smoothedRoundTrip: .microseconds(850), retransmissionTimeout: .milliseconds(200), congestionWindow: 14_480,
            peerWindow: 65_535, queued: 5, unreleased: 6, retransmissions: 7)
        #expect(
            flow.description
                == "tcp FIN-WAIT-1 src=fd00::2 dst=2001:db8::1 sport=40000 dport=443 in=1200 out=1099511627776 "
                + "age=12.034 idle=0.250 rtt=0.8 rto=200.0 cwnd=14480 wnd=65535 queue=5 held=6 retrans=7")
        var unknown = flow
        unknown.smoothedRoundTrip = nil
        #expect(unknown.description.contains(" rtt=- "))
    }

    /// Nothing of it wraps where sequence numbers do.
    @Test func bytesAreCountedBeyondTheSequenceNumbers() {
        let t = Trace(initialSequence: 0xFFFF_FF00)
        t.app.opens()
        t.owner.writes(1_000)
        t.app.expects(.ack, seq: 1, ack: 101, len: 1_000)
        t.app.sends(.ack, seq: 101, ack: 1_001)
        #expect(t.nat.snapshot(now: t.now)[0].bytesOut == 1_000)
        t.owner.finishes()
        while t.nextPacket() != nil {}
        t.app.sends(.ack, seq: 101, ack: 1_002)  // the FIN is no byte
        #expect(t.nat.snapshot(now: t.now)[0].bytesOut == 1_000)
    }

    @Test func everyStateHasItsName() {
        #expect(Set(TCPState.allCases.map(\.name)).count == TCPState.allCases.count)
        let t = Trace()
        for (number, state) in TCPState.allCases.enumerated() {
            t.source.port = UInt16(1 + number)
            t.bring(to: state)
        }
        #expect(t.nat.snapshot(now: t.now).map(\.state) == TCPState.allCases)
        var walked = 0
        t.nat.forEachFlow(now: t.now) { _ in walked += 1 }
        #expect(walked == TCPState.allCases.count)
    }

    // MARK: Numbers

    @Test func countersAreListedByName() {
        let t = opened()
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        let list = t.nat.counters.list
        #expect(list.first == FlowMetric(name: "packets_in", value: 3))
        #expect(list.contains(FlowMetric(name: "bytes_in", value: 100)))
        #expect(list.contains(FlowMetric(name: "source_half_open_full", value: 0)))
        #expect(Set(list.map(\.name)).count == list.count)
        let isPlain = list.allSatisfy { metric in
            metric.name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 95 }
        }
        #expect(isPlain, "\(list)")
        #expect(list.count == MemoryLayout<FlowCounters>.size / MemoryLayout<Int>.size)
    }

    @Test func gaugesTellHowFullItIs() {
        let t = Trace()
        for (number, state) in [TCPState.opening, .synReceived, .established, .timeWait].enumerated() {
            t.source = Endpoint("10.0.0.\(2 + number / 2):\(1 + number)")!
            t.bring(to: state)
        }
        let gauges = t.nat.gauges
        #expect(gauges.flows == 4 && gauges.halfOpen == 2 && gauges.active == 1 && gauges.timeWait == 1)
        #expect(gauges.sources == 2 && gauges.timers == 4 && gauges.poolBytes == 0 && gauges.tableBytes > 0)
        #expect(gauges.list.first == FlowMetric(name: "flows", value: 4))
        #expect(gauges.list.count == MemoryLayout<FlowGauges>.size / MemoryLayout<Int>.size)
    }

    /// Each packet that comes in ends in one way.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func everyPacketIsAccountedFor(seed: UInt64) {
        var settings = FlowSettings()
        settings.maximumFlows = 30
        settings.maximumHalfOpen = 16
        settings.maximumFlowsPerSource = 12
        let t = Trace(settings: settings, seed: seed)
        t.isPlain = false
        var random = SeededRandom(seed: seed)
        for _ in 0..<2_000 {
            t.source = Endpoint(
                "10.0.0.\(Int.random(in: 0...5, using: &random)):\(Int.random(in: 0...9, using: &random))")!
            let flags: TCPFlags = [.syn, .syn, .ack, .rst, [.fin, .ack]].randomElement(using: &random)!
            var packet = t.app.segment(
                flags, sequence: .random(in: 95...110, using: &random),
                acknowledgment: flags == .syn ? nil : .random(in: .min ... .max, using: &random),
                payload: Array(repeating: 1, count: .random(in: 0...20, using: &random)))
            if random.chance(0.2) { packet[.random(in: 0..<packet.count, using: &random)] ^= 0x11 }
            if random.chance(0.05) { packet.removeLast() }
            t.inject(packet)
            if random.chance(0.3), let flow = t.flow { t.nat.accept(flow) }
            if random.chance(0.05) { t.after(.milliseconds(.random(in: 1...3_000, using: &random))) }
            while t.nextPacket() != nil {}
        }
        let counters = t.nat.counters
        #expect(counters.packetsIn == 2_000)
        #expect(counters.outcomesOfPacketsIn.reduce(0, +) == 2_000, "seed \(seed): \(counters)")
    }
}

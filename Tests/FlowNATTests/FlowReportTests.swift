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

    @Test func anAssociationsSnapshot() throws {
        let t = DatagramTrace { $0.mtu = 1_500 }
        let id = try #require(t.sends([UInt8](repeating: 1, count: 100)))
        t.after(.seconds(2))
        t.sends([UInt8](repeating: 2, count: 50), to: Endpoint("192.0.2.77:53")!)
        t.sends([])
        // Three datagrams in one super-packet.
        let large = Built.udp(
            from: DatagramTrace.application, to: DatagramTrace.remote, [UInt8](repeating: 3, count: 250))
        let pieces = t.inject(
            large,
            header: VirtioHeader(
                flags: VirtioHeader.needsChecksum, gsoType: .udpL4, headerLength: 28, segmentSize: 100,
                checksumStart: 20, checksumOffset: 6))
        #expect(pieces.count == 3)
        // One that leaves in fragments, one that is plain, one that waits.
        for size in [4_000, 10] { #expect(t.delivers([UInt8](repeating: 4, count: size), to: id)) }
        #expect(t.arrivals().count == 2)
        #expect(t.delivers([UInt8](repeating: 5, count: 30), to: id))
        t.after(.milliseconds(250))
        let all = t.nat.associationSnapshot(now: t.now)
        #expect(
            all == [
                AssociationSnapshot(
                    id: id, source: DatagramTrace.application, datagramsIn: 6, bytesIn: 400, datagramsOut: 2,
                    bytesOut: 4_010, age: .milliseconds(2_250), idle: .milliseconds(250), queued: 1, queuedBytes: 30)
            ])
        #expect(
            all.first?.description == "udp src=10.0.0.2 sport=5000 in=400 out=4010 datagrams-in=6 datagrams-out=2 "
                + "age=2.250 idle=0.250 queue=30 queued=1")
        let other = try #require(t.sends(from: DatagramTrace.applicationV6, to: DatagramTrace.remoteV6))
        t.nat.closeAssociation(id)
        #expect(t.nat.associationSnapshot(now: t.now).map(\.id) == [other])
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

    @Test func gaugesOfWhatWaits() throws {
        let t = Trace()
        t.app.opens()
        #expect(t.nat.gauges.heldBytes == 0 && t.nat.gauges.poolHighWaterBytes == 0)
        t.app.sends(.ack, seq: 1_101, ack: 1, len: 500)
        #expect(t.nat.counters.outOfOrder == 1)
        #expect(t.nat.gauges.heldBytes == t.nat.heldSegmentBytes && t.nat.gauges.heldBytes >= 500)
        t.owner.writes(3 * BlockPool.capacity)
        let poolBytes = t.nat.gauges.poolBytes
        #expect(poolBytes >= 4 * BlockPool.blockSize && t.nat.gauges.poolHighWaterBytes == poolBytes)
        while t.nextPacket() != nil {}
        // A segment of no flow is answered by a RST of 40 bytes, which waits with its length.
        t.source.port = 9
        t.app.sends(.ack, seq: 5, ack: 5)
        #expect(t.nat.gauges.replyBytes == 42)
        t.app.expects(.rst, seq: 5)
        #expect(t.nat.gauges.replyBytes == 0)
        t.nat.abortAll()
        while t.nextPacket() != nil {}
        // What is over is not held; the most that ever was is remembered.
        let gauges = t.nat.gauges
        #expect(gauges.heldBytes == 0 && gauges.replyBytes == 0 && gauges.poolBytes == 0 && gauges.flows == 0)
        #expect(gauges.poolHighWaterBytes == poolBytes)
    }

    @Test func gaugesOfDatagrams() throws {
        let t = DatagramTrace()
        #expect(t.nat.gauges.associations == 0 && t.nat.gauges.reassemblyBytes == 0)
        let id = try #require(t.sends())
        t.sends(from: DatagramTrace.applicationV6, to: DatagramTrace.remoteV6)
        #expect(t.nat.gauges.associations == 2 && t.nat.gauges.datagramBytes == 0)
        #expect(t.delivers([UInt8](repeating: 1, count: 700), to: id))
        #expect(t.nat.gauges.datagramBytes >= 700 && t.nat.gauges.datagramBytes <= t.nat.settings.maximumDatagramMemory)
        let large = Built.udp(
            from: DatagramTrace.application, to: DatagramTrace.remote, [UInt8](repeating: 2, count: 4_000))
        let pieces = Built.fragments(of: large, size: 1_400)
        t.inject(pieces[0])
        #expect(t.nat.gauges.reassemblies == 1)
        #expect(t.nat.gauges.reassemblyBytes == PartialDatagram.memorySize(maximumFragments: 128))
        t.inject(pieces[1], pieces[2])
        // The place is kept for the next.
        #expect(t.nat.gauges.reassemblies == 0 && t.nat.gauges.reassemblyBytes > 0)
        #expect(t.arrivals().count == 1)
        _ = t.nextPacket()
        t.nat.closeAssociation(id)
        #expect(t.nat.gauges.associations == 1 && t.nat.gauges.datagramBytes == 0)
    }
}

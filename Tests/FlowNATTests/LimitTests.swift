import Packets
import Primitives
import Testing

@testable import FlowNAT

/// Every table and queue at its limit.
struct LimitTests {
    private func trace(poolBytes: Int = 64 << 20, _ change: (inout FlowSettings) -> Void = { _ in }) -> Trace {
        var settings = FlowSettings()
        change(&settings)
        return Trace(settings: settings, poolBytes: poolBytes)
    }

    private func connect(_ t: Trace, port: UInt16) -> [Trace.Report] {
        t.source.port = port
        t.flow = nil
        t.app.sends(.syn, seq: 100, mss: 1460, ws: 7)
        return t.takeReports()
    }

    @Test func flows() {
        let t = trace { $0.maximumFlows = 100 }
        for port in 1...100 as ClosedRange<UInt16> { #expect(connect(t, port: port) == [.connect]) }
        #expect(connect(t, port: 101) == [])
        #expect(t.nat.counters.tableFull == 1 && t.nat.flowCount == 100)
        t.app.expectsNothing()
        t.nat.abortAll()
        #expect(connect(t, port: 101) == [.connect])
    }

    @Test func halfOpen() {
        let t = trace {
            $0.maximumHalfOpen = 13
            $0.maximumHalfOpenPerSource = 13
        }
        // The host has no established flow, so a quarter is not for it.
        for port in 1...10 as ClosedRange<UInt16> { #expect(connect(t, port: port) == [.connect]) }
        #expect(connect(t, port: 11) == [])
        #expect(t.nat.counters.halfOpenFull == 1 && t.nat.halfOpenCount == 10)
        #expect(t.pool.outstanding == 0)  // a flood costs no buffers
    }

    @Test func halfOpenIsCountedDownOnEveryWayOut() {
        let t = trace()
        for (port, end) in [
            (1, { t.owner.rejects(.silence) }), (2, { t.owner.rejects(.refused) }), (3, { t.owner.aborts() }),
            (4, { t.app.sends(.rst, seq: 101) }),
            (
                5,
                {
                    t.owner.accepts()
                    while t.nextPacket() != nil {}
                    for _ in 0..<6 {
                        t.untilTimer()
                        while t.nextPacket() != nil {}
                    }
                }
            ),
            (
                6,
                {
                    t.natStart = nil
                    t.owner.accepts()
                    t.app.expects([.syn, .ack], seq: 0, ack: 101)
                    t.app.sends(.ack, seq: 101, ack: 1)
                    #expect(t.nat.halfOpenCount == 0)
                    t.owner.aborts()
                }
            ),
        ] as [(UInt16, () -> Void)] {
            #expect(connect(t, port: port) == [.connect])
            #expect(t.nat.halfOpenCount == 1)
            while t.nextPacket() != nil {}
            end()
            while t.nextPacket() != nil {}
            #expect(t.nat.halfOpenCount == 0 && t.nat.flowCount == 0, "way \(port)")
            _ = t.takeReports()
        }
        t.isOver()
    }

    @Test func replies() {
        let t = trace { $0.maximumReplyBytes = 1_000 }
        for _ in 0..<100 { t.app.sends(.ack, seq: 1, ack: 1) }
        var answers = 0
        while t.nextPacket() != nil { answers += 1 }
        #expect(answers == 1_000 / 42)
        #expect(t.nat.counters.replyQueueFull == 100 - answers)
        t.isOver()
    }

    @Test func heldSegments() {
        let t = trace { $0.maximumHeldSegments = 8 }
        t.app.opens()
        for i in 0..<10 { t.app.sends(.ack, seq: 201 + UInt32(i) * 100, ack: 1, len: 50) }
        #expect(t.nat.counters.heldQueueFull == 2)
        #expect((1...BlockPool.blockSize + 1_000).contains(t.nat.heldSegmentBytes))
        while t.nextPacket() != nil {}
        t.owner.aborts()
        while t.nextPacket() != nil {}
        t.isOver()
    }

    @Test func heldBytesOfOneFlow() {
        let t = trace { $0.maximumHeldBytesPerFlow = 10_000 }
        t.app.opens()
        for i in 0..<30 as Range<UInt32> { t.app.sends(.ack, seq: 201 + i * 1_000, ack: 1, len: 1_000) }
        // Four chunks; the segment in which they end is kept in part.
        #expect(t.nat.counters.heldQueueFull == 30 - 4 * ChunkStore.capacity / 1_000)
        t.app.sends(.ack, seq: 101, ack: 1, len: 100)
        t.deliveredInOrder(100 + 4 * ChunkStore.capacity)
        #expect(t.nat.heldSegmentBytes == 0)
    }

    @Test func heldBytesOfAllFlows() {
        let t = trace { $0.maximumHeldBytes = 2 * BlockPool.blockSize + 500 }
        for port in 1...3 as ClosedRange<UInt16> {
            _ = connect(t, port: port)
            t.natStart = nil
            t.owner.accepts()
            t.app.expects([.syn, .ack], seq: 0, ack: 101)
            // Sixteen chunks are there for all three.
            for i in 0..<20 as Range<UInt32> { t.app.sends(.ack, seq: 201 + i * 1_000, ack: 1, len: 1_000) }
            #expect(t.nat.heldSegmentBytes <= t.nat.settings.maximumHeldBytes)
            while t.nextPacket() != nil {}
        }
        #expect(t.pool.outstanding == 2)
        #expect(t.nat.counters.heldQueueFull == 3 * 20 - 16 * ChunkStore.capacity / 1_000)
        t.nat.abortAll()
        while t.nextPacket() != nil {}
        _ = t.takeReports()
        t.isOver()
    }

    @Test func anExhaustedPoolStopsTheWriterAndNothingElse() {
        let t = trace(poolBytes: 4 * BlockPool.blockSize)
        t.app.opens()
        let taken = t.owner.writes(100_000)
        #expect(taken == 4 * BlockPool.capacity)
        #expect(t.owner.writes(1) == 0)
        // Answers of no flow have memory of their own: what is refused is still refused, and not met with silence.
        let source = t.source
        t.source.port = 1
        t.app.sends(.ack, seq: 1, ack: 1)
        #expect(t.nat.counters.replyQueueFull == 0 && t.nat.counters.noFlow == 1)
        #expect(t.nextPacket()?.tcp?.flags == .rst)
        t.source = source
        // The flow itself goes on, and memory comes back.
        t.app.sends(.ack, seq: 101, ack: 1, len: 10)
        t.deliveredInOrder(10)
        var acknowledged = 1
        while let packet = t.nextPacket() {
            acknowledged += packet.payload.count
            t.app.sends(.ack, seq: 111, ack: acknowledged)
        }
        #expect(acknowledged == taken + 1 && t.pool.outstanding == 0)
    }

    @Test func aPacketHasSoManyRegions() {
        let t = trace()
        t.app.opens()
        // One byte at the end of each block: every block is a region.
        for _ in 0..<20 {
            _ = t.nat.withSendQueue(t.flow!) { queue in
                let room = queue.space(minimum: BlockPool.capacity)!
                for i in 0..<100 { room[i] = Trace.pattern(t.written + i) }
                queue.stage(100)
                queue.commit()
            }
            t.written += 100
        }
        var sent = 1
        while sent < 2_001 {
            guard let packet = t.nextPacket() else { break }
            #expect(t.buffer.regionCount <= PacketBuffer.maximumRegions)
            let isPattern = packet.payload.indices.allSatisfy { packet.payload[$0] == Trace.pattern(sent - 1 + $0) }
            #expect(isPattern)
            sent += packet.payload.count
        }
        #expect(sent == 2_001)
    }

    @Test func timersOfOneFlowAreOneEntry() {
        // A long timer (persist) and many short ones (delayed ACKs): the heap does not grow.
        let t = trace { $0.receiveWindow = 1 << 24 }
        t.app.opens(win: 0)
        t.owner.writes(10)
        t.app.expectsNothing()
        var sent: UInt32 = 101
        for _ in 0..<1_000 {
            t.app.sends(.ack, seq: sent, ack: 1, len: 10, win: 0)
            sent += 10
            t.untilTimer()
            while t.nextPacket() != nil {}
            #expect(t.nat.timerCount <= t.nat.flowCount)
        }
    }

    @Test func unreachablesAreFew() {
        let t = trace { $0.unreachablesPerSecond = 5 }
        for _ in 0..<20 { t.inject(udpPacket()) }
        var answers = 0
        while t.nextPacket() != nil { answers += 1 }
        #expect(answers == 5 && t.nat.counters.unsupportedProtocol == 20 && t.nat.counters.unreachablesSkipped == 15)
    }

    // MARK: What is not carried

    private func udpPacket() -> [UInt8] {
        var packet = [UInt8](repeating: 0, count: 36)
        packet.withUnsafeMutableBytes { bytes in
            let memory = bytes.baseAddress!
            PacketWriter.writeIPHeader(
                to: memory, source: .v4(IPv4Address(0x0A00_0002)), destination: .v4(IPv4Address(0xC000_0201)),
                protocol: IPProtocol.udp, payloadLength: 16)
        }
        return packet
    }

    @Test func otherProtocolsAreRefusedInWords() {
        let t = trace()
        t.inject(udpPacket())
        let packet = t.nextPacket()
        #expect(packet?.icmp?.type == 3 && packet?.icmp?.code == 13)
        #expect(packet.map { Array($0.payload) } == udpPacket())
        t.isOver()
    }

    @Test func aWrongChecksumIsDroppedUnlessTheHeaderVouches() {
        let t = trace()
        var packet = t.app.segment(.syn, sequence: 100)
        packet[36] ^= 1
        t.inject(packet)
        t.reports()
        #expect(t.nat.counters.badChecksum == 1)
        t.inject(packet, VirtioHeader(flags: VirtioHeader.dataValid))
        t.reports(.connect)
    }
}

import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

/// Who gets a place among the flows, and who loses one.
struct TableTests {
    private func trace(_ change: (inout FlowSettings) -> Void = { _ in }) -> Trace {
        var settings = FlowSettings()
        change(&settings)
        let t = Trace(settings: settings)
        t.isPlain = false
        return t
    }

    /// A SYN from there; the flow that it makes.
    @discardableResult
    private func knock(_ t: Trace, _ source: String) -> FlowID? {
        t.source = Endpoint(source)!
        t.flow = nil
        t.natStart = nil
        t.app.sends(.syn, seq: 100, mss: 1460, ws: 7)
        _ = t.takeReports()
        return t.flow
    }

    /// A whole handshake from there.
    @discardableResult
    private func establish(_ t: Trace, _ source: String) -> FlowID? {
        t.source = Endpoint(source)!
        t.flow = nil
        t.natStart = nil
        t.app.opens()
        return t.flow
    }

    // MARK: One host

    @Test func flowsOfOneHost() {
        let t = trace { $0.maximumFlowsPerSource = 3 }
        let first = establish(t, "10.0.0.2:1")
        for port in 2...3 { establish(t, "10.0.0.2:\(port)") }
        #expect(knock(t, "10.0.0.2:4") == nil && t.nat.counters.sourceFull == 1)
        t.app.expectsNothing()
        #expect(knock(t, "10.0.0.3:4") != nil)
        // The end of one flow makes room for another.
        t.nat.abort(first!)
        #expect(knock(t, "10.0.0.2:4") != nil)
        #expect(knock(t, "10.0.0.2:5") == nil && t.nat.counters.sourceFull == 2)
    }

    @Test func flowsInTIMEWAITDoNotCountForTheirHost() {
        let t = trace { $0.maximumFlowsPerSource = 1 }
        t.bring(to: .timeWait)
        #expect(t.nat.gauges.sources == 0 && t.nat.gauges.timeWait == 1)
        #expect(knock(t, "10.0.0.2:1") != nil)
        #expect(knock(t, "10.0.0.2:2") == nil)
        t.nat.abortAll()
        #expect(t.nat.gauges.sources == 0 && t.nat.gauges.timeWait == 0)
    }

    @Test func halfOpenFlowsOfOneHost() {
        let t = trace { $0.maximumHalfOpen = 20 }
        for port in 1...10 { #expect(knock(t, "10.0.0.2:\(port)") != nil) }
        #expect(knock(t, "10.0.0.2:11") == nil && t.nat.counters.sourceHalfOpenFull == 1)
        // Others still come in.
        let other = establish(t, "10.0.0.3:1")
        #expect(other != nil && t.nat.counters.halfOpenFull == 0)
    }

    /// The handshake's end counts for the host as it does in all.
    @Test func anEstablishedFlowIsNotHalfOpen() {
        let t = trace { $0.maximumHalfOpenPerSource = 1 }
        for port in 1...5 { #expect(establish(t, "10.0.0.2:\(port)") != nil) }
        let usage = t.nat.sources.usage(of: t.source.address)
        #expect(usage == SourceTable.Usage(flows: 5, halfOpen: 0) && usage.isProven)
    }

    // MARK: Half-open in all

    @Test func theOldestHalfOpenFlowMakesRoomOnceItHasHadItsTime() {
        let t = trace { $0.maximumHalfOpen = 4 }
        let first = knock(t, "10.0.0.1:1")!
        t.after(.seconds(1))
        for host in 2...3 { knock(t, "10.0.0.\(host):1") }
        #expect(knock(t, "10.0.0.9:1") == nil && t.nat.counters.halfOpenFull == 1)
        t.after(.milliseconds(1_999))
        #expect(knock(t, "10.0.0.9:1") == nil)
        t.after(.milliseconds(1))
        t.source = Endpoint("10.0.0.9:1")!
        t.app.sends(.syn, seq: 100)
        // The owner hears of both, in order; the application that lost its place hears nothing.
        t.reports(.reset, .connect)
        t.app.expectsNothing()
        #expect(t.nat.state(of: first) == nil && t.nat.counters.halfOpenRecycled == 1 && t.nat.halfOpenCount == 3)
        // Its next SYN finds the others still young.
        #expect(knock(t, "10.0.0.1:1") == nil)
    }

    @Test func aQuarterIsForHostsThatHaveShownTheirAddress() {
        let t = trace { $0.maximumHalfOpen = 8 }
        establish(t, "10.0.0.2:1")
        for host in 10..<16 { #expect(knock(t, "10.0.0.\(host):1") != nil) }
        #expect(knock(t, "10.0.0.16:1") == nil && t.nat.counters.halfOpenFull == 1)
        #expect(knock(t, "10.0.0.2:2") != nil && knock(t, "10.0.0.2:3") != nil)
        #expect(knock(t, "10.0.0.2:4") == nil && t.nat.counters.halfOpenFull == 2)
    }

    // MARK: Floods

    /// SYNs with sources that are made up, one every ten microseconds. They are built in place: the flood is long.
    private func flood(_ t: Trace, count: Int, source: (inout SeededRandom) -> IPv4Address, each: (Int) -> Void) {
        var random = SeededRandom(seed: 77)
        var packet = t.app.segment(.syn, sequence: 1)
        for number in 0..<count {
            t.now = t.now + .microseconds(10)
            packet.withUnsafeMutableBytes { bytes in
                let memory = bytes.baseAddress!
                memory.storeBigEndian(source(&random).value, at: 12)
                memory.storeBigEndian(UInt16.random(in: 1...UInt16.max, using: &random), at: 20)
                PacketWriter.setIPv4HeaderChecksum(at: memory, headerLength: 20)
                t.nat.handle(
                    UnsafeRawBufferPointer(bytes), offload: VirtioHeader(flags: VirtioHeader.dataValid), now: t.now
                ) { _, bytes in bytes.count }
            }
            while t.nat.nextEvent() != nil {}
            if number % 1_000 == 0 { each(number) }
        }
    }

    /// A million SYNs from anywhere: memory is flat, a flow that is there works, and its host opens others.
    @Test func aFloodFromMadeUpAddresses() {
        let t = trace()
        establish(t, "10.0.0.2:1")
        let (source, flow, start) = (t.source, t.flow!, t.natStart)
        var sent: UInt32 = 101
        var tableBytes: Set<Int> = []
        var opened = 0
        flood(t, count: 1_000_000, source: { IPv4Address(.random(in: 0x0B00_0000...0x7E00_0000, using: &$0)) }) {
            number in
            t.nat.handleTimeout(now: t.now)
            (t.source, t.flow, t.natStart) = (source, flow, start)
            t.app.sends(.ack, seq: sent, ack: 1, len: 10)
            sent += 10
            while t.nextPacket() != nil {}
            if number >= 100_000 { tableBytes.insert(t.nat.gauges.tableBytes) }
            if number % 100_000 == 0, establish(t, "10.0.0.2:\(2 + number / 100_000)") != nil { opened += 1 }
        }
        #expect(t.delivered.count == 10_000 && opened == 10)
        #expect(t.pool.outstanding == 0 && tableBytes.count == 1, "\(tableBytes)")
        #expect(t.nat.halfOpenCount <= t.nat.settings.maximumHalfOpen)
        #expect(t.nat.counters.halfOpenRecycled > 0 && t.nat.counters.halfOpenFull > 0)
        #expect(t.nat.gauges.sources <= t.nat.settings.maximumHalfOpen + 1)
    }

    @Test func aFloodFromOneHostKeepsNobodyElseOut() {
        let t = trace()
        var opened = 0
        flood(t, count: 50_000, source: { _ in IPv4Address(0x0A00_0063) }) { number in
            if establish(t, "10.0.\(number / 1_000).7:5") != nil { opened += 1 }
        }
        #expect(opened == 50)
        #expect(t.nat.counters.sourceHalfOpenFull > 0 && t.nat.counters.halfOpenFull == 0)
        #expect(t.nat.halfOpenCount == t.nat.settings.maximumHalfOpen / 2)
    }

    // MARK: A full table

    @Test func theFlowThatWasSilentLongestIsCut() {
        let t = trace { $0.maximumFlows = 3 }
        let first = establish(t, "10.0.0.2:1")!
        let start = t.natStart
        t.after(.seconds(5))
        let second = establish(t, "10.0.0.2:2")!
        let secondStart = t.natStart
        t.after(.seconds(5))
        establish(t, "10.0.0.2:3")
        t.after(.seconds(51))
        // The first speaks, so that the second is now the one that was silent longest.
        (t.source, t.flow, t.natStart) = (Endpoint("10.0.0.2:1")!, first, start)
        t.app.sends(.ack, seq: 101, ack: 1, len: 10)
        t.nat.release(first, 10)
        t.after(.seconds(4))
        while t.nextPacket() != nil {}
        _ = t.takeReports()
        // 60 s since the second was heard.
        t.source = Endpoint("10.0.0.2:9")!
        t.app.sends(.syn, seq: 100)
        t.reports(.reset, .connect)
        #expect(t.nat.state(of: second) == nil && t.nat.state(of: first) == .established)
        #expect(t.nat.counters.evicted == 1 && t.nat.counters.tableFull == 0)
        t.source = Endpoint("10.0.0.2:2")!
        t.natStart = secondStart
        t.app.expects([.rst, .ack], seq: 1, ack: 101)
        t.app.expectsNothing()
    }

    @Test func aFlowThatIsInUseIsNeverCut() {
        let t = trace { $0.maximumFlows = 4 }
        // Silent for long, but: bytes wait for the application,
        let unread = establish(t, "10.0.0.2:1")!
        t.app.sends(.ack, seq: 101, ack: 1, win: 0)
        t.written = 0
        t.owner.writes(10)
        // a byte was not passed on,
        establish(t, "10.0.0.2:2")
        t.app.sends(.ack, seq: 101, ack: 1, len: 1)
        // a segment waits for its predecessor,
        establish(t, "10.0.0.2:3")
        t.app.sends(.ack, seq: 111, ack: 1, len: 1)
        while t.nextPacket() != nil {}
        t.now = t.now + .seconds(59)
        // or it is not silent for long enough.
        let young = establish(t, "10.0.0.2:4")!
        t.now = t.now + .seconds(59)
        #expect(knock(t, "10.0.0.2:5") == nil && t.nat.counters.tableFull == 1 && t.nat.flowCount == 4)
        t.now = t.now + .seconds(1)
        #expect(knock(t, "10.0.0.2:5") != nil && t.nat.state(of: young) == nil)
        #expect(t.nat.state(of: unread) == .established)
    }

    /// The search for an idle flow is short: behind sixteen silent ones that are busy it ends.
    @Test(arguments: [(15, true), (16, false), (17, false)])
    func theSearchForAnIdleFlowHasAnEnd(_ busy: Int, _ isCut: Bool) {
        let t = trace { $0.maximumFlows = busy + 1 }
        for port in 1...busy {
            let flow = establish(t, "10.0.0.2:\(port)")!
            t.app.sends(.ack, seq: 101, ack: 1, len: 1)  // a byte that is not passed on
            #expect(t.nat.state(of: flow) == .established)
        }
        let idle = establish(t, "10.0.0.3:1")!
        while t.nextPacket() != nil {}
        t.after(.seconds(61))
        while t.nextPacket() != nil {}
        #expect((knock(t, "10.0.0.4:1") != nil) == isCut)
        #expect(t.nat.counters.evicted == (isCut ? 1 : 0) && t.nat.counters.tableFull == (isCut ? 0 : 1))
        #expect((t.nat.state(of: idle) == nil) == isCut)
    }

    @Test func halfClosedFlowsAreCutLikeOthers() {
        for state in [TCPState.closeWait, .finWait2] {
            let t = trace { $0.maximumFlows = 1 }
            t.bring(to: state)
            t.after(.seconds(60))
            while t.nextPacket() != nil {}
            #expect(knock(t, "10.0.0.2:5") != nil && t.nat.counters.evicted == 1)
        }
    }

    @Test func placesInTIMEWAITGoBeforeIdleFlows() {
        let t = trace {
            $0.maximumFlows = 2
            $0.timeWait = .seconds(1_000)
        }
        let idle = establish(t, "10.0.0.2:1")!
        t.after(.seconds(100))
        t.source.port = 2
        t.bring(to: .timeWait)
        #expect(knock(t, "10.0.0.2:5") != nil && t.nat.counters.timeWaitRecycled == 1 && t.nat.counters.evicted == 0)
        #expect(knock(t, "10.0.0.2:6") != nil && t.nat.counters.evicted == 1 && t.nat.state(of: idle) == nil)
    }

    /// The list moves once a tick of the coarse clock, whatever a flow does in between.
    @Test func theOrderFollowsTheCoarseClock() {
        let t = trace { $0.maximumFlows = 2 }
        let tick = Interval(nanoseconds: 1 << Int64(FlowLife.tickBits))
        t.now = Instant(nanoseconds: 1_000 << FlowLife.tickBits)
        let first = establish(t, "10.0.0.2:1")!
        let start = t.natStart
        let second = establish(t, "10.0.0.2:2")!
        (t.source, t.flow, t.natStart) = (Endpoint("10.0.0.2:1")!, first, start)
        t.app.sends(.ack, seq: 101, ack: 1)
        #expect(t.nat.lists.first(of: .active) == first.slot)  // in the same tick
        t.now = t.now + tick
        t.app.sends(.ack, seq: 101, ack: 1)
        #expect(t.nat.lists.first(of: .active) == second.slot)
    }
}

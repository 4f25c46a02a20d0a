import Packets
import Primitives
import Testing

@testable import FlowNAT

/// ICMP errors from the application's side: what they may do, and what they must not.
struct ICMPErrorTests {
    private let router = IPAddress("10.0.0.254")!

    private func trace(isIPv4: Bool = true) -> Trace {
        let t = Trace()
        if !isIPv4 {
            t.source = DatagramTrace.applicationV6
            t.destination = DatagramTrace.remoteV6
        }
        return t
    }

    /// An error about a packet that FlowNAT sent.
    private func error(_ type: UInt8, _ code: UInt8, rest: UInt32 = 0, about packet: [UInt8]) -> [UInt8] {
        guard let ip = try? IPHeader.parseQuoted(packet.span.bytes) else { return [] }
        let from = ip.isIPv4 ? router : IPAddress("fd00::fe")!
        return Built.icmp(
            type: type, code: code, rest: rest, quoting: Array(packet.prefix(ip.isIPv4 ? 28 : 600)), from: from,
            to: ip.source)
    }

    // MARK: Path MTU (RFC 1191, RFC 8201)

    @Test(arguments: [true, false])
    func aSmallerPathMakesSmallerSegments(isIPv4: Bool) throws {
        let t = trace(isIPv4: isIPv4)
        t.app.opens(ws: nil)
        t.owner.writes(10_000)
        let size = isIPv4 ? 1_460 : 1_440
        let sent = try #require(t.app.expects(.ack, seq: 1, len: 10_000, gso: size))
        t.inject(
            error(isIPv4 ? 3 : 2, isIPv4 ? 4 : 0, rest: 1_300, about: sent.bytes))
        // At once, without waiting for a timer, and the same bytes again.
        t.app.expects(.ack, seq: 1, len: 10_000, gso: isIPv4 ? 1_260 : 1_240)
        #expect(t.nat.counters.pathMTULowered == 1 && t.nat.counters.timeouts == 0)
        // Once is enough: the same error again changes nothing.
        t.inject(error(isIPv4 ? 3 : 2, isIPv4 ? 4 : 0, rest: 1_300, about: sent.bytes))
        t.app.expectsNothing()
        #expect(t.nat.counters.pathMTULowered == 1 && t.nat.counters.icmpErrorsIgnored == 1)
        t.app.sends(.ack, seq: 101, ack: 10_001)
        t.reports(.drained(10_000))
    }

    /// What goes out again for its size alone was no congestion; a timeout of that is one, and begins with one segment of the
    /// new size.
    @Test func aTimeoutOnASmallerPathReducesTheWindow() throws {
        let t = opened()
        t.owner.writes(14_600)
        let sent = try #require(t.app.expects(.ack, seq: 1, len: 14_600))
        t.inject(error(3, 4, rest: 600, about: sent.bytes))
        t.app.expects(.ack, seq: 1, len: 14_600, gso: 560)
        t.app.expectsNothing()
        t.untilTimer()
        t.app.expects(.ack, seq: 1, len: 560)
        t.app.sends(.ack, seq: 101, ack: 14_601)
        let congestion = t.nat.flows.find(t.flow!)!.pointee.congestion
        #expect(congestion.threshold == 14_600 * 7 / 10)
    }

    /// Without offload each segment is a packet, and all of them fit.
    @Test func onlyWhatIsOutstandingGoesOutAgain() throws {
        let t = opened { $0.offload = false }
        t.owner.writes(6_000)
        var sent: [SentPacket] = []
        while let packet = t.nextPacket() { sent.append(packet) }
        t.app.sends(.ack, seq: 101, ack: 2_921)
        _ = t.takeReports()
        t.inject(error(3, 4, rest: 1_000, about: sent[2].bytes))
        for index in 0..<3 { t.app.expects(.ack, seq: 2_921 + index * 960, len: 960) }
        t.app.expects(.ack, seq: 5_801, len: 200)
        t.app.expectsNothing()
    }

    /// Who cannot see our packets must guess what is outstanding (RFC 5927, section 4.1).
    @Test func numbersThatAreNotOutstandingAreIgnored() throws {
        let t = opened()
        t.owner.writes(3_000)
        let sent = try #require(t.app.expects(.ack, seq: 1, len: 3_000))
        t.app.sends(.ack, seq: 101, ack: 1_001)
        _ = t.takeReports()
        t.inject(error(3, 4, rest: 600, about: sent.bytes))  // acknowledged since
        var later = sent.bytes
        for (index, byte) in withUnsafeBytes(of: (t.natStart! &+ 3_001).bigEndian, Array.init).enumerated() {
            later[24 + index] = byte
        }
        t.inject(error(3, 4, rest: 600, about: later))  // not sent yet
        t.app.expectsNothing()
        #expect(t.nat.counters.icmpErrorsUnmatched == 2 && t.nat.counters.pathMTULowered == 0)
    }

    @Test func theFloor() throws {
        let t = opened()
        t.owner.writes(2_000)
        let sent = try #require(t.app.expects(.ack, seq: 1, len: 2_000))
        t.inject(error(3, 4, rest: 68, about: sent.bytes))
        t.app.expects(.ack, seq: 1, len: 2_000, gso: 552 - 40)

        let v6 = trace(isIPv4: false)
        v6.app.opens()
        v6.owner.writes(2_000)
        let packet = try #require(v6.app.expects(.ack, seq: 1, len: 2_000))
        v6.inject(error(2, 0, rest: 1_279, about: packet.bytes))
        v6.inject(error(2, 0, rest: 9_000, about: packet.bytes))
        v6.app.expectsNothing()
        v6.inject(error(2, 0, rest: 1_280, about: packet.bytes))
        v6.app.expects(.ack, seq: 1, len: 2_000, gso: 1_220)
        #expect(v6.nat.counters.icmpErrorsIgnored == 2)
    }

    /// RFC 1191, section 5: routers that do not say their MTU.
    @Test func theNextPlateau() throws {
        let t = opened { $0.offload = false }
        t.owner.writes(1_460)
        let sent = try #require(t.app.expects(.ack, seq: 1, len: 1_460))
        t.inject(error(3, 4, rest: 0, about: sent.bytes))
        t.app.expects(.ack, seq: 1, len: 1_452)
        t.app.expects(.ack, seq: 1_453, len: 8)
    }

    /// A segment size below the floor was the peer's own wish; an error cannot raise it.
    @Test func anErrorNeverRaisesTheSize() throws {
        let t = Trace()
        t.app.opens(mss: 300)
        t.owner.writes(1_000)
        let sent = try #require(t.app.expects(.ack, seq: 1, len: 1_000, gso: 300))
        t.inject(error(3, 4, rest: 400, about: sent.bytes))
        t.app.expectsNothing()
        #expect(t.nat.counters.icmpErrorsIgnored == 1)
    }

    // MARK: Unreachable (RFC 5461)

    @Test(arguments: [0, 1, 2, 3, 9, 13] as [UInt8])
    func anEstablishedFlowSurvives(code: UInt8) throws {
        let t = opened()
        t.owner.writes(100)
        let sent = try #require(t.app.expects(.ack, seq: 1, len: 100))
        t.inject(error(3, code, about: sent.bytes))
        t.app.expectsNothing()
        #expect(t.takeReports() == [] && t.state == .established && t.nat.counters.icmpUnreachables == 1)
        let error = t.flow.flatMap { t.nat.softError(of: $0) }
        #expect(error?.type == 3 && error?.code == code)
        t.app.sends(.ack, seq: 101, ack: 101)
        t.reports(.drained(100))
    }

    @Test(arguments: [
        (true, 3, 3, true), (true, 3, 2, true), (true, 3, 1, false), (false, 1, 4, true), (false, 1, 0, false),
    ])
    func whatIsNotEstablishedEndsByAHardError(isIPv4: Bool, type: UInt8, code: UInt8, ends: Bool) throws {
        let t = trace(isIPv4: isIPv4)
        t.app.sends(.syn, seq: 100, mss: 1_460)
        t.owner.accepts()
        let synAck = try #require(t.app.expects([.syn, .ack], seq: 0, ack: 101))
        t.reports(.connect)
        t.inject(error(type, code, about: synAck.bytes))
        if ends {
            t.reports(.reset)
            t.isOver()
        } else {
            t.reports()
            #expect(t.state == .synReceived)
        }
    }

    @Test func errorsThatMeanNothingHere() throws {
        let t = opened()
        t.owner.writes(100)
        let sent = try #require(t.app.expects(.ack, seq: 1, len: 100))
        t.inject(error(4, 0, about: sent.bytes))  // source quench: RFC 6633
        t.inject(error(5, 0, about: sent.bytes))  // redirect
        #expect(t.nat.counters.icmpErrorsIgnored == 2 && t.flow.flatMap { t.nat.softError(of: $0) } == nil)
        t.inject(error(11, 0, about: sent.bytes))  // time exceeded
        #expect(t.flow.flatMap { t.nat.softError(of: $0) }?.type == 11)
        t.app.expectsNothing()
        #expect(t.takeReports() == [])
    }

    // MARK: Malformed, and no answers to errors

    /// RFC 1122, section 3.2.2: whatever comes of them, errors are not answered by errors.
    @Test func errorsAreNeverAnswered() throws {
        let t = opened()
        t.owner.writes(100)
        let sent = try #require(t.app.expects(.ack, seq: 1, len: 100))
        let good = error(3, 1, about: sent.bytes)
        for count in 20..<good.count {
            var cut = Array(good[..<count])
            cut[2] = UInt8(count >> 8)
            cut[3] = UInt8(count & 255)
            cut.withUnsafeMutableBytes { PacketWriter.setIPv4HeaderChecksum(at: $0.baseAddress!, headerLength: 20) }
            t.inject(cut, VirtioHeader(flags: VirtioHeader.dataValid))
        }
        t.app.expectsNothing()
        #expect(t.nat.counters.icmpUnreachables == 0 && t.nat.counters.malformed == 8)
        var damaged = good
        damaged[40] ^= 1
        t.inject(damaged)
        #expect(t.nat.counters.badChecksum == 1 && t.nat.counters.icmpUnreachables == 0)
        // About a stranger's packet, about a later fragment, about another protocol.
        t.inject(error(3, 1, about: Built.udp(from: t.destination, to: t.source, [1])))
        let fragment = Built.fragment(of: sent.bytes, 24..<48, hasMore: true, identification: 1)
        t.inject(error(3, 1, about: fragment))
        t.inject(
            error(
                3, 1,
                about: Built.ip(
                    from: t.destination.address, to: t.source.address, 132, [UInt8](repeating: 0, count: 20))))
        t.app.expectsNothing()
        #expect(t.nat.counters.icmpErrorsUnmatched == 1 && t.nat.counters.icmpUnreachables == 0)
    }

    @Test func echoesAreStillRefused() {
        let t = Trace()
        let echo = Built.icmp(
            type: 8, code: 0, rest: 0x1_0001, quoting: [1, 2, 3], from: t.source.address, to: t.destination.address)
        t.inject(echo)
        #expect(t.nextPacket()?.icmp?.code == 13)
        // To many at once: no word (RFC 1122, section 3.2.2).
        let multicast = IPAddress("224.0.0.1")!
        t.inject(Built.icmp(type: 8, code: 0, quoting: [], from: t.source.address, to: multicast))
        t.inject(
            Built.ip(from: t.source.address, to: IPAddress("255.255.255.255")!, 17, [UInt8](repeating: 0, count: 8)))
        t.isOver()
    }

    // MARK: UDP

    @Test(arguments: [true, false])
    func aRefusedDatagramIsReported(isIPv4: Bool) throws {
        let t = DatagramTrace()
        let (application, remote) =
            isIPv4
            ? (DatagramTrace.application, DatagramTrace.remote) : (DatagramTrace.applicationV6, DatagramTrace.remoteV6)
        let id = try #require(t.sends(from: application, to: remote))
        #expect(t.delivers([1, 2, 3], to: id, from: remote))
        let sent = try #require(t.nextPacket()).bytes
        t.inject(error(isIPv4 ? 3 : 1, isIPv4 ? 3 : 4, about: sent))
        #expect(t.events() == [.datagramRefused(id, remote)] && t.nat.associationCount == 1)
        t.nat.closeAssociation(id)
        t.inject(error(isIPv4 ? 3 : 1, isIPv4 ? 3 : 4, about: sent))
        #expect(t.events() == [] && t.nat.counters.icmpErrorsUnmatched == 1 && t.nextPacket() == nil)
    }

    @Test func datagramsOfASmallerPathLeaveInFragments() throws {
        let t = DatagramTrace()
        let id = try #require(t.sends())
        let payload = (0..<1_400).map(Trace.pattern)
        #expect(t.delivers(payload, to: id))
        let sent = try #require(t.nextPacket()).bytes
        t.inject(error(3, 4, rest: 1_000, about: sent))
        #expect(t.nat.counters.pathMTULowered == 1)
        #expect(t.delivers(payload, to: id))
        #expect(t.arrivals().map(\.payload) == [payload] && t.nat.counters.fragmentsOut == 2)
    }

    /// What the far end says of a datagram, told to the application as if it had come from there.
    @Test(arguments: [true, false])
    func aRejectionFromTheFarEnd(isIPv4: Bool) throws {
        let t = DatagramTrace { $0.unreachablesPerSecond = 3 }
        let (application, remote) =
            isIPv4
            ? (DatagramTrace.application, DatagramTrace.remote) : (DatagramTrace.applicationV6, DatagramTrace.remoteV6)
        let id = try #require(t.sends(from: application, to: remote))
        let codes: [(RejectReason, UInt8)] =
            isIPv4
            ? [(.refused, 3), (.hostUnreachable, 1), (.prohibited, 13)]
            : [(.refused, 4), (.hostUnreachable, 3), (.prohibited, 1)]
        for (reason, code) in codes {
            t.nat.rejectDatagram(id, to: remote, reason, now: t.now)
            let bytes = try #require(t.nextPacket()).bytes
            let ip = try IPHeader.parse(bytes.span.bytes)
            let message = bytes.span.bytes.extracting(ip.upperLayer)
            let icmp = try ICMPHeader.parse(message)
            #expect(icmp.type == (isIPv4 ? 3 : 1) && icmp.code == code)
            #expect(ip.source == remote.address && ip.destination == application.address)
            let quoted = message.extracting(8..<message.byteCount)
            let inner = try IPHeader.parse(quoted)
            let udp = try UDPHeader.parse(quoted.extracting(inner.upperLayer))
            #expect(Endpoint(inner.source, udp.sourcePort) == application)
            #expect(Endpoint(inner.destination, udp.destinationPort) == remote)
        }
        t.nat.rejectDatagram(id, to: remote, .silence, now: t.now)
        t.nat.rejectDatagram(id, to: isIPv4 ? DatagramTrace.remoteV6 : DatagramTrace.remote, .refused, now: t.now)
        #expect(t.nat.counters.datagramsRejected == 3 && t.nat.counters.unreachablesSkipped == 0)
        t.nat.rejectDatagram(id, to: remote, .refused, now: t.now)  // beyond the rate
        #expect(t.nextPacket() == nil && t.nat.associationCount == 1)
        #expect(t.nat.counters.datagramsRejected == 4 && t.nat.counters.unreachablesSkipped == 1)
    }
}

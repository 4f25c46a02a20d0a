import Packets
import Primitives
import Testing

@testable import FlowNAT

struct ReassemblyTests {
    private let application = DatagramTrace.application
    private let remote = DatagramTrace.remote
    private let payload = (0..<4_000).map(Trace.pattern)

    private var packet: [UInt8] { Built.udp(from: application, to: remote, payload) }
    private var packetV6: [UInt8] {
        Built.udp(from: DatagramTrace.applicationV6, to: DatagramTrace.remoteV6, payload)
    }

    /// A piece of `packet`, by bytes of the UDP message.
    private func piece(_ range: Range<Int>, more: Bool = true, id: UInt32 = 1) -> [UInt8] {
        Built.fragment(of: packet, range, hasMore: more, identification: id)
    }

    // MARK: Whole again

    @Test(arguments: [true, false], [8, 576, 1_480])
    func inOrderAndInReverse(isIPv4: Bool, size: Int) {
        let t = DatagramTrace { $0.maximumFragments = 600 }
        let fragments = Built.fragments(of: isIPv4 ? packet : packetV6, size: size)
        var got: [DatagramTrace.Received] = []
        for fragment in fragments { got += t.inject(fragment) }
        for fragment in Built.fragments(of: isIPv4 ? packet : packetV6, size: size, identification: 2).reversed() {
            got += t.inject(fragment)
        }
        #expect(got.map(\.payload) == [payload, payload])
        #expect(got.first?.destination == (isIPv4 ? remote : DatagramTrace.remoteV6))
        #expect(t.nat.counters.reassembled == 2 && t.nat.counters.fragments == 2 * fragments.count)
        #expect(t.nat.reassembly.count == 0 && t.nat.counters.malformed == 0 && t.nat.counters.badChecksum == 0)
    }

    @Test(arguments: [true, false])
    func segmentsOfTCPToo(isIPv4: Bool) {
        let t = Trace()
        if !isIPv4 {
            t.source = DatagramTrace.applicationV6
            t.destination = DatagramTrace.remoteV6
        }
        t.app.opens()
        let bytes = (0..<1_000).map(Trace.pattern)
        let whole = t.app.segment(.psh, sequence: 101, acknowledgment: t.natStart! &+ 1, payload: bytes)
        for fragment in Built.fragments(of: whole, size: 256).reversed() { t.inject(fragment) }
        t.deliveredInOrder(1_000)
        #expect(t.nat.counters.reassembled == 1)
    }

    @Test func theLargestDatagram() {
        let t = DatagramTrace()
        let largest = [UInt8](repeating: 7, count: 65_507)
        let fragments = Built.fragments(of: Built.udp(from: application, to: remote, largest), size: 1_480)
        #expect(fragments.flatMap { t.inject($0) }.map(\.payload) == [largest])
    }

    @Test func headersWithOptionsAndExtensions() {
        let t = DatagramTrace()
        let optional = Built.withOptions(packet, [7, 7, 4, 0, 0, 0, 0, 0])  // record route
        #expect(Built.fragments(of: optional, size: 1_400).flatMap { t.inject($0) }.map(\.payload) == [payload])

        // A destination-options header before the fragment header, and one behind it.
        let behind = Built.withExtensions(packetV6, [(IPProtocol.destinationOptions, [0, 0, 1, 4, 0, 0, 0, 0])])
        let fragments = Built.fragments(of: behind, size: 1_400).map {
            Built.withExtensions($0, [(IPProtocol.hopByHopOptions, [0, 0, 1, 4, 0, 0, 0, 0])])
        }
        #expect(fragments.flatMap { t.inject($0) }.map(\.payload) == [payload])
    }

    /// RFC 6946: a fragment header on a whole packet is dealt with at once, whatever else has the same identification.
    @Test func atomicFragments() {
        let t = DatagramTrace()
        let small = Built.udp(from: DatagramTrace.applicationV6, to: DatagramTrace.remoteV6, [1, 2, 3])
        t.inject(Built.fragments(of: packetV6, size: 1_400)[0])
        let atomic = Built.fragment(of: small, 0..<11, hasMore: false, identification: 77)
        #expect(t.inject(atomic).map(\.payload) == [[1, 2, 3]])
        #expect(t.nat.counters.fragments == 1 && t.nat.reassembly.count == 1)
    }

    @Test func fragmentsOfDifferentDatagramsDoNotMix() {
        let t = DatagramTrace()
        let other = Built.udp(from: application, to: Endpoint("192.0.2.10:53000")!, payload)
        let number = Built.ip(from: application.address, to: remote.address, IPProtocol.tcp, Array(packet[20...]))
        let (a, b, c) = (
            Built.fragments(of: packet, size: 2_000), Built.fragments(of: other, size: 2_000),
            Built.fragments(of: number, size: 2_000)
        )
        #expect(t.inject(a[0], b[1], c[1], piece(2_000..<4_000, id: 3)).isEmpty)
        #expect(t.nat.reassembly.count == 4)
        #expect(t.inject(a[1], a[2]).map(\.destination) == [remote])
    }

    @Test func exactDuplicatesAreIgnored() {
        let t = DatagramTrace()
        let f = Built.fragments(of: packet, size: 1_480)
        #expect(t.inject(f[0], f[0], f[2], f[2], f[1]).map(\.payload) == [payload])
        #expect(t.nat.counters.duplicateFragments == 2)
    }

    @Test(arguments: [(2, 3, 3), (1, 2, 1), (2, 2, 2)])
    func congestionMarksOfOneAreOfTheWhole(_ marks: (UInt8, UInt8, UInt8)) {
        let t = Trace()
        let syn = t.app.segment(.syn, sequence: 100, options: TCPOptions(maximumSegmentSize: 1_400, windowScale: 7))
        var reassembly = Reassembly(settings: FlowSettings())
        var counters = FlowCounters()
        var mark: UInt8?
        for (range, ecn, more) in [(0..<24, marks.0, true), (24..<syn.count - 20, marks.1, false)] {
            let fragment = Built.fragment(of: syn, range, hasMore: more, identification: 9, trafficClass: 0xB8 | ecn)
            fragment.withUnsafeBytes { bytes in
                let ip = try? IPHeader.parse(bytes.bytes)
                let whole = reassembly.add(bytes, ip!, now: t.now, counters: &counters)
                mark = whole.flatMap { try? IPHeader.parse($0.bytes) }?.trafficClass
            }
        }
        #expect(mark == 0xB8 | marks.2)
    }

    @Test func aCongestionMarkOnADatagramWithoutECNIsRefused() {
        let t = DatagramTrace()
        let f = [0..<2_000, 2_000..<4_008].enumerated().map { index, range in
            Built.fragment(
                of: packet, range, hasMore: index == 0, identification: 1, trafficClass: index == 0 ? 0 : 3)
        }
        #expect(t.inject(f[0], f[1]).isEmpty)
        #expect(t.nat.counters.malformedFragments == 1)
    }

    // MARK: Refused

    /// RFC 5722, and the same for IPv4: nothing of the datagram survives, not even what comes later.
    @Test(arguments: [0..<992, 800..<1_608, 8..<16, 992..<1_000, 1_992..<2_008])
    func anOverlapRefusesTheDatagram(range: Range<Int>) {
        let t = DatagramTrace()
        #expect(t.inject(piece(0..<1_000), piece(2_000..<3_000)).isEmpty)
        t.inject(piece(range))
        #expect(t.nat.counters.overlappingFragments == 1)
        #expect(t.inject(piece(1_000..<2_000), piece(3_000..<4_008, more: false)).isEmpty)
        #expect(t.nat.counters.refusedFragments == 2 && t.nat.counters.reassembled == 0)
    }

    @Test func aDuplicateWithOtherBytesIsAnOverlap() {
        let t = DatagramTrace()
        var other = piece(0..<1_000)
        other[500] ^= 1
        t.inject(piece(0..<1_000), other)
        #expect(t.nat.counters.overlappingFragments == 1 && t.nat.counters.duplicateFragments == 0)
    }

    @Test func theEndIsSaidOnce() {
        for last in [piece(1_000..<1_500, more: false), piece(3_000..<4_000, more: false)] {
            let t = DatagramTrace()
            t.inject(piece(2_000..<2_800, more: false), last)
            #expect(t.nat.counters.malformedFragments == 1)
        }
        let t = DatagramTrace()
        t.inject(piece(2_000..<2_800, more: false), piece(2_800..<3_600))
        #expect(t.nat.counters.malformedFragments == 1)
        t.inject(piece(2_000..<2_800, id: 2), piece(2_000..<2_800, more: false, id: 2))
        #expect(t.nat.counters.overlappingFragments == 1)
    }

    /// The "ping of death": offset and length beyond what IP can express.
    @Test func beyondTheLargestPacket() {
        let t = DatagramTrace()
        let header = Array(packet[..<20])
        t.inject(
            Built.fragment(
                header: header, [UInt8](repeating: 0, count: 1_000), at: 65_528, hasMore: false, identification: 1))
        #expect(t.nat.counters.malformedFragments == 1)
        // All pieces fit, but the IPv4 header does not any more.
        let length = 65_528
        for start in stride(from: 0, to: length, by: 8_192) {
            let end = min(start + 8_192, length)
            t.inject(
                Built.fragment(
                    header: header, [UInt8](repeating: 0, count: end - start), at: start, hasMore: end < length,
                    identification: 2))
        }
        #expect(t.nat.counters.malformedFragments == 2 && t.nat.counters.reassembled == 0)
    }

    @Test func malformedOnes() {
        let t = DatagramTrace()
        let header = Array(packet[..<20])
        t.inject(
            Built.fragment(header: header, [], at: 800, hasMore: true, identification: 1),
            Built.fragment(header: header, [1, 2, 3], at: 800, hasMore: true, identification: 1),
            Built.fragment(header: Array(packetV6[..<40]), [1, 2, 3], at: 800, hasMore: true, identification: 1))
        #expect(t.nat.counters.malformedFragments == 3 && t.nat.reassembly.count == 0)
    }

    /// RFC 1858: a first fragment without the ports and flags is there to fool somebody.
    @Test func tinyFirstFragments() {
        let t = DatagramTrace()
        let segment = Trace().app.segment(.syn, sequence: 100)
        t.inject(Built.fragments(of: segment, size: 16)[0])
        #expect(t.nat.counters.tinyFragments == 1 && t.nat.reassembly.count == 0)
    }

    @Test func aSuperPacketIsNoFragment() {
        let t = DatagramTrace()
        t.inject(piece(0..<1_000), header: VirtioHeader(flags: 1, gsoType: .udpL4, segmentSize: 100))
        #expect(t.nat.counters.malformed == 1 && t.nat.reassembly.count == 0)
    }

    @Test func fragmentsOfFragmentsAreDropped() {
        let t = DatagramTrace()
        let inner = Built.fragments(of: packetV6, size: 1_400, identification: 5)[0]
        let outer = Built.fragments(of: inner, size: 1_000, identification: 6)
        #expect(t.inject(outer[0], outer[1]).isEmpty)
        #expect(t.nat.counters.malformedFragments == 2 && t.nat.reassembly.count == 0)
        // With options between the two headers, and all else the same in both, only the whole shows it.
        let hidden = Built.withExtensions(inner, [(IPProtocol.destinationOptions, [0, 0, 1, 4, 0, 0, 0, 0])])
        let pieces = Built.fragments(of: hidden, size: 1_000, identification: 5)
        #expect(t.inject(pieces[0], pieces[1]).isEmpty)
        #expect(t.nat.counters.reassembled == 1 && t.nat.counters.malformed == 1 && t.nat.reassembly.count == 0)
    }

    // MARK: Limits

    @Test func fragmentsPerDatagram() {
        let t = DatagramTrace { $0.maximumFragments = 4 }
        for index in 0..<4 { t.inject(piece(index * 16..<index * 16 + 8)) }
        #expect(t.nat.counters.excessFragments == 0)
        t.inject(piece(64..<72))
        #expect(t.nat.counters.excessFragments == 1)
    }

    @Test func datagramsAtOnce() {
        let t = DatagramTrace { $0.maximumReassemblies = 4 }
        for id in 0..<9 { t.inject(piece(0..<1_000, id: UInt32(id))) }
        #expect(t.nat.reassembly.count == 4 && t.nat.counters.reassemblyEvicted == 5)
        #expect(t.nat.reassembly.memory == 4 * PartialDatagram.memorySize(maximumFragments: 128))
        // The oldest went: the newest can still be completed.
        #expect(t.inject(piece(1_000..<4_008, more: false, id: 8)).count == 1)
        #expect(t.inject(piece(1_000..<4_008, more: false, id: 4)).isEmpty)
    }

    @Test func oneSourceLosesItsOwn() {
        let t = DatagramTrace {
            $0.maximumReassemblies = 8
            $0.maximumReassembliesPerSource = 2
        }
        let other = Built.udp(from: Endpoint("10.0.0.3:1")!, to: remote, payload)
        t.inject(Built.fragments(of: other, size: 2_000)[0])
        for id in 0..<20 { t.inject(piece(0..<1_000, id: UInt32(id))) }
        #expect(t.nat.reassembly.count == 3 && t.nat.counters.reassemblyEvicted == 18)
        let rest = Built.fragments(of: other, size: 2_000)
        #expect(t.inject(rest[1], rest[2]).map(\.payload) == [payload])
    }

    @Test func noPlaceAtAll() {
        let changes: [(inout FlowSettings) -> Void] = [
            { $0.maximumReassemblies = 0 }, { $0.maximumReassembliesPerSource = 0 },
        ]
        for change in changes {
            let t = DatagramTrace(change)
            #expect(t.inject(piece(0..<1_000)).isEmpty)
            #expect(t.nat.reassembly.memory == 0)
            #expect(t.nat.counters.fragments == 1 && t.nat.counters.fragmentsWithoutPlace == 1)
        }
    }

    // MARK: Time

    @Test(arguments: [true, false])
    func theSenderIsToldWhenTimeIsOver(isIPv4: Bool) throws {
        let t = DatagramTrace()
        let first = Built.fragments(of: isIPv4 ? packet : packetV6, size: 1_400)[0]
        t.inject(first)
        #expect(t.nat.nextDeadline == t.now + .seconds(30))
        t.after(.seconds(29))
        #expect(t.nat.reassembly.count == 1)
        t.after(.seconds(1))
        #expect(t.nat.reassembly.count == 0 && t.nat.nextDeadline == nil && t.nat.counters.reassemblyTimeouts == 1)
        let answer = try #require(t.nextPacket()).bytes
        let ip = try IPHeader.parse(answer.span.bytes)
        let icmp = try ICMPHeader.parse(answer.span.bytes.extracting(ip.upperLayer))
        #expect(icmp.type == (isIPv4 ? 11 : 3) && icmp.code == 1)
        let quoted = answer[(ip.headerLength + 8)...]
        #expect(quoted.elementsEqual(first.prefix(quoted.count)))
        #expect(t.nextPacket() == nil)
    }

    /// Within the rate of ICMP errors.
    @Test func theSenderIsNotToldTooOften() {
        let t = DatagramTrace { $0.unreachablesPerSecond = 2 }
        for id in 1...5 as ClosedRange<UInt32> { t.inject(piece(0..<1_000, id: id)) }
        t.after(.seconds(30))
        var answers = 0
        while t.nextPacket() != nil { answers += 1 }
        #expect(answers == 2 && t.nat.counters.unreachablesSkipped == 3 && t.nat.counters.reassemblyTimeouts == 5)
    }

    @Test func nothingIsSaidWithoutTheFirstFragment() {
        let t = DatagramTrace()
        t.inject(piece(1_000..<2_000))
        t.after(.seconds(30))
        #expect(t.nat.counters.reassemblyTimeouts == 1 && t.nextPacket() == nil)
    }

    @Test func refusedOnesEndInSilence() {
        let t = DatagramTrace()
        t.inject(piece(0..<1_000), piece(8..<1_000))
        t.after(.seconds(30))
        #expect(t.nat.reassembly.count == 0 && t.nat.counters.reassemblyTimeouts == 0 && t.nextPacket() == nil)
    }

    /// What is not carried is refused at the first fragment, and takes no memory.
    @Test func withoutUDPItsFragmentsAreRefused() {
        let t = Trace()
        t.inject(piece(0..<1_000))
        t.inject(piece(1_000..<2_000))
        #expect(t.nextPacket()?.icmp?.code == 13)
        #expect(t.nat.counters.unsupportedProtocol == 2 && t.nat.reassembly.count == 0)
        t.isOver()
    }
}

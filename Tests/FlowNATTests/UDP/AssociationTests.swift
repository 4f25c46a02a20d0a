import Packets
import Primitives
import Testing

@testable import FlowNAT

struct AssociationTests {
    private let application = DatagramTrace.application
    private let remote = DatagramTrace.remote

    /// RFC 4787, REQ-1: one mapping, wherever the datagrams go.
    @Test func theMappingDependsOnTheSourceAlone() {
        let t = DatagramTrace()
        let first = t.sends()
        #expect(t.sends(to: Endpoint("198.51.100.1:53")!) == first)
        #expect(t.sends(to: Endpoint("192.0.2.9:1")!) == first)
        #expect(t.sends(from: Endpoint("10.0.0.2:5001")!) != first)
        #expect(t.sends(from: Endpoint("10.0.0.3:5000")!) != first)
        let v6 = t.sends(from: DatagramTrace.applicationV6, to: DatagramTrace.remoteV6)
        #expect(t.nat.associationCount == 4 && t.events() == [])
        #expect(first.flatMap { t.nat.source(of: $0) } == application)
        #expect(v6.flatMap { t.nat.source(of: $0) } == DatagramTrace.applicationV6)
    }

    @Test(arguments: [0, 1, 1_472, 9_000])
    func payloadsOfAnySize(count: Int) {
        let t = DatagramTrace()
        t.sends((0..<count).map(Trace.pattern))
        #expect(t.nat.counters.datagramsIn == 1 && t.nat.counters.bytesIn == count)
    }

    // MARK: What does not come in

    @Test func checksumsAreChecked() {
        let t = DatagramTrace()
        var damaged = Built.udp(from: application, to: remote, [1, 2, 3])
        damaged[29] ^= 1
        #expect(t.inject(damaged).isEmpty && t.nat.counters.badChecksum == 1 && t.nat.associationCount == 0)
        #expect(t.inject(damaged, header: VirtioHeader(flags: VirtioHeader.dataValid)).count == 1)
        // None: allowed in IPv4 alone.
        #expect(t.inject(Built.udp(from: application, to: remote, [1], checksum: false)).count == 1)
        let v6 = Built.udp(from: DatagramTrace.applicationV6, to: DatagramTrace.remoteV6, [1], checksum: false)
        #expect(t.inject(v6).isEmpty && t.nat.counters.badChecksum == 2)
    }

    @Test func lengthsAreChecked() {
        let t = DatagramTrace()
        for length in [0, 7, 12] as [UInt8] {
            var packet = Built.udp(from: application, to: remote, [1, 2, 3], checksum: false)
            packet[25] = length
            t.inject(packet)
        }
        #expect(t.nat.counters.malformed == 3 && t.nat.associationCount == 0)
        // What follows the datagram in its packet is padding.
        var padded = Built.udp(from: application, to: remote, [1, 2, 3], checksum: false)
        padded[25] = 9
        #expect(t.inject(padded).map(\.payload) == [[1]])
    }

    @Test func addressesThatCannotBe() {
        let t = DatagramTrace()
        t.inject(
            Built.udp(from: application, to: Endpoint("224.0.0.251:5353")!, [1]),
            Built.udp(from: application, to: Endpoint("255.255.255.255:67")!, [1]),
            Built.udp(from: Endpoint("0.0.0.0:68")!, to: remote, [1]),
            Built.udp(from: application, to: application, [1]),
            Built.udp(from: Endpoint("10.0.0.2:0")!, to: remote, [1]),
            Built.udp(from: DatagramTrace.applicationV6, to: Endpoint("[ff02::fb]:5353")!, [1]))
        #expect(t.nat.counters.impossibleAddress == 6 && t.nat.associationCount == 0 && t.nextPacket() == nil)
    }

    @Test func withoutAConsumerUDPIsRefusedInWords() {
        let t = Trace()
        t.inject(Built.udp(from: application, to: remote, [1]))
        #expect(t.nextPacket()?.icmp?.code == 13 && t.nat.associationCount == 0)
    }

    // MARK: Super-packets

    @Test(arguments: [(1_000, 100, 10), (1_001, 100, 11), (99, 100, 1), (100, 100, 1), (60_000, 1_400, 43)])
    func superPacketsAreCutInPlace(count: Int, size: Int, datagrams: Int) {
        let t = DatagramTrace()
        let payload = (0..<count).map(Trace.pattern)
        let header = VirtioHeader(
            flags: VirtioHeader.needsChecksum, gsoType: .udpL4, headerLength: 28, segmentSize: UInt16(size),
            checksumStart: 20, checksumOffset: 6)
        let got = t.inject(Built.udp(from: application, to: remote, payload), header: header).map(\.payload)
        #expect(got.count == datagrams && Array(got.joined()) == payload)
        #expect(got.dropLast().allSatisfy { $0.count == size })
        #expect(t.nat.counters.superPacketsIn == 1 && t.nat.counters.datagramsIn == datagrams)
    }

    @Test func superPacketsThatCannotBe() {
        let t = DatagramTrace()
        let packet = Built.udp(from: application, to: remote, [1, 2, 3])
        t.inject(packet, header: VirtioHeader(flags: 1, gsoType: .udpL4, segmentSize: 0))
        t.inject(packet, header: VirtioHeader(flags: 1, gsoType: .tcpv4, segmentSize: 2))
        t.inject(
            Built.udp(from: application, to: remote, []),
            header: VirtioHeader(flags: 1, gsoType: .udpL4, segmentSize: 2))
        #expect(t.nat.counters.malformed == 3)
        t.inject(packet, header: VirtioHeader(gsoType: .udpL4, segmentSize: 2))
        #expect(t.nat.counters.badChecksum == 1 && t.nat.associationCount == 0)
    }

    // MARK: Endings

    @Test func quietOnesEnd() throws {
        let t = DatagramTrace()
        let id = try #require(t.sends())
        t.after(.seconds(299))
        t.sends()
        t.after(.seconds(299))
        // What comes from outside does not keep it alive.
        #expect(t.delivers([1], to: id) && t.arrivals().count == 1)
        #expect(t.events() == [])
        #expect(t.nat.nextDeadline.map { $0 <= t.now + .seconds(1) } == true)
        t.after(.seconds(1))
        #expect(t.events() == [.associationEnded(id)] && t.nat.counters.associationsExpired == 1)
        #expect(t.nat.associationCount == 0 && t.nat.nextDeadline == nil && !t.delivers([1], to: id))
        #expect(t.sends() != id)
    }

    /// RFC 4787, REQ-5a: lookups end sooner, but not what has also talked to others.
    @Test func lookupsEndSooner() throws {
        let t = DatagramTrace()
        let lookup = try #require(t.sends(to: Endpoint("9.9.9.9:53")!))
        let other = try #require(t.sends(from: Endpoint("10.0.0.2:5001")!, to: Endpoint("9.9.9.9:53")!))
        t.sends(from: Endpoint("10.0.0.2:5001")!)
        t.after(.seconds(30))
        #expect(t.events() == [.associationEnded(lookup)])
        t.after(.seconds(269))
        #expect(t.events() == [])
        t.after(.seconds(1))
        #expect(t.events() == [.associationEnded(other)])
    }

    @Test func theOwnerEndsOne() throws {
        let t = DatagramTrace()
        let id = try #require(t.sends())
        #expect(t.delivers([UInt8](repeating: 1, count: 40_000), to: id))
        t.nat.closeAssociation(id)
        t.nat.closeAssociation(id)
        #expect(t.events() == [] && t.nat.associationCount == 0 && t.pool.outstanding == 0)
        #expect(t.nat.associations.queuedBytes == 0 && t.nextPacket() == nil && t.nat.nextDeadline == nil)
    }

    // MARK: Limits

    @Test func theQuietestMakesRoom() throws {
        let t = DatagramTrace { $0.maximumAssociations = 3 }
        let ids = (0..<3).compactMap { t.sends(from: Endpoint("10.0.0.\($0 + 2):5000")!) }
        t.sends(from: Endpoint("10.0.0.2:5000")!)  // the first is the newest now
        let fourth = t.sends(from: Endpoint("10.0.0.9:5000")!)
        #expect(t.events() == [.associationEnded(ids[1])] && t.nat.associationCount == 3)
        #expect(t.sends(from: Endpoint("10.0.0.2:5000")!) == ids[0])
        #expect(t.sends(from: Endpoint("10.0.0.9:5000")!) == fourth)
        #expect(t.nat.counters.associationsEvicted == 1)
    }

    @Test func aSourceAtItsLimitLosesItsOwn() {
        let t = DatagramTrace {
            $0.maximumAssociations = 10
            $0.maximumAssociationsPerSource = 2
        }
        let other = t.sends(from: Endpoint("10.0.0.3:1")!)
        let ids = (1...5).compactMap { t.sends(from: Endpoint("10.0.0.2:\($0)")!) }
        #expect(t.events() == ids.prefix(3).map { .associationEnded($0) })
        #expect(t.nat.associationCount == 3 && t.sends(from: Endpoint("10.0.0.3:1")!) == other)
    }

    @Test func noneAtAll() {
        let t = DatagramTrace { $0.maximumAssociations = 0 }
        #expect(t.inject(Built.udp(from: application, to: remote, [1])).isEmpty)
        #expect(t.nat.counters.tableFull == 1)
        let u = DatagramTrace { $0.maximumAssociationsPerSource = 0 }
        #expect(u.inject(Built.udp(from: application, to: remote, [1])).isEmpty)
        #expect(u.nat.counters.tableFull == 1)
    }

    @Test func thousandsComeAndGo() {
        let t = DatagramTrace {
            $0.maximumAssociations = 500
            $0.maximumAssociationsPerSource = 100
        }
        var isWithin = true
        for round in 0..<20_000 {
            let source = Endpoint(.v4(IPv4Address(0x0A00_0000 + UInt32(round % 11))), UInt16(1_000 + round % 7_919))
            t.inject(Built.udp(from: source, to: remote, [1]))
            if round % 3 == 0 { t.after(.milliseconds(700)) }
            if round % 4_000 == 0 { t.after(.seconds(250)) }
            isWithin = isWithin && t.nat.associationCount <= 500
        }
        #expect(isWithin)
        let c = t.nat.counters
        #expect(c.associationsEvicted > 0 && c.associationsExpired > 0)
        let ended = t.events().count
        #expect(ended == c.associationsEvicted + c.associationsExpired)
        #expect(c.associationsOpened - ended == t.nat.associationCount)
        t.after(.seconds(300))
        #expect(t.nat.associationCount == 0 && t.nat.nextDeadline == nil)
    }

    /// The record, the queues and the table's share of an association that carries nothing now.
    @Test func anIdleOneTakesLittle() throws {
        #expect(MemoryLayout<Association>.stride <= 512)
        let t = DatagramTrace()
        let id = try #require(t.sends())
        #expect(t.delivers([UInt8](repeating: 1, count: 40_000), to: id) && t.arrivals().count == 1)
        #expect(t.pool.outstanding == 0 && t.nat.associations.queuedBytes == 0)
    }
}

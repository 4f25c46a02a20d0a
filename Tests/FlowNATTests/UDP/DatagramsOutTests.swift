import Packets
import Primitives
import SimNet
import Testing

@testable import FlowNAT

struct DatagramsOutTests {
    private let application = DatagramTrace.application
    private let remote = DatagramTrace.remote

    private func payload(_ count: Int, _ first: Int = 0) -> [UInt8] { (first..<first + count).map(Trace.pattern) }

    @Test(arguments: [true, false], [0, 1, 1_400, 1_452, 1_453, 1_473, 9_000, 65_507])
    func sizes(offload: Bool, count: Int) throws {
        let t = DatagramTrace { $0.offload = offload }
        for (source, from) in [(application, remote), (DatagramTrace.applicationV6, DatagramTrace.remoteV6)] {
            let id = try #require(t.sends(from: source, to: from))
            #expect(t.delivers(payload(count), to: id, from: from))
            var packets = 0
            var arrived: [DatagramTrace.Arrived] = []
            let ear = Ear()
            while let (bytes, header) = t.nextPacket() {
                #expect(bytes.count <= 1_500)
                arrived += ear.hear(bytes, header)
                packets += 1
            }
            #expect(arrived == [.init(remote: from, application: source, payload: payload(count))])
            let each = source.address.isIPv4 ? 1_480 : 1_448
            let isWhole = count + 8 <= (source.address.isIPv4 ? 1_480 : 1_460)
            #expect(packets == (isWhole ? 1 : (count + 8 + each - 1) / each))
            #expect(ear.fragments == (isWhole ? 0 : packets))
        }
        #expect(t.nat.counters.datagramsOut == 2 && t.pool.outstanding == 0)
    }

    /// RFC 7739: fragments of one datagram share a number that the next one does not have.
    @Test func identifications() throws {
        let t = DatagramTrace()
        let id = try #require(t.sends())
        var seen: Set<UInt32> = []
        for _ in 0..<50 {
            #expect(t.delivers(payload(3_000), to: id))
            var numbers: Set<UInt32> = []
            while let packet = t.nextPacket() {
                if let ip = try? IPHeader.parse(packet.bytes.span.bytes) { numbers.insert(ip.identification) }
            }
            #expect(numbers.count == 1)
            seen.formUnion(numbers)
        }
        #expect(seen.count == 50)
    }

    @Test func whatCannotBeSaid() throws {
        let t = DatagramTrace { $0.maximumQueuedDatagramBytes = 1 << 20 }
        let v4 = try #require(t.sends())
        let v6 = try #require(t.sends(from: DatagramTrace.applicationV6, to: DatagramTrace.remoteV6))
        #expect(
            !t.delivers(payload(65_508), to: v4) && !t.delivers(payload(65_528), to: v6, from: DatagramTrace.remoteV6))
        #expect(!t.delivers([1], to: v6, from: remote) && !t.delivers([1], to: v4, from: DatagramTrace.remoteV6))
        #expect(t.nat.counters.datagramsUnsendable == 4 && t.nextPacket() == nil)
        #expect(t.delivers(payload(65_527), to: v6, from: DatagramTrace.remoteV6))
        #expect(t.arrivals().map(\.payload.count) == [65_527])
    }

    // MARK: Super-packets

    @Test func datagramsOfOneSizeLeaveTogether() throws {
        let t = DatagramTrace { $0.udpOffload = true }
        let id = try #require(t.sends())
        let sent = (0..<10).map { payload($0 == 9 ? 500 : 1_200, $0 * 1_200) }
        for datagram in sent { #expect(t.delivers(datagram, to: id)) }
        let packet = try #require(t.nextPacket())
        #expect(packet.header.gsoType == .udpL4 && packet.header.segmentSize == 1_200)
        #expect(packet.header.headerLength == 28 && packet.header.checksumOffset == 6)
        #expect(Ear().hear(packet.bytes, packet.header).map(\.payload) == sent)
        #expect(t.nextPacket() == nil && t.nat.counters.superPacketsOut == 1 && t.nat.counters.datagramsOut == 10)
        #expect(t.pool.outstanding == 0)
    }

    @Test func whatEndsASuperPacket() throws {
        let t = DatagramTrace { $0.udpOffload = true }
        let id = try #require(t.sends())
        let other = Endpoint("192.0.2.77:9")!
        var expected: [DatagramTrace.Arrived] = []
        // Another sender, a larger one, an empty one, one beyond the MTU.
        for (count, from) in [
            (100, remote), (100, remote), (100, other), (100, remote), (101, remote), (101, remote), (0, remote),
            (50, remote), (3_000, remote), (50, remote), (50, remote),
        ] {
            #expect(t.delivers(payload(count), to: id, from: from))
            expected.append(.init(remote: from, application: application, payload: payload(count)))
        }
        #expect(t.arrivals() == expected)
        #expect(t.nat.counters.superPacketsOut == 3)
    }

    @Test(arguments: [(1_400, 200, [46, 46, 46, 46, 16]), (10, 200, [64, 64, 64, 8]), (1_472, 44, [44])])
    func superPacketsHaveLimits(size: Int, count: Int, expected: [Int]) throws {
        let t = DatagramTrace {
            $0.udpOffload = true
            $0.maximumQueuedDatagramBytes = 1 << 20
        }
        let id = try #require(t.sends())
        for _ in 0..<count { #expect(t.delivers(payload(size), to: id)) }
        var runs: [Int] = []
        while let (bytes, header) = t.nextPacket() { runs.append(Ear().hear(bytes, header).count) }
        #expect(runs == expected)
    }

    @Test(arguments: [(true, false), (false, true), (false, false)])
    func oneByOneWhereTheTUNCannot(offload: Bool, udpOffload: Bool) throws {
        let t = DatagramTrace {
            $0.offload = offload
            $0.udpOffload = udpOffload
        }
        let id = try #require(t.sends())
        for _ in 0..<5 { #expect(t.delivers(payload(900), to: id)) }
        var packets = 0
        while let packet = t.nextPacket() {
            #expect(packet.header.gsoType == .none && (packet.header.flags != 0) == offload)
            packets += 1
        }
        #expect(packets == 5 && t.nat.counters.superPacketsOut == 0)
    }

    // MARK: Turns

    @Test func associationsAndFlowsTakeTurns() throws {
        let t = DatagramTrace { $0.offload = false }
        let a = try #require(t.sends())
        let b = try #require(t.sends(from: Endpoint("10.0.0.2:5001")!))
        let source = Endpoint("10.0.0.2:40000")!
        let stream = Trace()
        stream.source = source
        t.inject(
            stream.app.segment(.syn, sequence: 100, options: TCPOptions(maximumSegmentSize: 1_460, windowScale: 7)))
        var flow: FlowID?
        for case .connect(let id, _) in t.events() { flow = id }
        let id = try #require(flow)
        t.nat.accept(id)
        let synAck = try #require(t.nextPacket())
        let start = try TCPHeader.parse(synAck.bytes.span.bytes.extracting(20..<synAck.bytes.count)).sequence
        t.inject(stream.app.segment(.ack, sequence: 101, acknowledgment: start.rawValue &+ 1))
        let text = payload(20 * 1_460)
        _ = t.nat.withSendQueue(id) { queue in text.withUnsafeBytes { queue.append($0) } }
        for _ in 0..<10 {
            #expect(t.delivers(payload(100), to: a))
            #expect(t.delivers(payload(100), to: b))
        }
        var order: [Character] = []
        while let (bytes, _) = t.nextPacket() {
            order.append(bytes[9] == IPProtocol.tcp ? "t" : bytes[23] == 0x89 ? "b" : "a")
        }
        let text20 = String(order.prefix(20))
        #expect(order.filter { $0 == "a" }.count == 10 && order.filter { $0 == "b" }.count == 10)
        #expect(text20.filter { $0 == "t" }.count == 10, "\(text20)")
        #expect(text20.filter { $0 == "a" }.count == 5, "\(text20)")
    }

    // MARK: Limits

    @Test func theOldestGiveWay() throws {
        let t = DatagramTrace { $0.maximumQueuedDatagrams = 4 }
        let id = try #require(t.sends())
        for n in 0..<10 { #expect(t.delivers([UInt8(n)], to: id)) }
        #expect(t.arrivals().map(\.payload) == [[6], [7], [8], [9]])
        #expect(t.nat.counters.datagramsDropped == 6)
    }

    @Test func bytesOfOneQueue() throws {
        let t = DatagramTrace { $0.maximumQueuedDatagramBytes = 10_000 }
        let id = try #require(t.sends())
        for n in 0..<7 { #expect(t.delivers(payload(4_000, n), to: id)) }
        #expect(!t.delivers(payload(10_001), to: id))
        #expect(t.nat.counters.datagramsDropped == 7 && t.nat.counters.datagramQueueFull == 1)
        #expect(t.nextPacket() == nil && t.pool.outstanding == 0 && t.nat.associations.queuedBytes == 0)
        #expect(t.delivers(payload(10_000), to: id) && t.arrivals().count == 1)
    }

    @Test func memoryOfAllQueues() throws {
        let t = DatagramTrace { $0.maximumDatagramMemory = 150_000 }
        let a = try #require(t.sends())
        let b = try #require(t.sends(from: Endpoint("10.0.0.2:5001")!))
        let c = try #require(t.sends(from: Endpoint("10.0.0.2:5002")!))
        #expect(t.delivers(payload(7_000), to: a) && t.delivers(payload(7_000), to: b))
        #expect(!t.delivers([1], to: c) && t.nat.counters.datagramQueueFull == 1)
        #expect(t.nat.associations.queuedBytes <= 150_000)
        // One that has something loses its own oldest.
        #expect(t.delivers(payload(7_001), to: b) && t.nat.counters.datagramsDropped == 1)
        #expect(t.arrivals().map(\.payload.count) == [7_000, 7_001])
        #expect(t.nat.associations.queuedBytes == 0 && t.delivers([1], to: c))
    }

    @Test func withoutMemoryTheNewestIsRefused() throws {
        let t = DatagramTrace(poolBytes: 3 * BlockPool.blockSize)
        let id = try #require(t.sends())
        #expect(t.delivers(payload(20_000), to: id))
        #expect(!t.delivers(payload(20_000), to: id))
        #expect(t.arrivals().map(\.payload.count) == [20_000] && t.pool.outstanding == 0)
    }

    /// A datagram that is half out in fragments and gives way must not leave its rest to the next.
    @Test func droppedBetweenItsFragments() throws {
        let t = DatagramTrace { $0.maximumQueuedDatagrams = 1 }
        let id = try #require(t.sends())
        #expect(t.delivers(payload(4_000), to: id))
        #expect(t.nextPacket() != nil)
        #expect(t.delivers(payload(3_000), to: id))
        #expect(t.arrivals().map(\.payload) == [payload(3_000)])
    }

    @Test(arguments: Seeds.upTo(20))
    func anythingInAnyOrder(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let t = DatagramTrace {
            $0.udpOffload = random.chance(0.5)
            $0.offload = random.chance(0.7)
            $0.maximumQueuedDatagrams = 20
            $0.maximumDatagramMemory = 300_000
            $0.maximumAssociations = 4
        }
        var ids: [AssociationID] = []
        let kinds = [0, 10, 1_000, 1_000, 1_000, 5_000, 40_000].enumerated().map { payload($1, $0) }
        var isWithin = true
        let ear = Ear()
        for _ in 0..<2_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                if let id = t.sends(from: Endpoint(application.address, .random(in: 1...6, using: &random))) {
                    ids.append(id)
                }
            case 1: if let id = ids.randomElement(using: &random), random.chance(0.2) { t.nat.closeAssociation(id) }
            case 2...6:
                guard let id = ids.randomElement(using: &random) else { continue }
                _ = t.delivers(kinds.randomElement(using: &random)!, to: id)
            default:
                guard let (bytes, header) = t.nextPacket() else { continue }
                // Fragments of a datagram that gave way have no end; they are not looked at here.
                let isFragment = (try? IPHeader.parse(bytes.span.bytes))?.isFragment != false
                if !isFragment {
                    let arrived = ear.hear(bytes, header)
                    #expect(arrived.allSatisfy { kinds.contains($0.payload) }, "seed \(seed)")
                }
            }
            isWithin = isWithin && t.nat.associations.queuedBytes <= 300_000
            isWithin = isWithin && t.pool.outstanding * BlockPool.blockSize <= t.nat.associations.queuedBytes
        }
        #expect(isWithin, "seed \(seed)")
        while t.nextPacket() != nil {}
        #expect(t.pool.outstanding == 0 && t.nat.associations.queuedBytes == 0, "seed \(seed)")
    }
}

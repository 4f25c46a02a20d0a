import Packets
import Primitives
import Testing

@testable import SimNet

/// What the peer says and checks in options and flags: timestamps, blocks, congestion.
struct SimTCPPeerOptionTests {
    @Test func theLatestBlockComesFirst() {
        var reassembly = SimReassembly()
        for start in [100, 300, 200, 100] as [UInt32] {
            reassembly.insert([1, 2, 3], at: SequenceNumber(start))
            #expect(reassembly.sack.first?.start == SequenceNumber(start))
        }
        #expect(reassembly.sack.map(\.start.rawValue) == [100, 200, 300])
    }

    @Test(arguments: [true, false])
    func congestionIsNotifiedWhereBothWantIt(isWanted: Bool) throws {
        var first = SimTCPPeer.Settings()
        first.ecn = true
        var second = first
        second.ecn = isWanted
        let client = SimTCPPeer(settings: first, seed: 1)
        let server = SimTCPPeer(settings: second, seed: 2)
        var now = Instant(nanoseconds: 1_000_000_000)
        server.listen(on: Endpoint("192.0.2.1:80")!)
        client.connect(to: Endpoint("192.0.2.1:80")!, from: Endpoint("10.0.0.2:40000")!, now: now)
        var seen: [TCPFlags] = []
        func exchange(marking: Bool = false) throws {
            for _ in 0..<20 {
                while var packet = client.nextPacket(now: now) {
                    let ip = try IPHeader.parse(packet.span.bytes)
                    if marking, ip.trafficClass != 0 {
                        packet[1] = 3
                        packet.withUnsafeMutableBytes {
                            PacketWriter.setIPv4HeaderChecksum(at: $0.baseAddress!, headerLength: ip.headerLength)
                        }
                    }
                    seen.append(try TCPHeader.parse(packet.span.bytes.extracting(ip.upperLayer)).flags)
                    server.handle(packet, now: now)
                }
                while let packet = server.nextPacket(now: now) { client.handle(packet, now: now) }
                now = now + .milliseconds(50)
                client.handleTimeout(now: now)
                server.handleTimeout(now: now)
            }
        }
        try exchange()
        #expect(client.usesECN == isWanted && server.usesECN == isWanted)
        _ = client.write([UInt8](repeating: 1, count: 5_000))
        try exchange(marking: true)
        _ = client.write([UInt8](repeating: 2, count: 5_000))
        try exchange()
        #expect(server.read().count == 10_000)
        #expect((server.counters.congestionMarks > 0) == isWanted)
        #expect((client.counters.congestionEchoes == 1) == isWanted)
        #expect(seen.dropFirst().contains { $0.contains(.cwr) } == isWanted)
        #expect(!server.mustEchoCongestion)
        #expect(client.violations == [] && server.violations == [])
    }

    @Test func anOldTimestampIsRefused() throws {
        let peer = SimTCPPeer(seed: 1)
        var now = Instant(nanoseconds: 5_000_000_000)
        let (local, remote) = (Endpoint("10.0.0.2:40000")!, Endpoint("192.0.2.1:80")!)
        peer.connect(to: remote, from: local, now: now)
        let syn = try #require(peer.nextPacket(now: now))
        let tcp = try TCPHeader.parse(syn.span.bytes.extracting(20..<syn.count))
        func give(_ flags: TCPFlags, _ sequence: UInt32, ts: UInt32, _ text: [UInt8] = []) {
            let options = TCPOptions(timestamps: (ts, tcp.options.timestamps!.value))
            let length = 20 + options.encodedLength
            var packet = [UInt8](repeating: 0, count: 20 + length) + text
            packet.withUnsafeMutableBytes { bytes in
                let memory = bytes.baseAddress!
                PacketWriter.writeIPHeader(
                    to: memory, source: remote.address, destination: local.address, protocol: IPProtocol.tcp,
                    payloadLength: length + text.count)
                PacketWriter.writeTCPHeader(
                    to: memory + 20, sourcePort: remote.port, destinationPort: local.port,
                    sequence: SequenceNumber(sequence), acknowledgment: tcp.sequence + 1, flags: flags, window: 1_000,
                    options: options)
                PacketWriter.setChecksum(
                    at: memory + 20, length: length + text.count, protocol: .tcp, source: remote.address,
                    destination: local.address)
            }
            peer.handle(packet, now: now)
            while peer.nextPacket(now: now) != nil {}
        }
        give([.syn, .ack], 700, ts: 1_000)
        #expect(peer.state == .established)
        now = now + .milliseconds(10)
        give(.ack, 701, ts: 999, [9, 9])
        #expect(peer.read() == [] && peer.counters.oldTimestamps == 1)
        give(.ack, 701, ts: 1_000, [1, 2])
        #expect(peer.read() == [1, 2])
        #expect(peer.violations == [])
    }
}

import Packets
import Primitives
import SimNet
import Testing

/// One peer against packets written by hand.
@Suite struct SimTCPPeerPacketTests {
    private let local = Endpoint(.v4(IPv4Address(0x0A00_0001)), 40000)
    private let remote = Endpoint(.v4(IPv4Address(0xC633_6402)), 443)
    private var now = Instant(nanoseconds: 5_000_000_000)
    private var peer: SimTCPPeer

    init() {
        var settings = SimTCPPeer.Settings()
        settings.timestamps = false
        settings.receiveBuffer = 10_000
        settings.windowScale = nil
        peer = SimTCPPeer(settings: settings, seed: 4)
        peer.connect(to: remote, from: local, now: now)
    }

    private func packet(
        _ flags: TCPFlags, sequence: UInt32, acknowledgment: UInt32, window: UInt16 = 5000, payload: [UInt8] = []
    ) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 40) + payload
        bytes.withUnsafeMutableBytes {
            let memory = $0.baseAddress!
            PacketWriter.writeIPHeader(
                to: memory, source: remote.address, destination: local.address, protocol: 6,
                payloadLength: 20 + payload.count)
            PacketWriter.writeTCPHeader(
                to: memory + 20, sourcePort: remote.port, destinationPort: local.port,
                sequence: SequenceNumber(sequence), acknowledgment: SequenceNumber(acknowledgment), flags: flags,
                window: window)
            PacketWriter.setChecksum(
                at: memory + 20, length: 20 + payload.count, protocol: .tcp, source: remote.address,
                destination: local.address)
        }
        return bytes
    }

    /// All that the peer has to say now.
    private mutating func sent() throws -> [TCPHeader] {
        var headers: [TCPHeader] = []
        while let packet = peer.nextPacket(now: now) {
            let ip = try IPHeader.parse(packet.span.bytes)
            let segment = packet.span.bytes.extracting(ip.upperLayer)
            let isValid = Checksum.isValid(
                segment: segment, source: ip.source, destination: ip.destination, protocol: 6)
            #expect(isValid && ip.source == local.address && ip.destination == remote.address)
            headers.append(try TCPHeader.parse(segment))
        }
        return headers
    }

    /// Opens the connection; the other side's sequence numbers begin at 1001. Returns our first one.
    private mutating func open() throws -> UInt32 {
        let syn = try #require(try sent().first)
        peer.handle(packet([.syn, .ack], sequence: 1000, acknowledgment: syn.sequence.rawValue &+ 1), now: now)
        let ack = try sent()
        #expect(ack.count == 1 && ack[0].flags == .ack && ack[0].acknowledgment == SequenceNumber(1001))
        #expect(peer.state == .established)
        return syn.sequence.rawValue &+ 1
    }

    @Test mutating func aResetRefuses() throws {
        let syn = try #require(try sent().first)
        // Not without ACK, and not for another SYN.
        peer.handle(packet(.rst, sequence: 0, acknowledgment: 0), now: now)
        peer.handle(packet([.rst, .ack], sequence: 0, acknowledgment: syn.sequence.rawValue), now: now)
        #expect(peer.outcome == nil)
        peer.handle(packet([.rst, .ack], sequence: 0, acknowledgment: syn.sequence.rawValue &+ 1), now: now)
        #expect(peer.outcome == .refused && peer.state == .closed && peer.nextDeadline == nil)
        let rest = try sent()
        #expect(rest.isEmpty)
    }

    @Test(arguments: [
        (UnreachableReason.host, UInt8(1)), (.network, 0), (.administrativelyProhibited, 13), (.port, 3),
    ])
    mutating func anICMPErrorSaysUnreachable(reason: UnreachableReason, code: UInt8) throws {
        let syn = try #require(peer.nextPacket(now: now))
        var error = [UInt8](repeating: 0, count: 576)
        let length = error.withUnsafeMutableBytes {
            ICMPWriter.destinationUnreachable(
                code: reason, quoting: syn.span.bytes, from: .v4(IPv4Address(0x0A00_00FE)), into: $0)
        }
        error.removeLast(error.count - length)
        var foreign = error
        foreign[28 + 21] ^= 1  // The quoted port; the checksum of ICMP would show it, so mend that too.
        foreign.withUnsafeMutableBytes {
            $0.baseAddress!.storeBigEndian(UInt16(0), at: 22)
            let sum = Checksum.sum(UnsafeRawBufferPointer(rebasing: $0[20...]))
            $0.baseAddress!.storeBigEndian(Checksum.finish(sum), at: 22)
        }
        let taken = (peer.handle(foreign, now: now), peer.outcome, peer.handle(error, now: now))
        #expect(taken.0 == false && taken.1 == nil && taken.2 == true)
        #expect(peer.outcome == .unreachable(type: 3, code: code) && peer.state == .closed && peer.violations == [])
    }

    @Test mutating func anICMPErrorAboutAnOpenConnectionIsSoft() throws {
        _ = try open()
        _ = peer.write([1, 2, 3])
        let data = try #require(peer.nextPacket(now: now))
        var error = [UInt8](repeating: 0, count: 576)
        let length = error.withUnsafeMutableBytes {
            ICMPWriter.destinationUnreachable(
                code: .host, quoting: data.span.bytes, from: .v4(IPv4Address(0x0A00_00FE)), into: $0)
        }
        peer.handle(Array(error[..<length]), now: now)
        #expect(peer.state == .established && peer.counters.softErrors == 1)
    }

    @Test mutating func silenceTimesOutAfterSevenSYNs() throws {
        let start = now
        var times: [Int64] = []
        while peer.outcome == nil {
            for tcp in try sent() {
                #expect(tcp.flags == .syn)
                times.append((now - start).nanoseconds / 1_000_000_000)
            }
            now = try #require(peer.nextDeadline)
            peer.handleTimeout(now: now)
        }
        #expect(times == [0, 1, 3, 7, 15, 31, 63])
        #expect(peer.outcome == .timedOut && (now - start) == .seconds(123))
    }

    @Test mutating func aResetMustHitTheExactNumber() throws {
        let next = try open()
        peer.handle(packet(.rst, sequence: 1002, acknowledgment: next), now: now)
        let challenge = try sent()
        #expect(challenge.count == 1 && challenge[0].flags == .ack && peer.state == .established)
        peer.handle(packet(.rst, sequence: 999, acknowledgment: next), now: now)
        let nothing = try sent()
        #expect(nothing.isEmpty && peer.state == .established)
        peer.handle(packet(.rst, sequence: 1001, acknowledgment: next), now: now)
        #expect(peer.receivedRST && peer.state == .closed)
    }

    @Test mutating func misbehaviourIsNoted() throws {
        let next = try open()
        peer.handle(packet(.ack, sequence: 1001, acknowledgment: next &+ 1), now: now)
        #expect(peer.violations.last?.contains("never sent") == true)
        peer.handle(packet(.ack, sequence: 11_000, acknowledgment: next, payload: [1, 2]), now: now)
        #expect(peer.violations.last?.contains("1 bytes beyond the window") == true)
        var damaged = packet(.ack, sequence: 1001, acknowledgment: next, payload: [1])
        damaged[40] = 2
        peer.handle(damaged, now: now)
        #expect(peer.violations.last?.contains("checksum") == true)
        peer.handle(packet([], sequence: 1001, acknowledgment: next), now: now)
        #expect(peer.violations.last?.contains("without ACK") == true)
        peer.handle(
            packet(.ack, sequence: 1001, acknowledgment: next, payload: [UInt8](repeating: 0, count: 1401)), now: now)
        #expect(peer.violations.last?.contains("above the MSS") == true)
        let count = peer.violations.count
        for _ in 0..<30 { peer.handle(damaged, now: now) }
        #expect(count == 5 && peer.violations.count == SimTCPPeer.violationLimit)
        // The last byte of the window was no violation, and the one beyond it was not taken.
        #expect(peer.counters.bytesReceived == 1401)
    }

    @Test mutating func theWindowShrinksByWhatIsNotRead() throws {
        let next = try open()
        peer.isReading = false
        var at: UInt32 = 1001
        for left in [8600, 7200, 5800, 4400, 3000, 1600, 200] as [UInt16] {
            peer.handle(
                packet(.ack, sequence: at, acknowledgment: next, payload: [UInt8](repeating: 7, count: 1400)), now: now)
            at += 1400
            now = now + .milliseconds(40)
            peer.handleTimeout(now: now)
            let ack = try sent()
            #expect(ack.last?.window == left && ack.last?.acknowledgment == SequenceNumber(at))
        }
        peer.handle(
            packet(.ack, sequence: at, acknowledgment: next, payload: [UInt8](repeating: 7, count: 200)), now: now)
        now = now + .milliseconds(40)
        peer.handleTimeout(now: now)
        let full = try sent()
        #expect(full.last?.window == 0)
        // A probe of one byte is answered, not taken, and no violation.
        peer.handle(packet(.ack, sequence: at + 200, acknowledgment: next, payload: [7]), now: now)
        let probed = try sent()
        #expect(probed.count == 1 && probed[0].window == 0 && peer.violations == [])
        peer.isReading = true
        let update = try sent()
        #expect(update.count == 1 && update[0].window == 10_000 && peer.read().count == 10_000)
    }

    @Test mutating func outOfOrderBytesAreSelectivelyAcknowledged() throws {
        var settings = SimTCPPeer.Settings()
        settings.timestamps = false
        peer = SimTCPPeer(settings: settings, seed: 4)
        peer.connect(to: remote, from: local, now: now)
        let syn = try #require(try sent().first)
        // A SYN-ACK with SACK permitted alone.
        var synAck = packet([.syn, .ack], sequence: 1000, acknowledgment: syn.sequence.rawValue &+ 1)
        synAck += [0, 0, 0, 0]
        synAck.withUnsafeMutableBytes {
            PacketWriter.writeIPHeader(
                to: $0.baseAddress!, source: remote.address, destination: local.address, protocol: 6, payloadLength: 24)
            PacketWriter.writeTCPHeader(
                to: $0.baseAddress! + 20, sourcePort: 443, destinationPort: 40000, sequence: SequenceNumber(1000),
                acknowledgment: syn.sequence + 1, flags: [.syn, .ack], window: 5000,
                options: TCPOptions(sackPermitted: true))
            PacketWriter.setChecksum(
                at: $0.baseAddress! + 20, length: 24, protocol: .tcp, source: remote.address, destination: local.address
            )
        }
        peer.handle(synAck, now: now)
        _ = try sent()
        let next = syn.sequence.rawValue &+ 1
        peer.handle(packet(.ack, sequence: 1011, acknowledgment: next, payload: Array(10..<20)), now: now)
        peer.handle(packet(.ack, sequence: 1016, acknowledgment: next, payload: Array(15..<30)), now: now)
        let gap = try #require(try sent().last)
        #expect(gap.acknowledgment == SequenceNumber(1001) && gap.options.sack.count == 1)
        #expect(gap.options.sack[0] == SACKBlock(start: SequenceNumber(1011), end: SequenceNumber(1031)))
        peer.handle(packet(.ack, sequence: 1001, acknowledgment: next, payload: Array(0..<12)), now: now)
        now = now + .milliseconds(40)
        peer.handleTimeout(now: now)
        let filled = try #require(try sent().last)
        #expect(filled.acknowledgment == SequenceNumber(1031) && filled.options.sack.isEmpty)
        #expect(peer.read() == Array(0..<30))
    }

    @Test mutating func whatComesAfterTheEndIsReset() throws {
        let next = try open()
        peer.abort()
        let reset = try sent()
        #expect(reset.count == 1 && reset[0].flags == [.rst, .ack] && reset[0].sequence == SequenceNumber(next))
        peer.handle(packet(.ack, sequence: 1001, acknowledgment: next, payload: [1]), now: now)
        let again = try sent()
        #expect(again.count == 1 && again[0].flags == .rst && again[0].sequence == SequenceNumber(next))
        let mine = peer.handle(packet(.rst, sequence: 1001, acknowledgment: next), now: now)
        let nothing = try sent()
        #expect(mine && nothing.isEmpty)
    }

    @Test(arguments: 0..<20) mutating func nothingThatArrivesTraps(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let next = try open()
        _ = peer.write([UInt8](repeating: 5, count: 20_000))
        for _ in 0..<300 where peer.state != .closed {
            // RST is rare, or nothing would live long.
            var flags = TCPFlags(rawValue: .random(in: 0...255, using: &random))
            if !random.chance(0.02) { flags.remove(.rst) }
            peer.handle(
                packet(
                    flags, sequence: 1001 &+ near(&random), acknowledgment: next &+ near(&random),
                    window: .random(in: 0...20_000, using: &random),
                    payload: random.bytes(.random(in: 0...1500, using: &random))), now: now)
            _ = try sent()
            now = now + .milliseconds(.random(in: 0...300, using: &random))
            peer.handleTimeout(now: now)
            _ = peer.read()
            peer.isReading = random.chance(0.7)
            #expect(peer.buffered <= 10_000 + 1)
        }
        #expect(peer.counters.packetsReceived > 1)
    }

    /// A small step forward, sometimes back, sometimes anywhere.
    private func near(_ random: inout SeededRandom) -> UInt32 {
        switch Int.random(in: 0..<10, using: &random) {
        case 0: .random(in: 0 ... .max, using: &random)
        case 1: 0 &- .random(in: 0...2000, using: &random)
        default: .random(in: 0...15_000, using: &random)
        }
    }
}

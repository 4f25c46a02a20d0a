import Packets
import Primitives
import SimNet
import Testing

@Suite struct SegmentationTests {
    private func superHeader(_ sample: SampleSegment, segmentSize: Int) -> VirtioHeader {
        .tcp(
            isIPv4: sample.isIPv4, ipHeaderLength: sample.ipLength,
            tcpHeaderLength: sample.headerLength - sample.ipLength, payloadLength: sample.payload.count,
            segmentSize: segmentSize)
    }

    private func split(_ packet: [UInt8], _ header: VirtioHeader, scratch: Int = 65_536) throws -> [[UInt8]] {
        var segments: [[UInt8]] = []
        var memory = [UInt8](repeating: 0, count: scratch)
        try memory.withUnsafeMutableBytes { buffer in
            let count = try Segmentation.split(packet: packet.span.bytes, header: header, scratch: buffer) {
                segments.append(Array($0))
            }
            #expect(count == segments.count)
        }
        return segments
    }

    private func join(_ segments: [[UInt8]]) -> [(packet: [UInt8], header: VirtioHeader)] {
        var memory = [UInt8](repeating: 0, count: 65_535)
        var joined: [([UInt8], VirtioHeader)] = []
        memory.withUnsafeMutableBytes { buffer in
            var coalescing = Coalescing(buffer: buffer)
            func flush(_ coalescing: inout Coalescing) {
                if let (length, header) = coalescing.take() { joined.append((Array(buffer[..<length]), header)) }
            }
            for segment in segments {
                if append(segment, to: &coalescing) == .mustFlush {
                    flush(&coalescing)
                    #expect(append(segment, to: &coalescing) == .started)
                }
            }
            flush(&coalescing)
            #expect(coalescing.isEmpty && coalescing.take() == nil)
        }
        return joined
    }

    @Test(arguments: [true, false]) func headersOfTheSegments(isIPv4: Bool) throws {
        var random = SeededRandom(seed: 3)
        let sample = SampleSegment(
            isIPv4: isIPv4, sequence: 0xFFFF_FF00, flags: [.ack, .psh, .fin, .cwr],
            options: TCPOptions(timestamps: (5, 6)), identification: 0xFFFF, payload: random.bytes(2500))
        let segments = try split(sample.packet(partialChecksum: true), superHeader(sample, segmentSize: 1000))
        #expect(segments.count == 3)
        var payload: [UInt8] = []
        for (index, segment) in segments.enumerated() {
            let (ip, tcp, bytes) = try decode(segment)
            #expect(ip.totalLength == segment.count && bytes.count == [1000, 1000, 500][index])
            #expect(tcp.sequence == SequenceNumber(0xFFFF_FF00) + index * 1000)
            #expect(tcp.flags == [[.ack, .cwr], .ack, [.ack, .psh, .fin]][index])
            #expect(tcp.options == sample.options && tcp.window == 501)
            if isIPv4 { #expect(ip.identification == [0xFFFF, 0, 1][index]) }
            payload += bytes
        }
        #expect(payload == sample.payload)
    }

    @Test func aPlainPacketComesOutWithItsChecksumFinished() throws {
        let sample = SampleSegment(flags: [.ack, .psh], payload: [1, 2, 3])
        let header = superHeader(sample, segmentSize: 1000)
        #expect(header.gsoType == .none)
        #expect(try split(sample.packet(partialChecksum: true), header) == [sample.packet()])
        #expect(try split(sample.packet(), .none) == [sample.packet()])
        #expect(try split(sample.packet() + [0, 0], .none) == [sample.packet()], "padding is left behind")
    }

    @Test(arguments: [Captured.synV4, Captured.dataV4, Captured.synV6, Captured.finV6, Captured.udpV4, Captured.udpV6])
    func theKernelsChecksumsAreFinished(packet: [UInt8]) throws {
        let ip = try IPHeader.parse(packet)
        let proto = try #require(TransportProtocol(rawValue: ip.protocol))
        let header = VirtioHeader(
            flags: VirtioHeader.needsChecksum, checksumStart: UInt16(ip.headerLength),
            checksumOffset: UInt16(proto.checksumOffset))
        var copy = packet
        #expect(copy.withUnsafeMutableBytes { Segmentation.completeChecksum(packet: $0, header: header) })
        #expect(
            Checksum.isValid(
                segment: copy[ip.upperLayer], source: ip.source, destination: ip.destination,
                protocol: ip.protocol))
    }

    @Test func aChecksumOutsideThePacketIsRefused() {
        var packet = Captured.udpV4
        let last = UInt16(packet.count)
        for (start, offset, isRight) in [
            (last - 2, 0, true), (last - 1, 0, false), (20, last - 22, true), (20, last - 21, false),
            (0xFFFF, 0xFFFF, false),
        ] {
            let header = VirtioHeader(flags: 1, checksumStart: start, checksumOffset: offset)
            let before = packet
            #expect(
                packet.withUnsafeMutableBytes { Segmentation.completeChecksum(packet: $0, header: header) } == isRight)
            if !isRight { #expect(packet == before) }
        }
    }

    @Test(arguments: [true, false]) func datagramsAreCut(isIPv4: Bool) throws {
        let (source, destination) =
            isIPv4 ? (ipv4("192.0.2.1"), ipv4("192.0.2.2")) : (ipv6("2001:db8::1"), ipv6("2001:db8::2"))
        let ipLength = isIPv4 ? 20 : 40
        let payload = (0..<250).map { UInt8($0) }
        var packet = [UInt8](repeating: 0, count: ipLength + 8) + payload
        packet.withUnsafeMutableBytes {
            PacketWriter.writeIPHeader(
                to: $0.baseAddress!, source: source, destination: destination, protocol: 17, payloadLength: 258)
            PacketWriter.writeUDPHeader(
                to: $0.baseAddress! + ipLength, sourcePort: 5, destinationPort: 6, payloadLength: 250)
        }
        let header = VirtioHeader(
            flags: 1, gsoType: .udpL4, headerLength: UInt16(ipLength + 8), segmentSize: 100,
            checksumStart: UInt16(ipLength), checksumOffset: 6)
        var out: [UInt8] = []
        for (index, segment) in try split(packet, header).enumerated() {
            let ip = try IPHeader.parse(segment)
            let udp = try UDPHeader.parse(segment[ip.upperLayer])
            #expect(udp.length == [108, 108, 58][index] && ip.totalLength == segment.count)
            #expect(
                Checksum.isValid(
                    segment: segment[ip.upperLayer], source: source, destination: destination,
                    protocol: 17))
            out += segment[(ipLength + 8)...]
        }
        #expect(out == payload)
    }

    @Test func whatCannotBeSplit() {
        let sample = SampleSegment(payload: [UInt8](repeating: 1, count: 300))
        let header = superHeader(sample, segmentSize: 100)
        func error(_ packet: [UInt8], _ header: VirtioHeader, scratch: Int = 1000) -> Segmentation.SplitError? {
            do {
                _ = try split(packet, header, scratch: scratch)
                return nil
            } catch { return error as? Segmentation.SplitError }
        }
        var other = header
        other.gsoType = .tcpv6
        #expect(error(sample.packet(), other) == .malformed)
        other.gsoType = .udpL4
        #expect(error(sample.packet(), other) == .malformed)
        other.gsoType = .udp
        #expect(error(sample.packet(), other) == .notDivisible)
        other = header
        other.segmentSize = 0
        #expect(error(sample.packet(), other) == .notDivisible)
        for flag in [TCPFlags.syn, .rst] {
            var started = sample
            started.flags = [.ack, flag]
            #expect(error(started.packet(), header) == .notDivisible)
        }
        #expect(error(Array(sample.packet()[..<30]), header) == .malformed)
        #expect(error(sample.packet(), header, scratch: 139) == .noRoom)
        #expect(error(sample.packet(), header, scratch: 140) == nil)
        #expect(error(sample.packet(), VirtioHeader(flags: 1, checksumStart: 400)) == .malformed)
    }

    @Test(arguments: 0..<100) func splitAndCoalesceAreInverse(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let segmentSize = Int.random(in: 1...1460, using: &random)
        let size = Int.random(in: 1...min(60_000, segmentSize * 100), using: &random)
        let sample = SampleSegment(
            isIPv4: .random(using: &random), sequence: .random(in: 0 ... .max, using: &random),
            flags: Bool.random(using: &random) ? [.ack, .psh] : .ack,
            options: Bool.random(using: &random) ? TCPOptions(timestamps: (1, 2)) : .none,
            identification: .random(in: 0 ... .max, using: &random), payload: random.bytes(size))
        let packet = sample.packet(partialChecksum: size > segmentSize)
        let header = superHeader(sample, segmentSize: segmentSize)
        let segments = try split(packet, size > segmentSize ? header : .none)
        #expect(segments.count == (size + segmentSize - 1) / segmentSize)
        let joined = join(segments)
        try #require(joined.count == 1, "seed \(seed)")
        #expect(joined[0].packet == packet, "seed \(seed)")
        #expect(joined[0].header == (size > segmentSize ? header : VirtioHeader(flags: VirtioHeader.dataValid)))
        let again = try split(joined[0].packet, joined[0].header)
        #expect(again == segments, "seed \(seed)")
    }

    @Test func whatDoesNotFollowIsNotJoined() {
        let first = SampleSegment(options: TCPOptions(timestamps: (1, 2)), payload: [UInt8](repeating: 7, count: 100))
        var next = first
        next.sequence += 100
        #expect(join([first.packet(), next.packet()]).count == 1)
        var changes: [String: SampleSegment] = [:]
        func change(_ name: String, _ body: (inout SampleSegment) -> Void) {
            changes[name] = next
            body(&changes[name]!)
        }
        change("gap") { $0.sequence += 1 }
        change("hop limit") { $0.hopLimit = 63 }
        change("traffic class") { $0.trafficClass = 3 }
        change("options") { $0.options = .none }
        change("timestamp") { $0.options.timestamps = (2, 2) }
        change("larger") { $0.payload.append(1) }
        change("family") { $0.isIPv4 = false }
        for (name, second) in changes {
            #expect(join([first.packet(), second.packet()]).count == 2, "\(name)")
        }
        var pushed = first
        pushed.flags = [.ack, .psh]
        #expect(join([pushed.packet(), next.packet()]).count == 2, "PSH ends")
        var short = next
        short.payload = [1]
        var third = next
        third.sequence += 1
        #expect(join([first.packet(), short.packet(), third.packet()]).count == 2, "a smaller one ends")
    }

    @Test func whatCanBeginNothing() {
        var memory = [UInt8](repeating: 0, count: 200)
        memory.withUnsafeMutableBytes { buffer in
            var coalescing = Coalescing(buffer: buffer)
            func outcome(_ packet: [UInt8]) -> Coalescing.Outcome { append(packet, to: &coalescing) }
            for flags in [[.syn], [.ack, .rst], [.ack, .urg], [.ack, .ece], [.ack, .cwr], [.psh]] as [TCPFlags] {
                #expect(outcome(SampleSegment(flags: flags, payload: [1]).packet()) == .notEligible)
            }
            #expect(outcome(SampleSegment().packet()) == .notEligible, "an ACK alone")
            #expect(outcome(Captured.udpV4) == .notEligible)
            #expect(outcome([1, 2, 3]) == .notEligible)
            var damaged = SampleSegment(payload: [1, 2, 3]).packet()
            damaged[42] ^= 1
            #expect(outcome(damaged) == .notEligible)
            #expect(outcome(SampleSegment(payload: [UInt8](repeating: 0, count: 161)).packet()) == .notEligible)
            // The buffer's limit: 40 of headers and 160 of payload.
            let first = SampleSegment(payload: [UInt8](repeating: 0, count: 80))
            var second = first
            second.sequence += 80
            var third = second
            third.sequence += 80
            third.payload = [1]
            #expect(outcome(first.packet()) == .started && outcome(second.packet()) == .joined)
            #expect(outcome(third.packet()) == .mustFlush && outcome(damaged) == .mustFlush)
            #expect(coalescing.take()?.length == 200)
        }
    }
}

import Packets
import Primitives
import SimNet
import Testing

/// Whatever arrives, nothing traps: 100 000 damaged packets through every reader.
@Suite struct MutationTests {
    @Test(arguments: 0..<4) func damagedPacketsNeverTrap(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var output = [UInt8](repeating: 0, count: 2000)
        var joined = [UInt8](repeating: 0, count: 65_535)
        var parsed = 0
        output.withUnsafeMutableBytes { output in
            joined.withUnsafeMutableBytes { joined in
                var coalescing = Coalescing(buffer: joined)
                for _ in 0..<25_000 {
                    let packet = damaged(&random)
                    if read(packet, &random, output) { parsed += 1 }
                    if coalescing.append(packet.span.bytes, checksumIsTrusted: true) == .mustFlush {
                        _ = coalescing.take()
                    }
                }
            }
        }
        // Damage that no reader gets behind would test nothing.
        #expect(parsed > 5000)
    }

    private func damaged(_ random: inout SeededRandom) -> [UInt8] {
        var packet = Captured.all.randomElement(using: &random)!
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            packet[.random(in: 0..<packet.count, using: &random)] = .random(in: 0...255, using: &random)
        }
        if random.chance(0.2) { packet.removeLast(.random(in: 0..<packet.count, using: &random)) }
        if random.chance(0.1) { packet += random.bytes(.random(in: 0...40, using: &random)) }
        // Half of them get a right header checksum, so that the damage reaches the layers above.
        let headerLength = packet.isEmpty ? 0 : Int(packet[0] & 15) * 4
        if random.chance(0.7), packet.count >= max(20, headerLength), headerLength >= 20 {
            packet.withUnsafeMutableBytes {
                PacketWriter.setIPv4HeaderChecksum(at: $0.baseAddress!, headerLength: headerLength)
            }
        }
        return packet
    }

    private func read(
        _ packet: [UInt8], _ random: inout SeededRandom, _ output: UnsafeMutableRawBufferPointer
    ) -> Bool {
        let bytes = packet.span.bytes
        _ = try? IPHeader.parseQuoted(bytes)
        _ = try? TCPHeader.parse(bytes)
        _ = try? UDPHeader.parse(bytes)
        _ = try? ICMPHeader.parse(bytes)
        _ = TCPOptions(bytes)
        // The writers cost the most; a part of the packets is enough for them.
        if random.chance(0.2) { rewrite(packet, &random, output) }
        guard let ip = try? IPHeader.parse(bytes) else { return false }
        let upper = bytes.extracting(ip.upperLayer)
        if let tcp = try? TCPHeader.parse(upper) { _ = upper.extracting(tcp.headerLength..<upper.byteCount) }
        if let udp = try? UDPHeader.parse(upper) { _ = upper.extracting(UDPHeader.byteCount..<udp.length) }
        return true
    }

    private func rewrite(
        _ packet: [UInt8], _ random: inout SeededRandom, _ output: UnsafeMutableRawBufferPointer
    ) {
        let bytes = packet.span.bytes
        for source in [ipv4("192.0.2.9"), ipv6("2001:db8::9")] {
            _ = ICMPWriter.destinationUnreachable(code: .port, quoting: bytes, from: source, into: output)
        }
        let header = VirtioHeader(random.bytes(10).span.bytes) ?? .none
        _ = try? Segmentation.split(packet: bytes, header: header, scratch: output) { _ in }
        for type in [VirtioHeader.GSOType.tcpv4, .tcpv6, .udpL4] {
            let header = VirtioHeader(gsoType: type, segmentSize: .random(in: 0...50, using: &random))
            _ = try? Segmentation.split(packet: bytes, header: header, scratch: output) { _ in }
        }
    }
}

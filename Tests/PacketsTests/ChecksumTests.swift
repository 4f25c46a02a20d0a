import Packets
import Primitives
import SimNet
import Testing

@Suite struct ChecksumTests {
    /// RFC 1071 as it stands: 16 bits at a time.
    private func reference(_ bytes: some Collection<UInt8>) -> UInt16 {
        var sum: UInt32 = 0
        var high: UInt8?
        for byte in bytes {
            if let first = high {
                sum += UInt32(first) << 8 | UInt32(byte)
                high = nil
            } else {
                high = byte
            }
        }
        if let high { sum += UInt32(high) << 8 }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        return UInt16(sum)
    }

    @Test func exampleOfRFC1071() {
        let bytes = hex("0001 f203 f4f5 f6f7")
        #expect(Checksum.fold(Checksum.sum(bytes)) == 0xDDF2)
        #expect(Checksum.finish(Checksum.sum(bytes)) == 0x220D)
    }

    @Test func nothingSumsToZero() {
        #expect(Checksum.fold(Checksum.sum([UInt8]())) == 0)
        #expect(Checksum.sum(UnsafeRawBufferPointer(start: nil, count: 0), initial: 5) == 5)
    }

    @Test func allLengthsAtAllAlignments() {
        var random = SeededRandom(seed: 1)
        var bytes = random.bytes(220)
        bytes.replaceSubrange(60..<120, with: repeatElement(0xFF, count: 60))
        bytes.withUnsafeBytes { buffer in
            for length in 0...200 {
                for start in 0..<16 {
                    let piece = UnsafeRawBufferPointer(rebasing: buffer[start..<start + length])
                    #expect(Checksum.fold(Checksum.sum(piece)) == reference(piece), "length \(length) at \(start)")
                }
            }
        }
    }

    @Test func carriesOfLongRunsAreKept() {
        for length in [65_535, 65_534, 4096] {
            let bytes = [UInt8](repeating: 0xFF, count: length)
            #expect(Checksum.fold(Checksum.sum(bytes)) == reference(bytes))
        }
    }

    @Test(arguments: 0..<200) func piecesOfAnyLengthSumToTheWhole(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let bytes = random.bytes(.random(in: 0...300, using: &random))
        var accumulator = Checksum.Accumulator()
        bytes.withUnsafeBytes { buffer in
            var at = 0
            while at < buffer.count {
                let end = min(buffer.count, at + .random(in: 0...9, using: &random))
                accumulator.add(UnsafeRawBufferPointer(rebasing: buffer[at..<end]))
                at = end
            }
        }
        #expect(accumulator.count == bytes.count)
        #expect(Checksum.fold(accumulator.sum) == reference(bytes))
    }

    @Test func pseudoHeaderOfBothFamilies() {
        let v4 = hex("c0000201 c6336402 00 06 0123")
        let sum4 = Checksum.pseudoHeader(
            source: ipv4("192.0.2.1"), destination: ipv4("198.51.100.2"), protocol: 6, length: 0x123)
        #expect(Checksum.fold(sum4) == reference(v4))
        let v6 = hex(
            "20010db8000000000000000000000001 20010db8ffff00000000000000000002 00012345 00000011")
        let sum6 = Checksum.pseudoHeader(
            source: ipv6("2001:db8::1"), destination: ipv6("2001:db8:ffff::2"), protocol: 17, length: 0x12345)
        #expect(Checksum.fold(sum6) == reference(v6))
    }

    @Test func aFlippedBitIsFound() throws {
        let packet = SampleSegment(payload: Array(0..<33)).packet()
        _ = try decode(packet)
        for bit in 0..<packet.count * 8 {
            var damaged = packet
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: (any Error).self, "bit \(bit)") { try decode(damaged) }
        }
    }

    /// The kernel's field of a packet whose checksum is left to the device.
    @Test(arguments: [Captured.synV4, Captured.dataV4, Captured.synV6, Captured.finV6, Captured.udpV4, Captured.udpV6])
    func partialChecksumsAreTheKernels(packet: [UInt8]) throws {
        let ip = try IPHeader.parse(packet)
        let proto = try #require(TransportProtocol(rawValue: ip.protocol))
        var copy = packet
        copy[ip.headerLength + proto.checksumOffset] = 0xAA
        copy.withUnsafeMutableBytes {
            PacketWriter.setPartialChecksum(
                at: $0.baseAddress! + ip.headerLength, length: ip.upperLayer.count, protocol: proto, source: ip.source,
                destination: ip.destination)
        }
        #expect(copy == packet)
    }

    @Test func aUDPChecksumOfZeroIsWrittenAsOnes() throws {
        // With this payload the sum is 0xFFFF, whose complement would be zero.
        var bytes = [UInt8](repeating: 0, count: 10)
        let (source, destination) = (ipv4("0.0.0.0"), ipv4("0.0.0.0"))
        bytes.withUnsafeMutableBytes {
            PacketWriter.writeUDPHeader(to: $0.baseAddress!, sourcePort: 0, destinationPort: 0, payloadLength: 2)
            $0.baseAddress!.storeBigEndian(UInt16(0xFFFF - 17 - 10 - 10), at: 8)
            PacketWriter.setChecksum(
                at: $0.baseAddress!, length: 10, protocol: .udp, source: source, destination: destination)
        }
        #expect(try UDPHeader.parse(bytes).checksum == 0xFFFF)
        #expect(Checksum.isValid(segment: bytes, source: source, destination: destination, protocol: 17))
    }
}

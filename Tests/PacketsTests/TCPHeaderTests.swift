import Packets
import Primitives
import SimNet
import Testing

@Suite struct TCPHeaderTests {
    private func segment(_ packet: [UInt8]) -> [UInt8] { Array(packet[(packet[0] >> 4 == 4 ? 20 : 40)...]) }

    @Test func theKernelsSYN() throws {
        let tcp = try TCPHeader.parse(segment(Captured.synV4))
        #expect(tcp.sourcePort == 40966 && tcp.destinationPort == 8080 && tcp.flags == .syn)
        #expect(tcp.sequence == SequenceNumber(0xA3AD_B76C) && tcp.window == 0xFFD7 && tcp.headerLength == 40)
        #expect(
            tcp.options
                == TCPOptions(
                    maximumSegmentSize: 65_495, windowScale: 10, sackPermitted: true, timestamps: (0x2DE8_C977, 0)))
    }

    @Test func theKernelsOptionsAreWrittenTheSameWay() throws {
        for packet in [Captured.synV4, Captured.synAckV4, Captured.synV6, Captured.finV6] {
            let bytes = segment(packet)
            let tcp = try TCPHeader.parse(bytes)
            #expect(written(tcp.options) == Array(bytes[20..<tcp.headerLength]))
        }
    }

    @Test(arguments: [Captured.synV4, Captured.finV6]) func everyTruncationIsRefused(packet: [UInt8]) {
        let bytes = segment(packet)
        for count in 0..<bytes.count {
            #expect(throws: TCPHeader.ParseError.truncated) {
                try TCPHeader.parse(Array(bytes[..<count]))
            }
        }
    }

    @Test func aDataOffsetBelowFiveIsRefused() {
        var bytes = segment(Captured.synV4)
        for words in 0..<5 as Range<UInt8> {
            bytes[12] = words << 4
            #expect(throws: TCPHeader.ParseError.badHeaderLength) { try TCPHeader.parse(bytes) }
        }
    }

    @Test(arguments: 0..<500) func writtenHeadersAreReadBack(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let options = random.options()
        let ports = (UInt16.random(in: 0 ... .max, using: &random), UInt16.random(in: 0 ... .max, using: &random))
        let sequence = SequenceNumber(.random(in: 0 ... .max, using: &random))
        let acknowledgment = SequenceNumber(.random(in: 0 ... .max, using: &random))
        let flags = TCPFlags(rawValue: .random(in: 0 ... .max, using: &random))
        let window = UInt16.random(in: 0 ... .max, using: &random)
        let urgent = UInt16.random(in: 0 ... .max, using: &random)
        var bytes = [UInt8](repeating: 0xEE, count: 64)
        let length = bytes.withUnsafeMutableBytes {
            PacketWriter.writeTCPHeader(
                to: $0.baseAddress!, sourcePort: ports.0, destinationPort: ports.1, sequence: sequence,
                acknowledgment: acknowledgment, flags: flags, window: window, urgentPointer: urgent, options: options)
        }
        #expect(length == 20 + options.encodedLength && length % 4 == 0 && length <= 60)
        #expect(bytes[length...].allSatisfy { $0 == 0xEE })
        let read = try TCPHeader.parse(bytes)
        #expect(read.sourcePort == ports.0 && read.destinationPort == ports.1 && read.headerLength == length)
        #expect(read.sequence == sequence && read.acknowledgment == acknowledgment && read.flags == flags)
        #expect(read.window == window && read.urgentPointer == urgent && read.checksum == 0)
        // What did not fit is left out from the end.
        var expected = options
        expected.sack = SACKBlocks()
        for block in options.sack.prefix(read.options.sack.count) { _ = expected.sack.append(block) }
        #expect(read.options == expected)
        #expect(read.options.sack.count == options.sack.count || length + 8 > 60)
    }

    // MARK: Options

    private func written(_ options: TCPOptions) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 60)
        let length = bytes.withUnsafeMutableBytes {
            PacketWriter.writeTCPHeader(
                to: $0.baseAddress!, sourcePort: 1, destinationPort: 2, sequence: SequenceNumber(0),
                acknowledgment: SequenceNumber(0), flags: .ack, window: 0, options: options)
        }
        return Array(bytes[20..<length])
    }

    private func options(_ text: String) -> TCPOptions { TCPOptions(hex(text)) }

    @Test func theMostBlocksThatFit() {
        var sack = SACKBlocks()
        for n in 0..<4 as Range<UInt32> {
            let taken = sack.append(SACKBlock(start: SequenceNumber(n), end: SequenceNumber(n + 1)))
            #expect(taken && sack.count == Int(n) + 1)
        }
        let taken = sack.append(SACKBlock(start: SequenceNumber(9), end: SequenceNumber(10)))
        #expect(!taken && sack.count == SACKBlocks.limit)
        #expect(TCPOptions(written(TCPOptions(sack: sack))).sack == sack)
        let beside = TCPOptions(written(TCPOptions(timestamps: (1, 2), sack: sack)))
        #expect(beside.sack.count == 3 && beside.timestamps?.echo == 2)
    }

    @Test func unknownKindsAreSkipped() {
        #expect(options("fe04abcd 0204 05b4").maximumSegmentSize == 1460)
        #expect(options("01010101 1e02 0204 05b4").maximumSegmentSize == 1460)
    }

    @Test func knownKindsOfWrongLengthAreSkipped() {
        #expect(options("0203 05 030307") == TCPOptions(windowScale: 7))
        #expect(options("0205 05b400 030307") == TCPOptions(windowScale: 7))
        #expect(options("0302 0402") == TCPOptions(sackPermitted: true))
        #expect(options("0403 00 030307") == TCPOptions(windowScale: 7))
        #expect(options("0809 00000000000000 0402") == TCPOptions(sackPermitted: true))
        #expect(options("0502 0402") == TCPOptions(sackPermitted: true))
        #expect(options("0506 00000000 0402") == TCPOptions(sackPermitted: true))
    }

    @Test func aLengthThatLeadsNowhereEndsTheReading() {
        for bad in ["0200", "0201", "02", "08", "080a0000", "05ff", "fe00", "fe01", "fe"] {
            #expect(options("030307" + bad) == TCPOptions(windowScale: 7), "\(bad)")
        }
    }

    @Test func nothingIsReadAfterTheEnd() {
        #expect(options("030307 00 020405b4") == TCPOptions(windowScale: 7))
        #expect(options("") == TCPOptions())
    }

    @Test func aLargeWindowScaleCountsAsFourteen() {
        #expect(options("03030e").windowScale == 14)
        #expect(options("0303ff").windowScale == 14)
    }
}

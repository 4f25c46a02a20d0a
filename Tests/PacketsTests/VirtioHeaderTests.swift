import Packets
import SimNet
import Testing

@Suite struct VirtioHeaderTests {
    private func stored(_ header: VirtioHeader) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: 12)
        bytes.withUnsafeMutableBytes { header.store(to: $0.baseAddress! + 1) }
        #expect(bytes.first == 0xEE && bytes.last == 0xEE)
        return Array(bytes[1..<11])
    }

    @Test func layoutOfTheStruct() {
        let header = VirtioHeader(
            flags: VirtioHeader.needsChecksum, gsoType: .tcpv4, ecn: true, headerLength: 0x0102, segmentSize: 0x0304,
            checksumStart: 0x0506, checksumOffset: 0x0708)
        #expect(stored(header) == hex("01 81 0201 0403 0605 0807"))
        #expect(stored(.none) == [UInt8](repeating: 0, count: 10))
    }

    @Test func everyTypeSurvivesTheWay() {
        for type in [VirtioHeader.GSOType.none, .tcpv4, .udp, .tcpv6, .udpL4] {
            for ecn in [false, true] {
                let header = VirtioHeader(
                    flags: 3, gsoType: type, ecn: ecn, headerLength: 54, segmentSize: 1448, checksumStart: 34,
                    checksumOffset: 16)
                #expect(VirtioHeader(stored(header)) == header)
            }
        }
    }

    @Test func unknownTypesAndShortHeadersAreRefused() {
        for type in 0...255 as ClosedRange<UInt8> {
            var bytes = [UInt8](repeating: 0, count: 10)
            bytes[1] = type
            let known: Set<UInt8> = [0, 1, 3, 4, 5]
            #expect((VirtioHeader(bytes) != nil) == known.contains(type & 0x7F), "type \(type)")
        }
        for count in 0..<10 { #expect(VirtioHeader([UInt8](repeating: 0, count: count)) == nil) }
    }

    @Test func theHeaderOfATCPPacketNamesAGSOTypeOnlyAboveOneSegment() {
        let plain = VirtioHeader.tcp(
            isIPv4: true, ipHeaderLength: 20, tcpHeaderLength: 32, payloadLength: 1448, segmentSize: 1448)
        #expect(plain == VirtioHeader(flags: VirtioHeader.needsChecksum, checksumStart: 20, checksumOffset: 16))
        let large = VirtioHeader.tcp(
            isIPv4: false, ipHeaderLength: 40, tcpHeaderLength: 20, payloadLength: 1449, segmentSize: 1448)
        #expect(large.gsoType == .tcpv6 && large.headerLength == 60 && large.segmentSize == 1448)
        #expect(large.checksumStart == 40 && large.checksumIsTrusted)
    }
}

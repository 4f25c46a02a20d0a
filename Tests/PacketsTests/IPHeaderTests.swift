import Packets
import Primitives
import SimNet
import Testing

@Suite struct IPHeaderTests {
    private func rewriteChecksum(_ packet: inout [UInt8]) {
        let headerLength = Int(packet[0] & 15) * 4
        packet.withUnsafeMutableBytes {
            PacketWriter.setIPv4HeaderChecksum(at: $0.baseAddress!, headerLength: headerLength)
        }
    }

    @Test func packetsOfTheKernel() throws {
        let v4 = try IPHeader.parse(Captured.synV4)
        #expect(v4.source == ipv4("127.0.0.1") && v4.destination == ipv4("127.0.0.1"))
        #expect(v4.protocol == IPProtocol.tcp && v4.headerLength == 20 && v4.totalLength == 60)
        #expect(v4.hopLimit == 64 && v4.trafficClass == 0 && v4.identification == 0x6274)
        #expect(v4.dontFragment && !v4.isFragment)
        let v6 = try IPHeader.parse(Captured.udpV6)
        #expect(v6.source == ipv6("::1") && v6.protocol == IPProtocol.udp)
        #expect(v6.upperLayer == 40..<51 && v6.hopLimit == 64 && v6.dontFragment && !v6.isFragment)
        #expect(try IPHeader.parse(Captured.portUnreachableV4).trafficClass == 0xC0)
    }

    @Test func paddingIsIgnored() throws {
        let ip = try IPHeader.parse((Captured.udpV4 + [1, 2, 3]))
        #expect(ip.upperLayer == 20..<31)
    }

    @Test func optionsOfIPv4AreSkipped() throws {
        var packet = Captured.udpV4
        packet.insert(contentsOf: [1, 1, 1, 0], at: 20)
        packet[0] = 0x46
        packet[3] += 4
        rewriteChecksum(&packet)
        #expect(try IPHeader.parse(packet).upperLayer == 24..<35)
    }

    @Test func fragmentsOfIPv4() throws {
        var packet = Captured.udpV4
        (packet[6], packet[7]) = (0x20, 0x05)
        rewriteChecksum(&packet)
        let ip = try IPHeader.parse(packet)
        #expect(ip.isFragment && ip.moreFragments && ip.fragmentOffset == 40 && !ip.dontFragment)
    }

    @Test func extensionHeadersOfIPv6AreWalked() throws {
        let ip = try IPHeader.parse(Captured.extensionsV6)
        #expect(ip.protocol == IPProtocol.udp && ip.headerLength == 56 && ip.totalLength == 64)
        #expect(ip.identification == 0x1234_5678 && !ip.isFragment)
    }

    @Test func aLaterFragmentOfIPv6EndsTheWalk() throws {
        var packet = Captured.extensionsV6
        // Offset 16, more to come; its "next header" says destination options, which stand in the first fragment.
        (packet[48], packet[50], packet[51]) = (60, 0, 17)
        let ip = try IPHeader.parse(packet)
        #expect(ip.fragmentOffset == 16 && ip.moreFragments && ip.headerLength == 56)
        #expect(ip.protocol == IPProtocol.destinationOptions)
    }

    @Test func extensionHeadersHaveALimit() throws {
        func chain(_ count: Int) -> [UInt8] {
            var packet = Array(Captured.udpV6[..<40])
            packet[6] = IPProtocol.destinationOptions
            for index in 0..<count {
                packet += [index == count - 1 ? 17 : IPProtocol.destinationOptions, 0, 1, 4, 0, 0, 0, 0]
            }
            packet += [0, 53, 0, 53, 0, 8, 0, 0]
            packet[5] = UInt8(packet.count - 40)
            return packet
        }
        let atLimit = try IPHeader.parse(chain(IPHeader.maximumExtensionHeaders))
        #expect(atLimit.protocol == 17 && atLimit.upperLayer.count == 8)
        #expect(throws: IPHeader.ParseError.tooManyExtensionHeaders) {
            try IPHeader.parse(chain(IPHeader.maximumExtensionHeaders + 1))
        }
    }

    @Test func malformedHeadersAreRefused() {
        func error(_ change: (inout [UInt8]) -> Void, _ packet: [UInt8] = Captured.synV4) -> IPHeader.ParseError? {
            var packet = packet
            change(&packet)
            do {
                _ = try IPHeader.parse(packet)
                return nil
            } catch { return error }
        }
        #expect(error({ $0 = [] }) == .truncated)
        #expect(error({ $0[0] = 0x55 }) == .badVersion)
        #expect(error({ $0[0] = 0x44 }) == .badLength)
        #expect(error({ $0[3] = 19 }) == .badLength)
        #expect(error({ $0[3] = 61 }) == .truncated)
        #expect(error({ $0[10] ^= 1 }) == .badHeaderChecksum)
        #expect(error({ $0[5] += 1 }, Captured.udpV6) == .truncated)
        // A hop-by-hop header that reaches beyond the payload length, and one that has no room at all.
        #expect(error({ $0[41] = 3 }, Captured.extensionsV6) == .badLength)
        #expect(error({ $0[5] = 7 }, Captured.extensionsV6) == .badLength)
    }

    @Test(arguments: Captured.all) func everyTruncationIsRefused(packet: [UInt8]) {
        for count in 0..<packet.count {
            #expect(throws: IPHeader.ParseError.truncated, "\(count) bytes") {
                try IPHeader.parse(Array(packet[..<count]))
            }
        }
    }

    @Test func aQuotedPacketMayBeCutOff() throws {
        var quoted = Array(Captured.synV4[..<28])
        quoted[8] = 1  // A router counted the TTL down and did not mend the checksum.
        let ip = try IPHeader.parseQuoted(quoted)
        #expect(ip.totalLength == 60 && ip.headerLength == 20 && ip.protocol == IPProtocol.tcp)
        #expect(throws: IPHeader.ParseError.truncated) {
            try IPHeader.parseQuoted(quoted[0..<19])
        }
        let v6 = try IPHeader.parseQuoted(Captured.extensionsV6[0..<56])
        #expect(v6.headerLength == 56 && v6.totalLength == 64)
    }

    @Test(arguments: 0..<300) func writtenHeadersAreReadBack(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let isIPv4 = Bool.random(using: &random)
        let payload = Int.random(in: 0...1500, using: &random)
        let (source, destination) = (random.address(isIPv4: isIPv4), random.address(isIPv4: isIPv4))
        let hopLimit = UInt8.random(in: 0 ... .max, using: &random)
        let trafficClass = UInt8.random(in: 0 ... .max, using: &random)
        let identification = UInt16.random(in: 0 ... .max, using: &random)
        var bytes = [UInt8](repeating: 0xEE, count: 40 + payload)
        let length = bytes.withUnsafeMutableBytes {
            PacketWriter.writeIPHeader(
                to: $0.baseAddress!, source: source, destination: destination, protocol: 17, payloadLength: payload,
                hopLimit: hopLimit, trafficClass: trafficClass, identification: identification)
        }
        let ip = try IPHeader.parse(bytes)
        #expect(length == (isIPv4 ? 20 : 40) && length == PacketWriter.ipHeaderLength(isIPv4: isIPv4))
        #expect(ip.source == source && ip.destination == destination && ip.protocol == 17)
        #expect(ip.upperLayer == length..<length + payload)
        #expect(ip.hopLimit == hopLimit && ip.trafficClass == trafficClass)
        #expect(ip.identification == (isIPv4 ? UInt32(identification) : 0))
        #expect(ip.dontFragment && !ip.isFragment && ip.fragmentOffset == 0)
    }
}

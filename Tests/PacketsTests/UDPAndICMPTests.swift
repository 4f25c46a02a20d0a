import Packets
import Primitives
import SimNet
import Testing

@Suite struct UDPHeaderTests {
    @Test func theKernelsDatagram() throws {
        let udp = try UDPHeader.parse(Captured.udpV4[20..<31])
        #expect(udp.sourcePort == 0xDF65 && udp.destinationPort == 9 && udp.length == 11 && udp.checksum == 0xFE1E)
    }

    @Test func lengthsAreChecked() {
        var bytes = Array(Captured.udpV4[20...])
        for count in 0..<bytes.count {
            #expect(throws: UDPHeader.ParseError.truncated) {
                try UDPHeader.parse(bytes[0..<count])
            }
        }
        bytes[5] = 7
        #expect(throws: UDPHeader.ParseError.badLength) { try UDPHeader.parse(bytes) }
        bytes[5] = 12
        #expect(throws: UDPHeader.ParseError.truncated) { try UDPHeader.parse(bytes) }
        bytes[5] = 8
        #expect((try? UDPHeader.parse(bytes))?.length == 8)
    }
}

@Suite struct ICMPTests {
    private func report(_ reason: UnreachableReason, _ original: [UInt8], from: IPAddress, room: Int = 2000) -> [UInt8]
    {
        var bytes = [UInt8](repeating: 0, count: room)
        let length = bytes.withUnsafeMutableBytes {
            ICMPWriter.destinationUnreachable(code: reason, quoting: original.span.bytes, from: from, into: $0)
        }
        return Array(bytes[..<length])
    }

    private func datagram(isIPv4: Bool, payload: Int, source: IPAddress? = nil, destination: IPAddress? = nil)
        -> [UInt8]
    {
        var bytes = [UInt8](repeating: 0xAB, count: (isIPv4 ? 28 : 48) + payload)
        bytes.withUnsafeMutableBytes {
            let ipLength = PacketWriter.writeIPHeader(
                to: $0.baseAddress!, source: source ?? (isIPv4 ? ipv4("192.0.2.1") : ipv6("2001:db8::1")),
                destination: destination ?? (isIPv4 ? ipv4("198.51.100.2") : ipv6("2001:db8::2")),
                protocol: IPProtocol.udp, payloadLength: 8 + payload)
            PacketWriter.writeUDPHeader(
                to: $0.baseAddress! + ipLength, sourcePort: 1, destinationPort: 2, payloadLength: payload)
        }
        return bytes
    }

    /// Loopback is no source that errors go to; so the kernel's packets are moved to another address first.
    @Test func sameBytesAsTheKernelsError() throws {
        let quote = Captured.portUnreachableV4[28...]
        let original = datagram(isIPv4: true, payload: 3)
        let error = report(.port, original, from: ipv4("198.51.100.2"))
        #expect(error.count == 28 + original.count && Array(error[28...]) == original)
        #expect(error[20] == 3 && error[21] == 3 && error.count == 28 + quote.count)
        let icmp = try ICMPHeader.parse(Captured.portUnreachableV4[20..<59])
        #expect(icmp.type == 3 && icmp.code == 3 && icmp.rest == 0 && icmp.isError(isIPv4: true))
        #expect(Checksum.fold(Checksum.sum(error[20..<error.count])) == 0xFFFF)
        let ip = try IPHeader.parse(error)
        #expect(ip.source == ipv4("198.51.100.2") && ip.destination == ipv4("192.0.2.1") && ip.protocol == 1)
    }

    @Test func kernelsMessagesCarryRightChecksums() {
        let v6 = Captured.portUnreachableV6
        #expect(
            Checksum.isValid(
                segment: v6[40..<v6.count], source: ipv6("::1"), destination: ipv6("::1"),
                protocol: IPProtocol.icmpv6))
    }

    @Test func codesOfBothFamilies() throws {
        let v4: [UnreachableReason: UInt8] = [
            .network: 0, .host: 1, .port: 3, .administrativelyProhibited: 13, .noRoute: 0, .address: 1,
        ]
        let v6: [UnreachableReason: UInt8] = [
            .network: 0, .host: 3, .port: 4, .administrativelyProhibited: 1, .noRoute: 0, .address: 3,
        ]
        for reason in UnreachableReason.allCases {
            let first = report(reason, datagram(isIPv4: true, payload: 3), from: ipv4("203.0.113.9"))
            #expect(first[20] == 3 && first[21] == v4[reason])
            let second = report(reason, datagram(isIPv4: false, payload: 3), from: ipv6("2001:db8::9"))
            #expect(second[40] == 1 && second[41] == v6[reason])
            let ip = try IPHeader.parse(second)
            #expect(
                Checksum.isValid(
                    segment: second[ip.upperLayer], source: ip.source,
                    destination: ip.destination, protocol: ip.protocol))
        }
    }

    @Test func theQuoteHasALimit() {
        #expect(report(.host, datagram(isIPv4: true, payload: 1400), from: ipv4("203.0.113.9")).count == 576)
        #expect(report(.host, datagram(isIPv4: true, payload: 576 - 56), from: ipv4("203.0.113.9")).count == 576)
        #expect(report(.host, datagram(isIPv4: true, payload: 575 - 56), from: ipv4("203.0.113.9")).count == 575)
        #expect(report(.host, datagram(isIPv4: false, payload: 1400), from: ipv6("2001:db8::9")).count == 1280)
        #expect(report(.host, datagram(isIPv4: false, payload: 1279 - 96), from: ipv6("2001:db8::9")).count == 1279)
    }

    @Test func paddingIsNotQuoted() {
        let padded = datagram(isIPv4: true, payload: 0) + [9, 9, 9]
        #expect(report(.port, padded, from: ipv4("203.0.113.9")).count == 28 + 28)
    }

    @Test func noErrorAboutWhatMustNotBeReported() {
        let from = ipv4("203.0.113.9")
        #expect(report(.port, datagram(isIPv4: true, payload: 9, destination: ipv4("224.0.0.1")), from: from).isEmpty)
        #expect(
            report(.port, datagram(isIPv4: true, payload: 9, destination: ipv4("255.255.255.255")), from: from).isEmpty)
        #expect(report(.port, datagram(isIPv4: true, payload: 9, source: ipv4("0.0.0.0")), from: from).isEmpty)
        #expect(report(.port, datagram(isIPv4: true, payload: 9, source: ipv4("127.0.0.1")), from: from).isEmpty)
        let v6 = ipv6("2001:db8::9")
        #expect(report(.port, datagram(isIPv4: false, payload: 9, destination: ipv6("ff02::1")), from: v6).isEmpty)
        #expect(report(.port, datagram(isIPv4: false, payload: 9, source: ipv6("::")), from: v6).isEmpty)
        // About an error, about a packet of the other family, about no packet, and without room.
        let error = report(.port, datagram(isIPv4: true, payload: 9), from: from)
        #expect(!error.isEmpty && report(.port, error, from: from).isEmpty)
        let errorV6 = report(.port, datagram(isIPv4: false, payload: 9), from: v6)
        #expect(!errorV6.isEmpty && report(.port, errorV6, from: v6).isEmpty)
        #expect(report(.port, datagram(isIPv4: true, payload: 9), from: v6).isEmpty)
        #expect(report(.port, [0x45], from: from).isEmpty)
        #expect(report(.port, datagram(isIPv4: true, payload: 9), from: from, room: 64).isEmpty)
        #expect(report(.port, datagram(isIPv4: true, payload: 9), from: from, room: 65).count == 65)
        // About a later fragment, though about the first there may be one.
        for (offset, isReported) in [(0, true), (1, false)] as [(UInt8, Bool)] {
            var fragment = datagram(isIPv4: true, payload: 9)
            (fragment[6], fragment[7]) = (0x20, offset)
            fragment.withUnsafeMutableBytes {
                PacketWriter.setIPv4HeaderChecksum(at: $0.baseAddress!, headerLength: 20)
            }
            #expect(report(.port, fragment, from: from).isEmpty != isReported)
        }
    }

    @Test(arguments: [true, false]) func echoesGoAndCome(isIPv4: Bool) throws {
        let (a, b) = isIPv4 ? (ipv4("192.0.2.1"), ipv4("192.0.2.2")) : (ipv6("2001:db8::1"), ipv6("2001:db8::2"))
        let data: [UInt8] = Array(0..<57)
        for isReply in [false, true] {
            var bytes = [UInt8](repeating: 0, count: 200)
            let length = bytes.withUnsafeMutableBytes {
                ICMPWriter.echo(
                    isReply: isReply, identifier: 0x1234, sequence: 0xFEDC, data: data.span.bytes, from: a, to: b,
                    into: $0)
            }
            let ip = try IPHeader.parse(bytes)
            #expect(length == ip.totalLength)
            let icmp = try ICMPHeader.parse(bytes[ip.upperLayer])
            #expect(icmp.identifier == 0x1234 && icmp.sequence == 0xFEDC && !icmp.isError(isIPv4: isIPv4))
            #expect(icmp.isEchoReply(isIPv4: isIPv4) == isReply && icmp.isEchoRequest(isIPv4: isIPv4) == !isReply)
            #expect(Array(bytes[(ip.headerLength + 8)..<length]) == data)
            // An echo is no error: it may be reported.
            #expect(!report(.host, Array(bytes[..<length]), from: b).isEmpty)
        }
    }

    @Test func tooBigSaysTheMTU() throws {
        var bytes = [UInt8](repeating: 0, count: 1300)
        let v4 = bytes.withUnsafeMutableBytes {
            ICMPWriter.packetTooBig(
                mtu: 1400, quoting: datagram(isIPv4: true, payload: 1472).span.bytes, from: ipv4("192.0.2.9"), into: $0)
        }
        #expect(v4 == 576 && Array(bytes[20..<22]) == [3, 4] && Array(bytes[24..<28]) == [0, 0, 5, 0x78])
        let v6 = bytes.withUnsafeMutableBytes {
            ICMPWriter.packetTooBig(
                mtu: 1400, quoting: datagram(isIPv4: false, payload: 1472).span.bytes, from: ipv6("2001:db8::9"),
                into: $0)
        }
        #expect(v6 == 1280 && Array(bytes[40..<42]) == [2, 0] && Array(bytes[44..<48]) == [0, 0, 5, 0x78])
    }
}

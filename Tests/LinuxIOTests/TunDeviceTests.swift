import Glibc
import Packets
import Primitives
import Testing

@testable import LinuxIO

private struct TunPacket: Sendable {
    var header: VirtioHeader
    var ip: IPHeader
    var bytes: [UInt8]

    var tcp: TCPHeader? {
        bytes[ip.headerLength...].withUnsafeBytes { try? TCPHeader.parse($0.bytes) }
    }
    var payload: [UInt8] {
        let transport = ip.protocol == IPProtocol.udp ? UDPHeader.byteCount : tcp?.headerLength ?? 0
        return Array(bytes[(ip.headerLength + transport)..<ip.totalLength])
    }
}

extension TunDevice {
    /// The next packet of this protocol between these ports of ours; others, such as neighbour discovery, are skipped.
    fileprivate func next(_ number: UInt8) throws -> TunPacket {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.maximumPacket, alignment: 16)
        defer { buffer.deallocate() }
        return try eventually("a packet of protocol \(number)") {
            guard let (count, header) = try read(into: buffer) else { return nil }
            let packet = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            guard let ip = try? IPHeader.parse(packet.bytes), ip.protocol == number else { return nil }
            return TunPacket(header: header, ip: ip, bytes: Array(packet))
        }
    }

    fileprivate func write(_ header: VirtioHeader, _ head: [UInt8], _ body: [UInt8] = []) -> WriteResult {
        head.withUnsafeBytes { head in body.withUnsafeBytes { write(header: header, head: head, body: $0) } }
    }
}

private func udpHead(from: Endpoint, to: Endpoint, payloadLength: Int, partial: Bool) -> (VirtioHeader, [UInt8]) {
    var head = [UInt8](repeating: 0, count: PacketWriter.ipHeaderLength(isIPv4: from.address.isIPv4) + 8)
    head.withUnsafeMutableBytes { memory in
        let udp = memory.baseAddress! + memory.count - 8
        PacketWriter.writeIPHeader(
            to: memory.baseAddress!, source: from.address, destination: to.address, protocol: IPProtocol.udp,
            payloadLength: 8 + payloadLength)
        PacketWriter.writeUDPHeader(
            to: udp, sourcePort: from.port, destinationPort: to.port, payloadLength: payloadLength)
        PacketWriter.setPartialChecksum(
            at: udp, length: 8 + payloadLength, protocol: .udp, source: from.address, destination: to.address)
    }
    let start = UInt16(head.count - 8)
    return (
        partial ? VirtioHeader(flags: VirtioHeader.needsChecksum, checksumStart: start, checksumOffset: 6) : .none, head
    )
}

private func tcpHead(
    from: Endpoint, to: Endpoint, sequence: SequenceNumber, acknowledgment: SequenceNumber, flags: TCPFlags,
    payloadLength: Int = 0, segmentSize: Int = 1360, options: TCPOptions = .none
) -> (VirtioHeader, [UInt8]) {
    var head = [UInt8](repeating: 0, count: 100)
    let length = head.withUnsafeMutableBytes { memory in
        let tcp = memory.baseAddress! + 20
        let tcpLength = PacketWriter.writeTCPHeader(
            to: tcp, sourcePort: from.port, destinationPort: to.port, sequence: sequence,
            acknowledgment: acknowledgment, flags: flags, window: 65_535, options: options)
        PacketWriter.writeIPHeader(
            to: memory.baseAddress!, source: from.address, destination: to.address, protocol: IPProtocol.tcp,
            payloadLength: tcpLength + payloadLength)
        PacketWriter.setPartialChecksum(
            at: tcp, length: tcpLength + payloadLength, protocol: .tcp, source: from.address, destination: to.address)
        return tcpLength
    }
    let header = VirtioHeader.tcp(
        isIPv4: true, ipHeaderLength: 20, tcpHeaderLength: length, payloadLength: payloadLength,
        segmentSize: segmentSize)
    return (header, Array(head[..<(20 + length)]))
}

@Suite struct TunDeviceTests {
    @Test(arguments: [("10.9.0.1", "10.9.0.2"), ("fd09::1", "fd09::2")])
    func packetsOfBothFamiliesComeAndGo(near: String, far: String) throws {
        let seen = try inNamespace {
            let (device, _) = try testTun(try Netlink())
            let socket = try UDPSocket(bind: Endpoint(IPAddress(near)!, 0))
            let target = Endpoint(IPAddress(far)!, 5300)
            _ = try socket.sendAll(pattern(500), to: target)
            let packet = try device.next(IPProtocol.udp)
            let (header, head) = udpHead(from: target, to: socket.local, payloadLength: 300, partial: true)
            let written = device.write(header, head, pattern(300, seed: 1))
            return (packet, socket.local, written, try socket.collect(1), device.counters)
        }
        guard let (packet, local, written, answer, counters) = seen else { return }
        let target = Endpoint(IPAddress(far)!, 5300)
        #expect(packet.ip.source == local.address)
        #expect(packet.ip.destination == target.address)
        #expect(packet.payload == pattern(500))
        #expect(packet.header.flags == VirtioHeader.needsChecksum, "the kernel leaves the checksum to the device")
        #expect(written == .written)
        #expect(answer == [Datagram(bytes: pattern(300, seed: 1), from: target, to: local, ecn: 0)])
        #expect(counters.writtenPackets == 1)
        #expect(counters.writtenBytes == (local.address.isIPv4 ? 28 : 48) + 300)
        #expect(counters.readPackets >= 1)
    }

    @Test func aWrongChecksumIsNotForgivenWithoutTheHeadersLeave() throws {
        let received = try inNamespace {
            let (device, _) = try testTun(try Netlink())
            let socket = try UDPSocket(bind: Endpoint("10.9.0.1:0")!)
            let from = Endpoint("10.9.0.2:5300")!
            for partial in [false, true] {
                let (header, head) = udpHead(from: from, to: socket.local, payloadLength: 3, partial: partial)
                _ = device.write(header, head, partial ? [1, 2, 3] : [4, 5, 6])
            }
            return try socket.collect(1).map(\.bytes)
        }
        if let received { #expect(received == [[1, 2, 3]]) }
    }

    @Test func superSegmentsCrossBothWays() throws {
        struct Seen: Sendable {
            var offload: TunOffload
            var fromKernel: TunPacket
            var written: WriteResult
            var read: [UInt8]
        }
        let seen = try inNamespace {
            let (device, _) = try testTun(try Netlink())
            let server = Endpoint("10.9.0.2:80")!
            let socket = try TCPSocket.dial(server)
            let client = socket.local!
            guard let syn = try device.next(IPProtocol.tcp).tcp else { throw Failed("no SYN") }
            let first = SequenceNumber(rawValue: 1000)
            let (synHeader, synAck) = tcpHead(
                from: server, to: client, sequence: first, acknowledgment: syn.sequence + 1, flags: [.syn, .ack],
                options: TCPOptions(maximumSegmentSize: 1360, windowScale: 7))
            _ = device.write(synHeader, synAck)
            _ = try device.next(IPProtocol.tcp)

            _ = socket.send(pattern(60_000))
            var fromKernel = try device.next(IPProtocol.tcp)
            if fromKernel.payload.isEmpty { fromKernel = try device.next(IPProtocol.tcp) }

            let body = pattern(20_000, seed: 3)
            let (header, head) = tcpHead(
                from: server, to: client, sequence: first + 1, acknowledgment: syn.sequence + 1, flags: [.ack, .psh],
                payloadLength: body.count)
            let written = device.write(header, head, body)
            var read: [UInt8] = []
            while read.count < body.count { read += try socket.receive().bytes }
            return Seen(offload: device.offload, fromKernel: fromKernel, written: written, read: read)
        }
        guard let seen else { return }
        #expect(seen.offload.isSuperset(of: [.csum, .tso4, .tso6]))
        #expect(seen.fromKernel.header.gsoType == .tcpv4)
        #expect(seen.fromKernel.header.segmentSize == 1360)
        #expect(seen.fromKernel.payload.count > 1400, "larger than the MTU")
        #expect(seen.fromKernel.payload == Array(pattern(60_000)[..<seen.fromKernel.payload.count]))
        #expect(seen.written == .written)
        #expect(seen.read == pattern(20_000, seed: 3))
    }

    @Test func withoutOffloadTheKernelDoesTheWork() throws {
        let seen = try inNamespace {
            let device = try TunDevice(name: "pst0", offload: false)
            let netlink = try Netlink()
            let index = try netlink.interfaceIndex("pst0")
            try netlink.setUp(index)
            try netlink.addAddress(IPAddress("10.9.0.1")!, prefixLength: 24, index: index)
            let socket = try UDPSocket(bind: Endpoint("10.9.0.1:0")!)
            _ = try socket.sendAll(pattern(100), to: Endpoint("10.9.0.2:53")!)
            let packet = try device.next(IPProtocol.udp)
            let isValid = packet.bytes[20...].withUnsafeBytes { datagram in
                Checksum.fold(
                    Checksum.sum(
                        datagram,
                        initial: Checksum.pseudoHeader(
                            source: packet.ip.source, destination: packet.ip.destination, protocol: IPProtocol.udp,
                            length: datagram.count))) == 0xFFFF
            }
            return (device.offload, packet.header, isValid)
        }
        guard let (offload, header, isValid) = seen else { return }
        #expect(offload == [])
        #expect(header == .none)
        #expect(isValid)
    }

    @Test func anEmptyDeviceHasNothingToRead() throws {
        let nothing = try inNamespace {
            let device = try TunDevice(name: "pst0")
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2000, alignment: 16)
            defer { buffer.deallocate() }
            return try device.read(into: buffer) == nil
        }
        if let nothing { #expect(nothing) }
    }

    @Test func refusedPacketsAreCounted() throws {
        let seen = try inNamespace {
            let (device, _) = try testTun(try Netlink())
            // A checksum beyond the packet's end.
            let header = VirtioHeader(flags: VirtioHeader.needsChecksum, checksumStart: 4000, checksumOffset: 6)
            let result = device.write(header, [UInt8](repeating: 0x45, count: 40))
            let pieces = [iovec](repeating: iovec(), count: TunDevice.maximumPieces + 1)
            let many = pieces.withUnsafeBufferPointer { device.write(header: .none, vectors: $0) }
            return (result, many, device.counters.dropped)
        }
        guard let (result, many, dropped) = seen else { return }
        #expect(result == .dropped(errno: EINVAL))
        #expect(many == .dropped(errno: EMSGSIZE))
        #expect(dropped == 2)
    }

    @Test func piecesMakeOnePacket() throws {
        let received = try inNamespace {
            let (device, _) = try testTun(try Netlink())
            let socket = try UDPSocket(bind: Endpoint("10.9.0.1:0")!)
            let (header, head) = udpHead(
                from: Endpoint("10.9.0.2:53")!, to: socket.local, payloadLength: 62, partial: true)
            var packet = head + pattern(62)
            // 28 bytes of headers and 62 of payload: 64 pieces, the most there may be.
            let written = packet.withUnsafeMutableBytes { bytes in
                let sizes = [27] + [Int](repeating: 1, count: 63)
                var offset = 0
                let pieces = sizes.map { size in
                    defer { offset += size }
                    return iovec(iov_base: bytes.baseAddress! + offset, iov_len: size)
                }
                return pieces.withUnsafeBufferPointer { device.write(header: header, vectors: $0) }
            }
            guard written == .written else { throw Failed("\(written)") }
            return try socket.collect(1).map(\.bytes)
        }
        if let received { #expect(received == [pattern(62)]) }
    }

    @Test func errorsAreSaidInPlainWords() throws {
        let errors = try inNamespace { () throws -> [TunError?] in
            let first = try TunDevice(name: "pst0")
            return withExtendedLifetime(first) {
                ["pst0", "lo", "", "a b", "sixteen-letters-", "a/b", ".."].map { (name: String) -> TunError? in
                    do throws(TunError) {
                        _ = try TunDevice(name: name)
                        return nil
                    } catch {
                        return error
                    }
                }
            }
        }
        guard let errors else { return }
        #expect(
            errors == [
                .nameInUse("pst0"), .nameInUse("lo"), .badName(""), .badName("a b"), .badName("sixteen-letters-"),
                .badName("a/b"), .badName(".."),
            ])
        #expect("\(TunError.notPermitted)".contains("CAP_NET_ADMIN"))
        #expect("\(TunError.noDriver)".contains("/dev/net/tun"))
    }

    @Test func aPatternGetsANumberAndTheDeviceVanishesWithTheObject() throws {
        let seen = try inNamespace {
            let name = try TunDevice(name: "pst%d").name
            return (name, try shell("ip -o link"))
        }
        guard let (name, links) = seen else { return }
        #expect(name == "pst0")
        #expect(!links.contains("pst"))
    }
}

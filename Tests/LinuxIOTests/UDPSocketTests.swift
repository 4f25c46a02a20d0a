import Glibc
import Primitives
import Testing

@testable import LinuxIO

private func pair(_ sending: Offload = .auto, _ receiving: Offload = .auto, _ address: IPAddress = loopback4)
    throws -> (sender: UDPSocket, receiver: UDPSocket)
{
    (
        try UDPSocket(bind: Endpoint(address, 0), offload: sending),
        try UDPSocket(bind: Endpoint(address, 0), offload: receiving)
    )
}

/// The sizes of a batch's datagrams.
private func cut(_ bytes: [UInt8], _ size: Int) -> [[UInt8]] {
    stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
}

@Suite struct UDPSocketTests {
    @Test(arguments: [Offload.auto, .off], [Offload.auto, .off])
    func aBatchArrivesAsItsDatagrams(sending: Offload, receiving: Offload) throws {
        let (sender, receiver) = try pair(sending, receiving)
        #expect(sender.usesSegmentation == (sending == .auto))
        #expect(receiver.usesReceiveOffload == (receiving == .auto))
        let bytes = pattern(63 * 900 + 17)
        #expect(try sender.sendAll(bytes, segmentSize: 900, to: receiver.local) == .sent)
        let datagrams = try receiver.collect(64)
        #expect(datagrams.map(\.bytes) == cut(bytes, 900))
        #expect(datagrams.allSatisfy { $0.from == sender.local && $0.to == receiver.local && $0.ecn == 0 })
        #expect(sender.counters.sentDatagrams == 64)
        #expect(sender.counters.sendCalls == 1)
        #expect(sender.counters.sentBytes == bytes.count)
        #expect(receiver.counters.receivedDatagrams == 64)
        #expect(receiver.counters.receivedBytes == bytes.count)
    }

    /// QUIC's datagrams are never cut on their way; those of the load's target are where they must be.
    @Test(arguments: [loopback4, loopback6])
    func fragmentsAreForbiddenUnlessAskedFor(_ address: IPAddress) throws {
        let (level, option) = address.isIPv4 ? (IPPROTO_IP, IP_MTU_DISCOVER) : (IPPROTO_IPV6, IPV6_MTU_DISCOVER)
        func discovery(_ socket: UDPSocket) -> Int32 {
            var value: Int32 = -1
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(socket.descriptor, Int32(level), option, &value, &size)
            return value
        }
        #expect(discovery(try UDPSocket(bind: Endpoint(address, 0))) == IP_PMTUDISC_PROBE)
        #expect(discovery(try UDPSocket(bind: Endpoint(address, 0), fragments: true)) == IP_PMTUDISC_DONT)
    }

    @Test(arguments: [Offload.auto, .off])
    func batchesBeyondOneSystemCallAreCutIntoSeveral(offload: Offload) throws {
        let (sender, receiver) = try pair(offload)
        let bytes = pattern(200 * 1400 + 1)
        #expect(try sender.sendAll(bytes, segmentSize: 1400, to: receiver.local) == .sent)
        #expect(try receiver.collect(201).map(\.bytes) == cut(bytes, 1400))
        #expect(sender.counters.sendCalls == (offload == .auto ? 5 : 4))
        #expect(sender.usesSegmentation == (offload == .auto))
    }

    @Test(arguments: [loopback4, loopback6], [UInt8(1), 2, 3])
    func theECNBitsAreCarried(address: IPAddress, ecn: UInt8) throws {
        let (sender, receiver) = try pair(.auto, .auto, address)
        #expect(try sender.sendAll(pattern(3000), segmentSize: 1000, to: receiver.local, ecn: ecn) == .sent)
        #expect(try receiver.collect(3).map(\.ecn) == [ecn, ecn, ecn])
    }

    @Test func aDualStackSocketTakesBothFamiliesAndAnswersFromTheRightAddress() throws {
        let server = try UDPSocket(bind: Endpoint("[::]:0")!)
        let port = server.local.port
        for (text, client) in [("127.0.0.7", "127.0.0.1"), ("::1", "::1")] {
            let peer = try UDPSocket(bind: Endpoint(IPAddress(client)!, 0))
            let target = Endpoint(IPAddress(text)!, port)
            #expect(try peer.sendAll(pattern(10), to: target, ecn: 2) == .sent)
            let got = try server.collect(1)
            #expect(got == [Datagram(bytes: pattern(10), from: peer.local, to: target, ecn: 2)])
            #expect(
                try server.sendAll(pattern(2400), segmentSize: 1200, to: peer.local, from: got[0].to, ecn: 1) == .sent)
            let answer = try peer.collect(2)
            #expect(answer.map(\.from) == [target, target])
            #expect(answer.map(\.ecn) == [1, 1])
        }
    }

    @Test func anIPv4WildcardSocketTellsTheLocalAddressToo() throws {
        let server = try UDPSocket(bind: Endpoint("0.0.0.0:0")!, offload: .off)
        let peer = try UDPSocket(bind: Endpoint(loopback4, 0))
        let target = Endpoint(IPAddress("127.0.0.9")!, server.local.port)
        #expect(try peer.sendAll([1], to: target) == .sent)
        #expect(try server.collect(1)[0].to == target)
        #expect(try server.sendAll([2], to: peer.local, from: target) == .sent)
        #expect(try peer.collect(1)[0].from == target)
    }

    @Test func theBudgetEndsReceiving() throws {
        let (sender, receiver) = try pair(.off, .off)
        #expect(try sender.sendAll(pattern(50), segmentSize: 1, to: receiver.local) == .sent)
        var count = 0
        #expect(receiver.receive({ _, _, _, _ in count += 1 }, budget: 20))
        #expect(count == 20)
        #expect(!receiver.receive({ _, _, _, _ in count += 1 }, budget: 1000))
        #expect(count == 50)
        #expect(!receiver.receive({ _, _, _, _ in count += 1 }, budget: 1))
    }

    @Test func emptyDatagramsDoNoHarm() throws {
        let (sender, receiver) = try pair()
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = receiver.local.port.bigEndian
        target.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let sent = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(sender.descriptor, nil, 0, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(sent == 0)
        #expect(try receiver.collect(1).map(\.bytes) == [[]])
    }

    @Test func whatIsLargerThanTheReceiveMemoryIsCountedAndDropped() throws {
        let (sender, receiver) = try pair(.off, .off)
        #expect(try sender.sendAll(pattern(UDPSocket.maximumDatagram + 1), to: receiver.local) == .sent)
        #expect(try sender.sendAll(pattern(UDPSocket.maximumDatagram), to: receiver.local) == .sent)
        #expect(try receiver.collect(1).map(\.bytes.count) == [UDPSocket.maximumDatagram])
        #expect(receiver.counters.truncated == 1)
    }

    // MARK: Errors

    @Test func errorsOfTheNetworkAreCountedAndLeaveTheSocketUsable() throws {
        let (sender, receiver) = try pair()
        #expect(try sender.sendAll(pattern(65_535), to: receiver.local) == .dropped(errno: EMSGSIZE))
        #expect(try sender.sendAll([1], to: Endpoint("[::1]:9")!) == .dropped(errno: EAFNOSUPPORT))
        #expect(try sender.sendAll(pattern(10), to: receiver.local, from: Endpoint("192.0.2.77:1")!) != .sent)
        #expect(sender.counters.dropped == 3)
        // Nobody listens there; the ICMP error does not come back as ECONNREFUSED.
        let closed = try UDPSocket(bind: Endpoint(loopback4, 0)).local
        #expect(try sender.sendAll([1], to: closed) == .sent)
        #expect(try sender.sendAll(pattern(2000), segmentSize: 1000, to: receiver.local) == .sent)
        #expect(try receiver.collect(2).count == 2)
        #expect(sender.usesSegmentation, "no such error switches the offload off")
    }

    @Test func withoutARouteADatagramIsDropped() throws {
        let result = try inNamespace {
            try UDPSocket(bind: Endpoint("0.0.0.0:0")!).sendAll(
                pattern(100), segmentSize: 10, to: Endpoint("192.0.2.1:9")!)
        }
        if let result { #expect(result == .dropped(errno: ENETUNREACH)) }
    }

    @Test func segmentationThatFailsIsSwitchedOffAndTheBatchStillArrives() throws {
        let (sender, receiver) = try pair()
        // Without checksums the kernel refuses UDP_SEGMENT (udp_send_skb), as it does on devices that lack checksum
        // offload.
        var on: Int32 = 1
        #expect(setsockopt(sender.descriptor, SOL_SOCKET, SO_NO_CHECK, &on, 4) == 0)
        let bytes = pattern(30 * 1000)
        #expect(try sender.sendAll(bytes, segmentSize: 1000, to: receiver.local) == .sent)
        #expect(try receiver.collect(30).map(\.bytes) == cut(bytes, 1000))
        #expect(!sender.usesSegmentation)
        #expect(sender.counters.segmentationFailures == 1)
    }

    @Test func aFullSendBufferBlocksUntilWritable() throws {
        struct Seen: Sendable {
            var result: SendResult
            var blocked: Int
            var wokenUp: Bool
        }
        final class Watcher: EventHandler {
            var writable = 0
            func ready(_ readiness: Readiness) { if readiness.contains(.writable) { writable += 1 } }
        }
        let seen = try inNamespace {
            _ = try shell("tc qdisc add dev lo root tbf rate 400mbit burst 128k limit 100m")
            let (sender, receiver) = try pair()
            let loop = try EventLoop()
            let watcher = Watcher()
            try loop.add(sender.descriptor, watcher, interest: .readable)
            let batch = pattern(60 * 1000)
            var result = SendResult.sent
            for _ in 0..<1000 where result == .sent {
                result = try sender.sendAll(batch, segmentSize: 1000, to: receiver.local)
            }
            loop.setInterest([.readable, .writable], of: sender.descriptor)
            let giveUp = MonotonicClock.now + .seconds(2)
            loop.run {
                if watcher.writable > 0 || MonotonicClock.now > giveUp { loop.stop() }
                return giveUp
            }
            return Seen(result: result, blocked: sender.counters.blocked, wokenUp: watcher.writable > 0)
        }
        guard let seen else { return }
        #expect(seen.result == .wouldBlock(sent: 0))
        #expect(seen.blocked == 1)
        #expect(seen.wokenUp)
    }

    @Test func aSocketWatchedForReadingIsNotToldThatItIsWritable() throws {
        final class Watcher: EventHandler {
            var calls: [Readiness] = []
            func ready(_ readiness: Readiness) { calls.append(readiness) }
        }
        let (sender, receiver) = try pair()
        let loop = try EventLoop()
        let watcher = Watcher()
        try loop.add(sender.descriptor, watcher, interest: .readable)
        #expect(try sender.sendAll(pattern(10), to: receiver.local) == .sent)
        loop.turn(2)
        #expect(watcher.calls == [])
        loop.setInterest([.readable, .writable], of: sender.descriptor)
        loop.turn(2)
        #expect(watcher.calls == [.writable])
        loop.setInterest(.readable, of: sender.descriptor)
        #expect(try receiver.sendAll(pattern(10), to: sender.local) == .sent)
        loop.turn(2)
        #expect(watcher.calls == [.writable, .readable])
    }

    @Test func aPortInUseIsSaidInPlainWords() throws {
        let first = try UDPSocket(bind: Endpoint(loopback4, 0))
        let error = #expect(throws: SystemError.self) { try UDPSocket(bind: first.local) }
        #expect(error?.description.hasPrefix("bind \(first.local): Address already in use; `ss -ulpn` shows") == true)
    }

    @Test func buffersAreAsLargeAsThePrivilegesAllow() throws {
        let socket = try UDPSocket(bind: Endpoint(loopback4, 0))
        #expect(socket.receiveBuffer >= 100_000)
        #expect(socket.sendBuffer >= 100_000)
        let granted = try inNamespace { try UDPSocket(bind: Endpoint(loopback4, 0)).receiveBuffer }
        if let granted { #expect(granted == UDPSocket.bufferSize) }
    }

    @Test func theMarkIsSet() throws {
        let mark = try inNamespace {
            let socket = try UDPSocket(bind: Endpoint(loopback4, 0), mark: 0x9E00_0001)
            var mark: UInt32 = 0
            var size = socklen_t(4)
            getsockopt(socket.descriptor, SOL_SOCKET, SO_MARK, &mark, &size)
            return mark
        }
        if let mark { #expect(mark == 0x9E00_0001) }
    }
}

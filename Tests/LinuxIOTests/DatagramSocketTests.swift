import Glibc
import Primitives
import Testing

@testable import LinuxIO

@Suite struct DatagramSocketTests {
    /// Datagrams that came, one by one.
    static func collect(_ count: Int, on socket: DatagramSocket) throws -> [(bytes: [UInt8], from: Endpoint)] {
        let receiver = try DatagramReceiver()
        var datagrams: [(bytes: [UInt8], from: Endpoint)] = []
        // Loopback delivers within the send, so nothing has to be waited for; errors that wait cost a call.
        for _ in 0..<count + 100 where datagrams.count < count {
            _ = socket.receive(with: receiver) { datagrams.append((Array($0), $1)) }
        }
        return datagrams
    }

    static func send(
        _ bytes: [UInt8], segmentSize: Int, to destination: Endpoint, from socket: DatagramSocket
    ) -> (result: DatagramSendResult, failures: [DatagramSocket.Failure]) {
        var failures: [DatagramSocket.Failure] = []
        let result = bytes.withUnsafeBytes {
            socket.send($0, segmentSize: segmentSize, to: destination) { failures.append($0) }
        }
        return (result, failures)
    }

    @Test(arguments: [loopback4, loopback6], [1, 100, 1_400, 9_000])
    func runsArriveAsTheirDatagrams(address: IPAddress, size: Int) throws {
        let sender = try DatagramSocket(source: address)
        let receiver = try DatagramSocket(source: address)
        let bytes = pattern(size * 6 + (size + 1) / 2)
        #expect(Self.send(bytes, segmentSize: size, to: receiver.local, from: sender).result == .sent)
        let expected = stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
        let datagrams = try Self.collect(7, on: receiver)
        #expect(datagrams.map(\.bytes) == expected)
        #expect(datagrams.allSatisfy { $0.from == sender.local })
        #expect(sender.counters.sentDatagrams == 7 && receiver.counters.receivedDatagrams == 7)
    }

    @Test(arguments: [(loopback4, 65_507), (loopback6, 65_527)])
    func theSmallestAndTheLargest(address: IPAddress, largest: Int) throws {
        let sender = try DatagramSocket(source: address)
        let receiver = try DatagramSocket(source: address)
        #expect(Self.send([], segmentSize: 0, to: receiver.local, from: sender).result == .sent)
        let bytes = pattern(largest)
        #expect(Self.send(bytes, segmentSize: largest, to: receiver.local, from: sender).result == .sent)
        #expect(try Self.collect(2, on: receiver).map(\.bytes) == [[], bytes])
        let tooLarge = Self.send(pattern(largest + 1), segmentSize: largest + 1, to: receiver.local, from: sender)
        #expect(tooLarge.result == .refused(errno: EMSGSIZE))
    }

    /// One socket, several far ends, and each error with the destination that it is about.
    @Test(arguments: [loopback4, loopback6])
    func errorsNameTheirDestination(address: IPAddress) throws {
        let sender = try DatagramSocket(source: address)
        let listening = try DatagramSocket(source: address)
        let closed = try (0..<2).map { _ in try DatagramSocket(source: address).local }
        var all: [DatagramSocket.Failure] = []
        // An error waits: the next send comes upon it, and goes out all the same.
        for endpoint in closed + [listening.local] {
            let (result, failures) = Self.send([2], segmentSize: 1, to: endpoint, from: sender)
            #expect(result == .sent)
            all += failures
        }
        while let failure = sender.nextFailure() { all.append(failure) }
        #expect(Set(all.map(\.destination)) == Set(closed))
        #expect(all.allSatisfy { $0.reason == .refused })
        #expect(sender.nextFailure() == nil)
        #expect(try Self.collect(1, on: listening).map(\.bytes) == [[2]])
    }

    @Test func aWaitingErrorDoesNotEndReading() throws {
        let socket = try DatagramSocket(source: loopback4)
        let peer = try DatagramSocket(source: loopback4)
        let closed = try DatagramSocket(source: loopback4).local
        _ = Self.send([1], segmentSize: 1, to: closed, from: socket)
        _ = Self.send([7], segmentSize: 1, to: socket.local, from: peer)
        #expect(try Self.collect(1, on: socket).map(\.bytes) == [[7]])
    }

    @Test func anAddressOfTheOtherFamilyIsRefused() throws {
        let sender = try DatagramSocket(source: loopback4)
        let result = Self.send([1], segmentSize: 1, to: Endpoint(loopback6, 9), from: sender).result
        #expect(result == .refused(errno: EAFNOSUPPORT))
    }

    @Test func withoutARouteTheKernelRefuses() throws {
        let result = try inNamespace {
            let socket = try DatagramSocket(source: .v4(IPv4Address(0)))
            return Self.send([1], segmentSize: 1, to: Endpoint("192.0.2.1:9")!, from: socket).result
        }
        #expect(result == nil || result == .refused(errno: ENETUNREACH))
    }
}

import Glibc
import Primitives
import Testing

@testable import LinuxIO

/// Several sockets on one port, and which of them gets what.
@Suite struct SteeringTests {
    static let shortHeader: UInt8 = 0x40
    static let longHeader: UInt8 = 0xC0

    /// The start of a QUIC packet for a connection ID that begins with `first`.
    static func packet(long: Bool, first: UInt8) -> [UInt8] {
        let identifier = [first] + [UInt8](repeating: 9, count: 15)
        let header: [UInt8] = long ? [longHeader, 0, 0, 0, 1, 16] : [shortHeader]
        return header + identifier + [UInt8](repeating: 0, count: 40)
    }

    @Test(arguments: [2, 3, 5], [loopback4, loopback6])
    func connectionIDsFindTheirSocket(count: Int, address: IPAddress) throws {
        let sockets = try UDPSocket.steered(bind: Endpoint(address, 0), count: count)
        #expect(Set(sockets.map(\.local)).count == 1)
        for long in [false, true] {
            for first in [UInt8(0), 1, 2, 3, 4, 17, 128, 255] {
                // From a new port each time: the address plays no part.
                let sender = try UDPSocket(bind: Endpoint(address, 0))
                let packet = Self.packet(long: long, first: first)
                #expect(try sender.sendAll(packet, segmentSize: packet.count, to: sockets[0].local) == .sent)
                let target = Int(first) % count
                #expect(try sockets[target].collect(1).map(\.bytes) == [packet])
            }
        }
        for socket in sockets {
            #expect(!socket.receive({ _, _, _, _ in Issue.record("a stray datagram") }, budget: 1))
        }
    }

    @Test func whatIsTooShortGoesToTheFirst() throws {
        let sockets = try UDPSocket.steered(bind: Endpoint(loopback4, 0), count: 3)
        let sender = try UDPSocket(bind: Endpoint(loopback4, 0))
        for packet in [[Self.shortHeader], [Self.longHeader, 0, 0, 0, 1, 16]] {
            #expect(try sender.sendAll(packet, segmentSize: packet.count, to: sockets[0].local) == .sent)
            #expect(try sockets[0].collect(1).map(\.bytes) == [packet])
        }
    }

    /// A second server on the same port is told so, and takes nothing from the first.
    @Test(arguments: [1, 2])
    func anotherGroupIsRefused(count: Int) throws {
        let first = try UDPSocket.steered(bind: Endpoint(loopback4, 0), count: count)
        for other in [1, 2] {
            #expect(throws: SystemError.self) { try UDPSocket.steered(bind: first[0].local, count: other) }
        }
    }

    @Test func oneSocketSharesNothing() throws {
        let alone = try UDPSocket.steered(bind: Endpoint(loopback4, 0), count: 1)
        #expect(alone.count == 1)
        #expect(throws: SystemError.self) { try UDPSocket(bind: alone[0].local, sharesPort: true) }
    }

    @Test func aThreadRunsItsBody() throws {
        let mailbox = try EventLoop().mailbox
        let thread = try LoopThread(name: "penstock-test") { mailbox.post {} }
        thread.join()
        #expect(processorCount >= 1)
    }
}

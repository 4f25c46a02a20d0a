import Glibc
import Primitives
import Testing

@testable import LinuxIO

/// A connection over loopback, both ends.
private func connected(_ address: IPAddress = loopback4) throws -> (dialled: TCPSocket, accepted: TCPSocket) {
    let listener = try TCPListener(bind: Endpoint(address, 0))
    let dialled = try TCPSocket.dial(listener.local)
    let (accepted, peer) = try eventually("a connection") { try listener.accept() }
    #expect(peer == dialled.local)
    #expect(dialled.connectResult() == 0)
    return (dialled, accepted)
}

@Suite struct TCPSocketTests {
    @Test(arguments: [loopback4, loopback6])
    func bytesCrossBothWays(address: IPAddress) throws {
        let (dialled, accepted) = try connected(address)
        #expect(dialled.send(pattern(1000)) == .bytes(1000))
        #expect(try accepted.receive() == (.bytes(1000), pattern(1000)))
        #expect(accepted.send(pattern(7)) == .bytes(7))
        #expect(try dialled.receive().bytes == pattern(7))
        var buffer: [UInt8] = [0]
        #expect(buffer.withUnsafeMutableBytes { dialled.read(into: $0) } == .wouldBlock)
    }

    @Test func severalRegionsAreOneWrite() throws {
        let (dialled, accepted) = try connected()
        let bytes = pattern(3000)
        let result = bytes.withUnsafeBytes { all in
            let start = UnsafeMutableRawPointer(mutating: all.baseAddress!)
            let vectors = [iovec(iov_base: start, iov_len: 1000), iovec(iov_base: start + 1000, iov_len: 2000)]
            return vectors.withUnsafeBufferPointer { dialled.write(vectors: $0) }
        }
        #expect(result == .bytes(3000))
        #expect(try accepted.receive().bytes == bytes)
    }

    @Test func aRefusedDialSaysSo() throws {
        let closed = try TCPListener(bind: Endpoint(loopback4, 0)).local
        let socket = try TCPSocket.dial(closed)
        let code: Int32 = try eventually("the refusal") {
            let code = socket.connectResult()
            return code == 0 ? nil : code
        }
        #expect(code == ECONNREFUSED)
    }

    @Test func aDialWithoutARouteFailsAtOnce() throws {
        let code = try inNamespace {
            do throws(SystemError) {
                _ = try TCPSocket.dial(Endpoint("192.0.2.1:80")!)
                return Int32(0)
            } catch {
                return error.code
            }
        }
        if let code { #expect(code == ENETUNREACH) }
    }

    @Test func theSourceAddressIsUsed() throws {
        let listener = try TCPListener(bind: Endpoint(loopback4, 0))
        let dialled = try TCPSocket.dial(listener.local, from: IPAddress("127.0.0.5")!)
        let (_, peer) = try eventually("a connection") { try listener.accept() }
        #expect(peer.address == IPAddress("127.0.0.5")!)
        #expect(dialled.local == peer)
    }

    @Test func aHalfCloseLeavesTheOtherDirectionOpen() throws {
        let (dialled, accepted) = try connected()
        #expect(dialled.send([1]) == .bytes(1))
        #expect(dialled.shutdownWrite() == 0)
        #expect(try accepted.receive().bytes == [1])
        #expect(try accepted.receive().result == .end)
        #expect(accepted.send([2, 3]) == .bytes(2))
        #expect(try dialled.receive().bytes == [2, 3])
        #expect(dialled.send([4]) == .failed(errno: EPIPE))
    }

    @Test func aResetReachesThePeerAsOne() throws {
        let (dialled, accepted) = try connected()
        dialled.reset()
        #expect(!dialled.isOpen)
        #expect(dialled.local == nil)
        #expect(try accepted.receive().result == .failed(errno: ECONNRESET))
        #expect(dialled.send([1]) == .failed(errno: EBADF))
    }

    @Test func closingIsAnOrdinaryEnd() throws {
        let (dialled, accepted) = try connected()
        dialled.close()
        #expect(try accepted.receive().result == .end)
    }

    @Test func aFullPeerBlocksTheWriter() throws {
        let (dialled, accepted) = try connected()
        var total = 0
        var last = IOResult.bytes(0)
        while case .bytes(let n) = last, total < 100 << 20 {
            total += n
            last = dialled.send(pattern(1 << 16))
        }
        #expect(last == .wouldBlock)
        withExtendedLifetime(accepted) {}
    }

    @Test func readinessTellsTheEndOfADial() throws {
        final class Dialler: EventHandler {
            let socket: TCPSocket
            var result: Int32?
            init(_ socket: TCPSocket) { self.socket = socket }
            func ready(_ readiness: Readiness) {
                if !readiness.isDisjoint(with: [.writable, .error]) { result = result ?? socket.connectResult() }
            }
        }
        let listener = try TCPListener(bind: Endpoint(loopback4, 0))
        let loop = try EventLoop()
        let dialler = Dialler(try TCPSocket.dial(listener.local))
        try loop.add(dialler.socket.descriptor, dialler)
        let giveUp = MonotonicClock.now + .seconds(2)
        loop.run {
            if dialler.result != nil || MonotonicClock.now > giveUp { loop.stop() }
            return giveUp
        }
        #expect(dialler.result == 0)
    }
}

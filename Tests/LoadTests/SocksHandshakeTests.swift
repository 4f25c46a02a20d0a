import Load
import Primitives
import Testing
import Tunnel

@Suite struct SocksHandshakeTests {
    private let target = DestinationAddress.endpoint(Endpoint("192.0.2.1:443")!)
    private static let goodReply: [UInt8] = [5, 0, 0, 1, 127, 0, 0, 1, 4, 56]

    /// Gives bytes in pieces; the outcomes that were more than "wants more", and what was left.
    private func talk(
        _ handshake: inout SocksHandshake, _ bytes: [UInt8], pieces: Int = .max
    ) -> (outcomes: [SocksHandshake.Outcome], rest: [UInt8]) {
        var outcomes: [SocksHandshake.Outcome] = []
        var rest = bytes
        while !rest.isEmpty {
            let piece = Array(rest.prefix(pieces))
            var left = 0
            let outcome = piece.withUnsafeBytes { memory in
                var input = memory
                let outcome = handshake.receive(&input)
                left = input.count
                return outcome
            }
            rest.removeFirst(piece.count - left)
            if outcome != .wantsMore { outcomes.append(outcome) }
            if outcome == .connected { break }
            if case .failed = outcome { break }
        }
        return (outcomes, rest)
    }

    @Test(arguments: [1, 2, 3, 100])
    func aConnectionIsMade(_ pieces: Int) {
        var handshake = SocksHandshake(to: target)
        #expect(handshake.output == [5, 1, 0])
        let (outcomes, rest) = talk(&handshake, [5, 0] + Self.goodReply + [9, 9], pieces: pieces)
        #expect(outcomes == [.send([5, 1, 0, 1, 192, 0, 2, 1, 1, 187]), .connected])
        #expect(rest == [9, 9], "what follows belongs to the flow")
    }

    @Test func addressesOfEveryKind() throws {
        for (host, address) in [
            ("2001:db8::1", [4, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            ("web.test", [3, 8] + Array("web.test".utf8)),
        ] as [(String, [UInt8])] {
            var handshake = SocksHandshake(to: try DestinationAddress(host: host, port: 443))
            #expect(talk(&handshake, [5, 0]).outcomes == [.send([5, 1, 0] + address + [1, 187])])
        }
    }

    @Test(arguments: [
        [5, 0, 0, 4] + [UInt8](repeating: 0, count: 18), [5, 0, 0, 3, 2, 97, 98, 0, 80], [5, 0, 0, 3, 0, 0, 80],
    ])
    func boundAddressesOfEveryKind(_ reply: [UInt8]) {
        var handshake = SocksHandshake(to: target)
        _ = talk(&handshake, [5, 0])
        #expect(talk(&handshake, reply).outcomes == [.connected])
    }

    @Test(
        arguments: [
            (2, .notAllowed), (3, .networkUnreachable), (4, .hostUnreachable), (5, .refused), (6, .timedOut),
            (1, .other),
            (7, .other), (255, .other),
        ] as [(UInt8, FlowFailure)])
    func refusalsSayWhy(_ code: UInt8, _ failure: FlowFailure) {
        var handshake = SocksHandshake(to: target)
        _ = talk(&handshake, [5, 0])
        #expect(talk(&handshake, [5, code, 0, 1, 0, 0, 0, 0, 0, 0]).outcomes == [.failed(failure)])
    }

    @Test(arguments: [[4, 0], [5, 2], [5, 255], [72, 84]] as [[UInt8]])
    func anotherMethodOrVersionIsNoProxyForUs(_ answer: [UInt8]) {
        var handshake = SocksHandshake(to: target)
        #expect(talk(&handshake, answer).outcomes == [.failed(.proxyRefused)])
    }

    @Test(arguments: [[4, 0, 0, 1, 0, 0, 0, 0, 0, 0], [5, 0, 0, 9, 0, 0, 0, 0, 0, 0]] as [[UInt8]])
    func aReplyThatCannotBeReadIsNone(_ reply: [UInt8]) {
        var handshake = SocksHandshake(to: target)
        _ = talk(&handshake, [5, 0])
        #expect(talk(&handshake, reply).outcomes == [.failed(.proxyRefused)])
    }
}

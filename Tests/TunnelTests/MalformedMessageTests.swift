import Primitives
import Sealing
import SimNet
import Testing

@testable import Tunnel

/// What a peer may send and ought not to: every message is refused with its own error, and none traps.
@Suite struct MalformedMessageTests {
    /// A message's bytes and a parser for them.
    struct Sample: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let parse: @Sendable ([UInt8]) throws(MessageError) -> Void
    }

    static let samples = [
        Sample(
            testDescription: "request, IPv4", bytes: [2, 1, 0, 1, 192, 0, 2, 1, 0, 80],
            parse: { bytes throws(MessageError) in _ = try FlowRequest(parsing: bytes) }),
        Sample(
            testDescription: "request, IPv6", bytes: [2, 1, 0, 4] + [UInt8](repeating: 0x20, count: 16) + [0, 80],
            parse: { bytes throws(MessageError) in _ = try FlowRequest(parsing: bytes) }),
        Sample(
            testDescription: "request, name", bytes: [2, 1, 0, 3, 11] + Array("example.org".utf8) + [1, 0xBB],
            parse: { bytes throws(MessageError) in _ = try FlowRequest(parsing: bytes) }),
        Sample(
            testDescription: "reply", bytes: FlowReply(.hostUnreachable, detail: 113).encode(),
            parse: { bytes throws(MessageError) in _ = try FlowReply(parsing: bytes) }),
        Sample(
            testDescription: "hello", bytes: Hello(software: "penstock/0.1.0").encode(),
            parse: { bytes throws(MessageError) in _ = try Hello(parsing: bytes) }),
        Sample(
            testDescription: "welcome", bytes: Welcome(maximumFlows: 7, software: "é").encode(),
            parse: { bytes throws(MessageError) in _ = try Welcome(parsing: bytes) }),
        Sample(
            testDescription: "ping", bytes: ControlMessage.ping(7).encode(),
            parse: { bytes throws(MessageError) in _ = try ControlMessage(parsing: bytes) }),
        Sample(
            testDescription: "pong", bytes: ControlMessage.pong(7).encode(),
            parse: { bytes throws(MessageError) in _ = try ControlMessage(parsing: bytes) }),
        Sample(
            testDescription: "drain", bytes: ControlMessage.drain(reason: "upgrade").encode(),
            parse: { bytes throws(MessageError) in _ = try ControlMessage(parsing: bytes) }),
        Sample(
            testDescription: "denied", bytes: ControlMessage.denied(.tryLater(seconds: 9)).encode(),
            parse: { bytes throws(MessageError) in _ = try LoginAnswer(parsing: bytes) }),
        Sample(
            testDescription: "rekey", bytes: ControlMessage.rekey([1, 2, 3]).encode(),
            parse: { bytes throws(MessageError) in _ = try ControlMessage(parsing: bytes) }),
        Sample(
            testDescription: "rekey answer", bytes: ControlMessage.rekeyAnswer([1, 2, 3]).encode(),
            parse: { bytes throws(MessageError) in _ = try ControlMessage(parsing: bytes) }),
        Sample(
            testDescription: "hello with a user",
            bytes: Hello(software: "x", user: UserLogin(name: "a", password: SecretBytes(copying: [1, 2]))).encode(),
            parse: { bytes throws(MessageError) in _ = try Hello(parsing: bytes) }),
        Sample(
            testDescription: "kick", bytes: ControlMessage.kick(code: 1, reason: "bye").encode(),
            parse: { bytes throws(MessageError) in _ = try ControlMessage(parsing: bytes) }),
    ]

    @Test(arguments: samples)
    func everyTruncation(_ sample: Sample) throws {
        try sample.parse(sample.bytes)
        for count in 0..<sample.bytes.count {
            #expect(throws: MessageError.truncated, "\(count) bytes") {
                try sample.parse(Array(sample.bytes.prefix(count)))
            }
        }
    }

    @Test(arguments: samples)
    func randomChangesNeverTrap(_ sample: Sample) {
        var random = SeededRandom(seed: 4)
        var refused = 0
        for _ in 0..<3_000 {
            var bytes = sample.bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[at] = .random(in: 0...255, using: &random)
                case 1: bytes.insert(.random(in: 0...255, using: &random), at: at)
                default: if bytes.count > 1 { bytes.remove(at: at) }
                }
            }
            do throws(MessageError) { try sample.parse(bytes) } catch { refused += 1 }
        }
        #expect(refused > 0)
    }

    @Test(arguments: samples)
    func randomBytesNeverTrap(_ sample: Sample) {
        var random = SeededRandom(seed: 5)
        for _ in 0..<3_000 {
            let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            do throws(MessageError) { try sample.parse(bytes) } catch { #expect(!error.description.isEmpty) }
        }
    }

    @Test func unknownValues() {
        #expect(throws: MessageError.unknownVersion(1)) { try FlowRequest(parsing: [1, 1, 0, 1, 1, 1, 1, 1, 0, 80]) }
        #expect(throws: MessageError.unknownVersion(0)) { try FlowReply(parsing: [0]) }
        #expect(throws: MessageError.unknownVersion(3)) { try Hello(parsing: [3, 0]) }
        #expect(throws: MessageError.unknownVersion(9)) { try Welcome(parsing: [0, 9, 0, 0, 0, 0, 0]) }
        #expect(throws: MessageError.unknownCommand(2)) { try FlowRequest(parsing: [2, 2, 0, 1, 1, 1, 1, 1, 0, 80]) }
        #expect(throws: MessageError.badAddressType(2)) { try FlowRequest(parsing: [2, 1, 0, 2, 1, 1, 1, 1, 0, 80]) }
        #expect(throws: MessageError.unknownType(9)) { try ControlMessage(parsing: [9, 0, 0]) }
        #expect(throws: MessageError.unknownType(0)) { try ControlMessage(parsing: [0]) }
        // A reply binds an address, never a name.
        #expect(throws: MessageError.badAddressType(3)) { try FlowReply(parsing: [2, 0, 0, 3, 1, 97, 0, 80]) }
    }

    @Test func unknownReplyCodeIsGeneralFailure() throws {
        #expect(try FlowReply(parsing: [2, 0x7F, 5, 1, 0, 0, 0, 0, 0, 0]) == FlowReply(.generalFailure, detail: 5))
    }

    @Test(
        arguments: [[0xC3], [0xFF], [0xC0, 0x80], [0x0A], [0x41, 0x1B], [0xC2, 0x85], [0xED, 0xA0, 0x80]] as [[UInt8]])
    func badTexts(_ text: [UInt8]) {
        let field = [UInt8(text.count)] + text
        #expect(throws: MessageError.badText) { try Hello(parsing: [2] + field) }
        #expect(throws: MessageError.badText) { try Welcome(parsing: [0, 2, 0, 0, 0, 1] + field) }
        #expect(throws: MessageError.badText) { try ControlMessage(parsing: [3] + field) }
    }

    @Test func answersToRequestsThatDoNotParse() {
        #expect(MessageError.unknownCommand(9).reply == .commandNotSupported)
        #expect(MessageError.badAddressType(9).reply == .addressTypeNotSupported)
        #expect(MessageError.badName(.empty).reply == .hostUnreachable)
        #expect(MessageError.truncated.reply == nil)
        #expect(MessageError.unknownVersion(1).reply == nil)
    }
}

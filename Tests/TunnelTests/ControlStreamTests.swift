import Primitives
import Sealing
import SimNet
import Testing

@testable import Tunnel

/// Bytes that one end writes.
final class Wire: ByteOutput {
    private(set) var bytes: [UInt8] = []
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_096, alignment: 16)
    var hasMemory = true

    deinit { memory.deallocate() }

    func space(minimum: Int) -> UnsafeMutableRawBufferPointer? { hasMemory ? memory : nil }
    func commit(_ count: Int) { bytes += memory[..<count] }

    func take() -> [UInt8] {
        defer { bytes = [] }
        return bytes
    }
}

/// Both ends of a control stream.
final class ControlPair {
    let client: ControlStream
    let server: ControlStream
    let up = Wire()
    let down = Wire()

    init(
        server pair: KeyPair = SharedKeys.serverPair, ciphers: [Cipher] = Cipher.allCases, cipher: Cipher = .aes256gcm,
        serverExporter: [UInt8] = SharedKeys.exporter
    ) {
        client = ControlStream(
            client: SharedKeys.clientPair, server: SharedKeys.serverPair.publicKey, cipher: cipher,
            exporter: SharedKeys.exporter, random: SeededRandom(seed: 1))
        server = ControlStream(
            server: pair, ciphers: ciphers, exporter: serverExporter, random: SeededRandom(seed: 2))
    }

    /// The key exchange, in pieces of so many bytes.
    func greet(pieces: Int = .max) throws {
        #expect(try client.start(to: up))
        try passUp(pieces: pieces)
        try passDown(pieces: pieces)
    }

    func passUp(pieces: Int = .max) throws { try Self.pass(up.take(), to: server, answers: down, pieces) }
    func passDown(pieces: Int = .max) throws { try Self.pass(down.take(), to: client, answers: up, pieces) }

    static func pass(_ bytes: [UInt8], to end: ControlStream, answers: Wire, _ pieces: Int = .max) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            try Array(rest.prefix(pieces)).withUnsafeBytes { try end.receive($0, answeringTo: answers) }
            rest = rest.dropFirst(pieces)
        }
    }

    func rekey() throws {
        let request = try client.beginRekey()
        guard case .rekey(let first) = request, case .rekeyAnswer(let second) = try server.answerRekey(first) else {
            Issue.record("not these messages")
            return
        }
        #expect(client.isRekeying)
        let done = try client.finishRekey(second)
        #expect(done == .rekeyDone && !client.isRekeying)
        #expect(client.send(done.encode(), to: up))
        try passUp()
        #expect(try ControlMessage(parsing: #require(server.nextMessage())) == .rekeyDone)
    }
}

@Suite struct ControlStreamTests {
    @Test(arguments: Cipher.allCases, [1, 7, Int.max])
    func keyExchangeThenMessages(cipher: Cipher, pieces: Int) throws {
        let pair = ControlPair(cipher: cipher)
        #expect(pair.client.keys == nil && pair.server.keys == nil)
        #expect(!pair.client.send([1], to: pair.up), "nothing is sent before there are keys")
        try pair.greet(pieces: pieces)
        #expect(pair.server.clientKey == SharedKeys.clientPair.publicKey)
        #expect(pair.server.keys?.cipher == cipher)
        let hello = Hello(software: "x", user: UserLogin(name: "alice", password: SecretBytes(copying: [1, 2])))
        #expect(pair.client.send(hello.encode(), to: pair.up))
        try pair.passUp(pieces: pieces)
        #expect(try Hello(parsing: #require(pair.server.nextMessage())) == hello)
        #expect(pair.server.send(Welcome(maximumFlows: 1, software: "y").encode(), to: pair.down))
        try pair.passDown(pieces: pieces)
        let welcome = LoginAnswer.welcome(Welcome(maximumFlows: 1, software: "y"))
        #expect(try LoginAnswer(parsing: #require(pair.client.nextMessage())) == welcome)
    }

    @Test func sizesOnTheWire() throws {
        let pair = ControlPair()
        #expect(try pair.client.start(to: pair.up))
        #expect(pair.up.bytes.count == 3 + 96)
        #expect(Array(pair.up.bytes.prefix(3)) == [1, 0, 96])
        try pair.passUp()
        #expect(pair.down.bytes.count == 2 + 48)
        #expect(throws: ControlError.unexpectedKeyExchange, "twice") { try pair.client.start(to: pair.up) }
    }

    @Test func aServerWithAnotherKeyCannotAnswer() throws {
        let pair = ControlPair(server: SharedKeys.clientPair)
        #expect(throws: ControlError.keyExchange(.badTag)) { try pair.greet() }
        #expect(pair.server.keys == nil && pair.server.clientKey == nil)
    }

    @Test func aRelayHasAnotherExporter() throws {
        let pair = ControlPair(serverExporter: [UInt8](repeating: 1, count: 32))
        #expect(throws: ControlError.keyExchange(.badTag)) { try pair.greet() }
    }

    @Test func aReplayedKeyExchangeOpensNothing() throws {
        let pair = ControlPair()
        #expect(try pair.client.start(to: pair.up))
        let first = pair.up.bytes
        try pair.passUp()
        try pair.passDown()
        #expect(pair.client.send(Hello(software: "x").encode(), to: pair.up))
        let hello = pair.up.take()
        // On the same connection the client's key exchange comes once. On another one the exporter differs; were it the
        // same, the server's ephemeral key would be another.
        let again = ControlStream(
            server: SharedKeys.serverPair, ciphers: Cipher.allCases, exporter: SharedKeys.exporter,
            random: SeededRandom(seed: 99))
        let sink = Wire()
        try ControlPair.pass(first, to: again, answers: sink)
        #expect(throws: ControlError.sealed(.badTag)) { try ControlPair.pass(hello, to: again, answers: sink) }
        #expect(again.nextMessage() == nil)
    }

    @Test func theServerChoosesWhatItTakes() throws {
        let refused = ControlPair(ciphers: [.aes256gcm], cipher: .chacha20poly1305)
        #expect(throws: ControlError.suiteNotAllowed(2)) { try refused.greet() }
        let taken = ControlPair(ciphers: [.chacha20poly1305], cipher: .chacha20poly1305)
        try taken.greet()
        #expect(taken.server.keys != nil)
    }

    @Test func everyChangedBitOfTheKeyExchangeIsRefused() throws {
        let recorded = ControlPair()
        #expect(try recorded.client.start(to: recorded.up))
        let first = recorded.up.bytes
        for bit in 0..<first.count * 8 {
            var changed = first
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            let pair = ControlPair()
            do {
                try ControlPair.pass(changed, to: pair.server, answers: pair.down)
                // A longer length waits for bytes that do not come.
                #expect(pair.server.keys == nil, "bit \(bit)")
            } catch {
                #expect(pair.server.keys == nil, "bit \(bit)")
            }
        }
    }

    @Test func lengthsOutsideTheFormat() {
        for length in [0, 513, 65_535] {
            let pair = ControlPair()
            #expect(throws: ControlError.badLength(length)) {
                try ControlPair.pass(
                    [1, UInt8(length >> 8), UInt8(length & 255)], to: pair.server, answers: pair.down)
            }
        }
    }

    @Test func withoutMemoryNothingIsAnswered() throws {
        let pair = ControlPair()
        #expect(try pair.client.start(to: pair.up))
        pair.down.hasMemory = false
        #expect(throws: ControlError.sealed(.outOfMemory)) { try pair.passUp() }
    }

    // MARK: - Rekeying

    @Test func fiveEpochs() throws {
        let pair = ControlPair()
        try pair.greet()
        for epoch in 1...5 as ClosedRange<UInt64> {
            try pair.rekey()
            let client = try #require(pair.client.keys)
            let server = try #require(pair.server.keys)
            #expect(client.sending == epoch && server.sending == epoch && server.newest == epoch)
            #expect(pair.server.send(ControlMessage.ping(epoch).encode(), to: pair.down))
            try pair.passDown()
            #expect(try ControlMessage(parsing: #require(pair.client.nextMessage())) == .ping(epoch))
        }
        pair.client.keys?.wipeOld()
        pair.server.keys?.wipeOld()
        #expect(pair.client.keys?.count == 1 && pair.server.keys?.count == 1)
    }

    @Test func aRekeyAtTheWrongTimeIsRefused() throws {
        let pair = ControlPair()
        #expect(throws: ControlError.unexpectedKeyExchange, "before the first") { try pair.client.beginRekey() }
        try pair.greet()
        #expect(throws: ControlError.unexpectedKeyExchange, "none was begun") { try pair.client.finishRekey([1]) }
        #expect(throws: ControlError.unexpectedKeyExchange, "of the server's") { try pair.server.beginRekey() }
        #expect(throws: ControlError.unexpectedKeyExchange, "by the client") { try pair.client.answerRekey([1]) }
        guard case .rekey(let first) = try pair.client.beginRekey() else { return }
        #expect(throws: ControlError.unexpectedKeyExchange, "twice") { try pair.client.beginRekey() }
        _ = try pair.server.answerRekey(first)
        #expect(throws: ControlError.unexpectedKeyExchange, "before the client has sealed under the last") {
            try pair.server.answerRekey(first)
        }
    }

    @Test func aRekeyIsBoundToItsPlace() throws {
        let pair = ControlPair()
        try pair.greet()
        guard case .rekey(let first) = try pair.client.beginRekey() else { return }
        var changed = first
        changed[40] ^= 1
        #expect(throws: ControlError.keyExchange(.badTag)) { try pair.server.answerRekey(changed) }
        guard case .rekeyAnswer(let second) = try pair.server.answerRekey(first) else { return }
        var other = second
        other[40] ^= 1
        #expect(throws: ControlError.keyExchange(.badTag)) { try pair.client.finishRekey(other) }
    }

    /// Whoever was let in may not become somebody else.
    @Test func aRekeyOfAnotherClientIsRefused() throws {
        let pair = ControlPair()
        try pair.greet()
        let keys = try #require(pair.server.keys)
        var random = SeededRandom(seed: 5)
        let binding = KeyExchangeBinding(exporter: SharedKeys.exporter).next(after: keys)
        let stranger = KeyPair(privateKey: [UInt8](repeating: 3, count: 32))!
        let exchange = try ClientKeyExchange(
            stranger, server: SharedKeys.serverPair.publicKey, cipher: .aes256gcm, binding: binding, random: &random)
        #expect(throws: ControlError.unexpectedKeyExchange) { try pair.server.answerRekey(exchange.message) }
        #expect(keys.newest == 0)
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<500 {
            let pair = ControlPair()
            let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            try? ControlPair.pass(bytes, to: pair.server, answers: pair.down)
            #expect(pair.server.keys == nil)
        }
    }
}

import SimNet
import Testing

@testable import Sealing

/// Both ends of a key exchange, and what must not come of it.
@Suite struct KeyExchangeTests {
    static let server = KeyPair(privateKey: run(from: 0x10))!
    static let client = KeyPair(privateKey: run(from: 0x50))!
    static let binding = KeyExchangeBinding(exporter: run(from: 0x20))

    static func begin(
        seed: UInt64 = 1, server: PublicKey = server.publicKey, cipher: Cipher = .aes256gcm,
        binding: KeyExchangeBinding = binding
    ) throws(NoiseError) -> ClientKeyExchange {
        var random = SeededRandom(seed: seed)
        return try ClientKeyExchange(client, server: server, cipher: cipher, binding: binding, random: &random)
    }

    static func answer(
        _ message: [UInt8], seed: UInt64 = 2, _ own: KeyPair = server, cipher: Cipher = .aes256gcm,
        binding: KeyExchangeBinding = binding
    ) throws(NoiseError) -> ServerKeyExchange.Result {
        var random = SeededRandom(seed: seed)
        return try ServerKeyExchange.answer(message, own, cipher: cipher, binding: binding, random: &random)
    }

    @Test(arguments: Cipher.allCases)
    func bothEndsShareASecret(_ cipher: Cipher) throws {
        let exchange = try Self.begin(cipher: cipher)
        #expect(exchange.message.count == 96)
        let result = try Self.answer(exchange.message, cipher: cipher)
        #expect(result.message.count == 48)
        #expect(result.client == Self.client.publicKey)
        let secret = try exchange.finish(result.message)
        #expect(secret.bytes == result.secret.bytes)
        #expect(secret.handshakeHash == result.secret.handshakeHash)
    }

    @Test func everyExchangeMakesAnotherSecret() throws {
        let secrets = try (1...3 as ClosedRange<UInt64>).map { seed in
            let exchange = try Self.begin(seed: seed)
            return try exchange.finish(try Self.answer(exchange.message, seed: seed + 10).message).bytes
        }
        #expect(secrets[0] != secrets[1] && secrets[1] != secrets[2] && secrets[0] != secrets[2])
        // Fresh keys of one end are enough.
        let exchange = try Self.begin(seed: 1)
        #expect(try exchange.finish(try Self.answer(exchange.message, seed: 99).message).bytes != secrets[0])
    }

    @Test func everyBitFlipIsRefused() throws {
        let exchange = try Self.begin()
        for bit in 0..<exchange.message.count * 8 {
            var flipped = exchange.message
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            // The highest bit of a key is not part of it (RFC 7748, section 5), but of what is hashed.
            #expect(throws: NoiseError.self, "bit \(bit)") { try Self.answer(flipped) }
        }
        let answer = try Self.answer(exchange.message).message
        for bit in 0..<answer.count * 8 {
            var flipped = answer
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: NoiseError.self, "bit \(bit)") { try exchange.finish(flipped) }
        }
    }

    @Test func whatIsCutShortIsRefused() throws {
        let exchange = try Self.begin()
        for count in 0..<exchange.message.count {
            #expect(throws: NoiseError.self) { try Self.answer(Array(exchange.message.prefix(count))) }
        }
        let answer = try Self.answer(exchange.message).message
        for count in 0..<answer.count {
            #expect(throws: NoiseError.self) { try exchange.finish(Array(answer.prefix(count))) }
        }
        #expect(throws: NoiseError.tooLong) { try Self.answer([UInt8](repeating: 1, count: 65_536)) }
    }

    /// A recording in another TLS session, a relay between two, another suite: the prologue differs.
    @Test func anotherBindingIsRefused() throws {
        let exchange = try Self.begin()
        let elsewhere = KeyExchangeBinding(exporter: run(from: 0x21))
        #expect(throws: NoiseError.badTag) { try Self.answer(exchange.message, binding: elsewhere) }
        #expect(throws: NoiseError.badTag) { try Self.answer(exchange.message, cipher: .chacha20poly1305) }
        let answer = try Self.answer(exchange.message).message
        let other = try Self.begin(seed: 7)
        #expect(throws: NoiseError.badTag, "the answer to another") { try other.finish(answer) }
    }

    @Test func anotherServerIsRefused() throws {
        let exchange = try Self.begin()
        #expect(throws: NoiseError.badTag) { try Self.answer(exchange.message, Self.client) }
        let forOther = try Self.begin(server: Self.client.publicKey)
        #expect(throws: NoiseError.badTag) { try Self.answer(forOther.message) }
    }

    /// The points of small order (RFC 7748, section 6.1): with them everybody would know the secret.
    static let smallOrder = [
        String(repeating: "00", count: 32), "01" + String(repeating: "00", count: 31),
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]

    @Test(arguments: smallOrder)
    func keysOfSmallOrderAreRefused(_ text: String) throws {
        let key = try #require(PublicKey(hex(text)))
        #expect(Self.server.shared(with: key) == nil)
        #expect(throws: NoiseError.weakKey, "as the server's") { try Self.begin(server: key) }
        let message = hex(text) + [UInt8](repeating: 0, count: 64)
        #expect(throws: NoiseError.weakKey, "as a client's ephemeral key") { try Self.answer(message) }
        let exchange = try Self.begin()
        let answer = hex(text) + [UInt8](repeating: 0, count: 16)
        #expect(throws: NoiseError.weakKey, "as the server's ephemeral key") { try exchange.finish(answer) }
    }

    // MARK: - Rekeying

    @Test func anotherExchangeIsBoundToTheOneBefore() throws {
        let exchange = try Self.begin()
        let result = try Self.answer(exchange.message)
        let keys = SessionKeys(result.secret, cipher: .aes256gcm, random: SeededRandom(seed: 1))
        let next = Self.binding.next(after: keys)
        let again = try Self.begin(seed: 3, binding: next)
        #expect(throws: NoiseError.badTag, "as a first one") { try Self.answer(again.message) }
        #expect(throws: NoiseError.badTag, "a first one as a second") {
            try Self.answer(exchange.message, binding: next)
        }
        let second = try Self.answer(again.message, seed: 4, binding: next)
        #expect(second.secret.bytes != result.secret.bytes)
        #expect(try again.finish(second.message).bytes == second.secret.bytes)
        keys.add(second.secret, isShared: true)
        #expect(throws: NoiseError.badTag, "twice") {
            try Self.answer(again.message, binding: Self.binding.next(after: keys))
        }
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededRandom(seed: 5)
        for _ in 0..<500 {
            let bytes = randomBytes(.random(in: 0...200, using: &random), &random)
            #expect(throws: NoiseError.self) { try Self.answer(bytes) }
        }
    }
}

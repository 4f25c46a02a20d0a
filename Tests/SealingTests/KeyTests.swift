import SimNet
import Testing

@testable import Sealing

@Suite struct KeyTests {
    static let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

    @Test func textFormBothWays() throws {
        #expect(KeyPair(privateKey: run(from: 0))?.privateKeyBase64 == SecretBytes(copying: Self.text.utf8))
        let key = try KeyPair(privateKeyBase64: Self.text.utf8)
        #expect(key == KeyPair(privateKey: run(from: 0)))
        #expect(key != KeyPair(privateKey: run(from: 1)))
        #expect(try KeyPair(privateKeyBase64: "  \(Self.text)\r\n".utf8) == key)
        #expect(try PublicKey(base64: Self.text).bytes == run(from: 0))
        #expect(try PublicKey(base64: key.publicKey.base64) == key.publicKey)
    }

    @Test(arguments: [
        ("", KeyTextError.empty), (" \n", .empty), ("AAEC", .wrongLength(3)),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", .notBase64),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIQ==", .wrongLength(34)),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", .notBase64),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd Hh8", .notBase64),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH===", .notBase64), ("====", .notBase64),
        ("-_ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", .notBase64), ("ключ", .notBase64),
    ])
    func badText(_ text: String, _ error: KeyTextError) {
        #expect(throws: error) { try KeyPair(privateKeyBase64: text.utf8) }
        #expect(throws: error) { try PublicKey(base64: text) }
        #expect(!error.description.contains(text) || text.isEmpty || text == " \n")
    }

    @Test(arguments: [0, 31, 33])
    func wrongSizes(_ count: Int) {
        #expect(KeyPair(privateKey: [UInt8](repeating: 0, count: count)) == nil)
        #expect(PublicKey([UInt8](repeating: 0, count: count)) == nil)
    }

    @Test func generatedKeysDiffer() throws {
        var random = SeededRandom(seed: 1)
        let keys = (0..<3).map { _ in KeyPair.generate(using: &random) }
        #expect(keys[0] != keys[1] && keys[1] != keys[2])
        #expect(try KeyPair(privateKeyBase64: keys[0].privateKeyBase64.withBytes { Array($0) }) == keys[0])
    }

    @Test func secretsDoNotPrint() {
        let key = KeyPair(privateKey: run(from: 0))!
        var dumped = ""
        dump(key, to: &dumped)
        dump(Channel().secret, to: &dumped)
        dump(SecretBytes(copying: run(from: 0)), to: &dumped)
        let shown = "\(key) \(String(reflecting: key)) \(Channel().secret) \(SecretBytes(copying: [1]))"
        #expect(!shown.contains(Self.text) && !dumped.contains(Self.text) && !dumped.contains("0x"))
        #expect(shown.contains(key.publicKey.base64), "the public key may be seen")
    }

    @Test func base64OfEverySize() {
        var random = SeededRandom(seed: 9)
        for size in 0...64 {
            let bytes = randomBytes(size, &random)
            let text = Base64.encode(bytes)
            #expect(text.utf8.count == (size + 2) / 3 * 4)
            #expect(Base64.decode(Array(text.utf8)) == bytes)
            #expect(Base64.encodeSecret(bytes) == SecretBytes(copying: text.utf8))
            #expect(Base64.decodeSecret(Array(text.utf8)) == SecretBytes(copying: bytes))
        }
        // RFC 4648, section 10.
        #expect(Base64.encode("foobar".utf8) == "Zm9vYmFy")
        #expect(Base64.encode("fooba".utf8) == "Zm9vYmE=")
        #expect(Base64.encode("foob".utf8) == "Zm9vYg==")
    }

    @Test(arguments: ["A", "AAA", "A===", "====", "AA=A", "AB==", "AAA=AAAA", "AA-A", "A A="])
    func badBase64(text: String) {
        #expect(Base64.decode(text.utf8) == nil && Base64.decodeSecret(text.utf8) == nil)
    }

    @Test func secretsJoined() {
        let parts = [[1, 2], [], [3]].map { SecretBytes(copying: $0 as [UInt8]) }
        #expect(SecretBytes(joining: parts) == SecretBytes(copying: [1, 2, 3]) && SecretBytes(joining: []).count == 0)
    }

    @Test func cipherNames() {
        #expect(Cipher(rawValue: "aes-256-gcm") == .aes256gcm)
        #expect(Cipher(rawValue: "chacha20-poly1305") == .chacha20poly1305)
        #expect(Cipher.allCases.map(\.suite) == [1, 2])
        #expect(Cipher.allCases.map { Cipher(suite: $0.suite) } == Cipher.allCases)
        #expect(Cipher(suite: 0) == nil && Cipher(suite: 3) == nil)
    }
}

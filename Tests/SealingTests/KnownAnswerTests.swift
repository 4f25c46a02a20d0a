import COpenSSL
import Testing

@testable import Sealing

@Suite struct KnownAnswerTests {
    struct HKDFVector: Sendable {
        let key: String
        let salt: String
        let info: String
        let output: String
    }

    /// RFC 5869, appendix A.1 to A.3.
    static let hkdfVectors = [
        HKDFVector(
            key: String(repeating: "0b", count: 22), salt: "000102030405060708090a0b0c",
            info: "f0f1f2f3f4f5f6f7f8f9",
            output: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
        HKDFVector(
            key: hex(UInt8(0x00)...0x4f), salt: hex(UInt8(0x60)...0xaf), info: hex(UInt8(0xb0)...0xff),
            output: """
                b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09
                da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87
                """),
        HKDFVector(
            key: String(repeating: "0b", count: 22), salt: "", info: "",
            output: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
    ]

    @Test(arguments: hkdfVectors)
    func hkdf(_ vector: HKDFVector) {
        let expected = hex(vector.output)
        let derived = hex(vector.salt).withUnsafeBytes { salt in
            hex(vector.key).withUnsafeBytes { key in
                KeyDerivation.derive(salt: salt, inputKey: key, info: hex(vector.info), count: expected.count)
            }
        }
        #expect(derived.withBytes { Array($0) } == expected)
    }

    struct AEADVector: Sendable {
        let cipher: Cipher
        let key: String
        let nonce: String
        var additional = ""
        let clear: String
        let sealed: String
        let tag: String
    }

    static let aeadVectors = [
        // The Galois/Counter Mode of Operation (McGrew, Viega), test cases 14 and 15.
        AEADVector(
            cipher: .aes256gcm, key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12),
            clear: String(repeating: "00", count: 16), sealed: "cea7403d4d606b6e074ec5d3baf39d18",
            tag: "d0d1c8a799996bf0265b98b5d48ab919"),
        AEADVector(
            cipher: .aes256gcm, key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            nonce: "cafebabefacedbaddecaf888",
            clear: """
                d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
                1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255
                """,
            sealed: """
                522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
                8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad
                """,
            tag: "b094dac5d93471bdec1a502270e3cc6c"),
        // RFC 8439, section 2.8.2.
        AEADVector(
            cipher: .chacha20poly1305, key: hex(UInt8(0x80)...0x9f), nonce: "070000004041424344454647",
            additional: "50515253c0c1c2c3c4c5c6c7",
            clear: hex(
                """
                Ladies and Gentlemen of the class of '99: If I could offer you \
                only one tip for the future, sunscreen would be it.
                """.utf8),
            sealed: """
                d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
                3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
                92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
                3ff4def08e4b7a9de576d26586cec64b6116
                """,
            tag: "1ae10b594f09e26a7e902ecbd0600691"),
    ]

    @Test(arguments: aeadVectors)
    func seals(_ vector: AEADVector) {
        let context = begun(vector, .seal)
        let clear = hex(vector.clear)
        var sealed = [UInt8](repeating: 0, count: clear.count)
        var tag = [UInt8](repeating: 0, count: Cipher.tagSize)
        transform(context, clear, &sealed)
        tag.withUnsafeMutableBytes { context.finish(tag: $0.baseAddress!) }
        #expect(hex(sealed) == hex(hex(vector.sealed)))
        #expect(hex(tag) == vector.tag)
    }

    @Test(arguments: aeadVectors)
    func opens(_ vector: AEADVector) {
        let sealed = hex(vector.sealed)
        var clear = [UInt8](repeating: 0, count: sealed.count)
        var tag = hex(vector.tag)

        let context = begun(vector, .open)
        transform(context, sealed, &clear)
        #expect(tag.withUnsafeBytes { context.verify(tag: $0.baseAddress!) })
        #expect(hex(clear) == hex(hex(vector.clear)))

        let second = begun(vector, .open)
        transform(second, sealed, &clear)
        tag[15] ^= 1
        #expect(!tag.withUnsafeBytes { second.verify(tag: $0.baseAddress!) })
    }

    private func begun(_ vector: AEADVector, _ operation: AEADContext.Operation) -> AEADContext {
        let context = AEADContext(vector.cipher, key: SecretBytes(copying: hex(vector.key)), operation: operation)
        let nonce = hex(vector.nonce)
        nonce.withUnsafeBytes {
            context.begin(
                nonce: ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
        }
        let additional = hex(vector.additional)
        if !additional.isEmpty {
            var written: Int32 = 0
            #expect(
                EVP_CipherUpdate(context.context, nil, &written, additional, Int32(additional.count)) == 1)
        }
        return context
    }

    private func transform(_ context: borrowing AEADContext, _ input: [UInt8], _ output: inout [UInt8]) {
        output.withUnsafeMutableBytes { output in
            input.withUnsafeBytes { context.update($0, into: output.baseAddress!) }
        }
    }

    @Test func noncesCountUpLittleEndian() {
        // Two messages of one context against the same with the nonce written out.
        let key = SecretBytes(copying: run(from: 0))
        var counting = AEADContext(.aes256gcm, key: key, operation: .seal)
        let explicit = AEADContext(.aes256gcm, key: key, operation: .seal)
        let clear = [UInt8](repeating: 7, count: 20)
        for nonce: UInt64 in 0..<300 {
            var one = clear
            var other = clear
            counting.begin()
            explicit.begin(nonce: (nonce.littleEndian, 0))
            transform(counting, clear, &one)
            transform(explicit, clear, &other)
            #expect(one == other)
        }
        #expect(counting.counter == 300)
    }
}

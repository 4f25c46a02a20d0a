import COpenSSL
import Sealing

/// libcrypto alone, called as cheaply as it can be: what the sealed layer's time is compared with.
enum RawCipher {
    static func name(_ cipher: Cipher, _ size: Int) -> String { "raw-seal/\(cipher.rawValue)/\(size)" }

    /// One message with a nonce of its own and a tag, under a key that stays.
    static func sealing(_ cipher: Cipher, _ size: Int) -> Case {
        Case(name: name(cipher, size), bytes: size, mustNotAllocate: false) {
            let context = EVP_CIPHER_CTX_new()
            let implementation = EVP_CIPHER_fetch(nil, cipher.rawValue, nil)
            let key = Cases.memory(Cipher.keySize).bindMemory(to: UInt8.self)
            let nonce = Cases.memory(Cipher.nonceSize).bindMemory(to: UInt8.self)
            let payload = Cases.memory(size).bindMemory(to: UInt8.self)
            let output = Cases.memory(size + Cipher.tagSize).bindMemory(to: UInt8.self)
            guard EVP_EncryptInit_ex2(context, implementation, key.baseAddress, nil, nil) == 1 else {
                fatalError("libcrypto offers no \(cipher.rawValue)")
            }
            return { count in
                var written: Int32 = 0
                for number in 0..<count {
                    nonce[0] = UInt8(truncatingIfNeeded: number)
                    guard EVP_EncryptInit_ex2(context, nil, nil, nonce.baseAddress, nil) == 1,
                        EVP_EncryptUpdate(context, output.baseAddress, &written, payload.baseAddress, Int32(size)) == 1,
                        EVP_EncryptFinal_ex(context, output.baseAddress! + size, &written) == 1,
                        penstock_get_tag(context, output.baseAddress! + size) == 1
                    else { fatalError("libcrypto failed to seal") }
                }
            }
        }
    }
}

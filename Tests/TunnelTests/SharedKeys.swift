import Sealing
import SimNet

/// Both ends' keys of one connection, made by a key exchange.
struct SharedKeys {
    static let serverPair = KeyPair(privateKey: [UInt8](repeating: 7, count: 32))!
    static let clientPair = KeyPair(privateKey: [UInt8](repeating: 8, count: 32))!
    static let exporter = [UInt8](repeating: 9, count: KeyExchangeBinding.exporterSize)

    let client: SessionKeys
    let server: SessionKeys

    init(cipher: Cipher = .aes256gcm) {
        var random = SeededRandom(seed: 1)
        let binding = KeyExchangeBinding(exporter: Self.exporter)
        do {
            let exchange = try ClientKeyExchange(
                Self.clientPair, server: Self.serverPair.publicKey, cipher: cipher, binding: binding, random: &random)
            let result = try ServerKeyExchange.answer(
                exchange.message, Self.serverPair, cipher: cipher, binding: binding, random: &random)
            client = SessionKeys(try exchange.finish(result.message), cipher: cipher, random: random)
            server = SessionKeys(result.secret, cipher: cipher, random: random)
        } catch {
            fatalError("a key exchange between two good ends fails: \(error)")
        }
    }
}

import Foundation
import Testing

@testable import Sealing

/// Published vectors of other implementations: those of Noise IK with 25519 and SHA-256.
@Suite struct NoiseVectorTests {
    struct Vector: Codable, Sendable, CustomTestStringConvertible {
        struct Message: Codable, Sendable {
            let payload: String
            let ciphertext: String
        }

        let protocolName: String
        let origin: String
        let initPrologue: String
        let respPrologue: String
        let initStatic: String
        let initEphemeral: String
        let initRemoteStatic: String
        let respStatic: String
        let respEphemeral: String
        let handshakeHash: String?
        let messages: [Message]

        var testDescription: String { "\(protocolName) of \(origin.prefix { $0 != " " })" }
        var cipher: Cipher { protocolName.contains("AESGCM") ? .aes256gcm : .chacha20poly1305 }
    }

    static func vectors() throws -> [Vector] {
        struct File: Codable { let vectors: [Vector] }
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Vectors/noise-ik.json")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(File.self, from: Data(contentsOf: file)).vectors
    }

    @Test func bothCiphersOfBothImplementations() throws {
        let vectors = try Self.vectors()
        #expect(vectors.count == 4)
        #expect(Set(vectors.map(\.testDescription)).count == 4)
    }

    @Test(arguments: try vectors())
    func handshakeAndTransport(_ vector: Vector) throws {
        let server = try #require(KeyPair(privateKey: hex(vector.respStatic)))
        let remote = try #require(PublicKey(hex(vector.initRemoteStatic)))
        #expect(server.publicKey == remote)
        let client = try #require(KeyPair(privateKey: hex(vector.initStatic)))
        var initiator = HandshakeState(
            cipher: vector.cipher, role: .initiator, prologue: hex(vector.initPrologue), ownStatic: client,
            remoteStatic: remote)
        var responder = HandshakeState(
            cipher: vector.cipher, role: .responder, prologue: hex(vector.respPrologue), ownStatic: server)
        var clientRandom = FixedRandom(bytes: hex(vector.initEphemeral))
        var serverRandom = FixedRandom(bytes: hex(vector.respEphemeral))

        let first = try initiator.write(hex(vector.messages[0].payload), random: &clientRandom)
        #expect(hex(first) == vector.messages[0].ciphertext)
        #expect(hex(try responder.read(first)) == vector.messages[0].payload)
        #expect(responder.remoteStatic == client.publicKey)
        #expect(!initiator.isComplete && !responder.isComplete)

        let second = try responder.write(hex(vector.messages[1].payload), random: &serverRandom)
        #expect(hex(second) == vector.messages[1].ciphertext)
        #expect(hex(try initiator.read(second)) == vector.messages[1].payload)
        #expect(initiator.isComplete && responder.isComplete)
        #expect(initiator.handshakeHash == responder.handshakeHash)
        if let expected = vector.handshakeHash { #expect(hex(initiator.handshakeHash) == expected) }

        // The rest is sealed in turns under the keys of the two directions.
        var (clientSends, clientReceives) = initiator.split()
        var (serverReceives, serverSends) = responder.split()
        for (number, message) in vector.messages.enumerated().dropFirst(2) {
            if number % 2 == 0 {
                let sealed = clientSends.encrypt(hex(message.payload), additional: [])
                #expect(hex(sealed) == message.ciphertext)
                #expect(hex(try serverReceives.decrypt(sealed, additional: [])) == message.payload)
            } else {
                let sealed = serverSends.encrypt(hex(message.payload), additional: [])
                #expect(hex(sealed) == message.ciphertext)
                #expect(hex(try clientReceives.decrypt(sealed, additional: [])) == message.payload)
            }
        }
        #expect(SessionSecret(initiator).bytes == SessionSecret(responder).bytes)
    }
}

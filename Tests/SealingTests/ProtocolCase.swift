import Foundation

@testable import Sealing

/// One case of Tests/Vectors: two key exchanges of a connection, and what was sealed under their keys. Bytes are
/// hexadecimal text.
struct ProtocolCase: Codable, Sendable {
    struct Rekey: Codable, Sendable {
        var clientEphemeral: String
        var serverEphemeral: String
        var message1 = ""
        var message2 = ""
        var sessionSecret = ""
    }

    struct Section: Codable, Sendable {
        var epoch: UInt64
        var salt: String
        var chunks: [String]
    }

    struct Stream: Codable, Sendable {
        var direction: String
        var stream: Int64
        var sections: [Section]
        var sealed = ""
    }

    struct Datagram: Codable, Sendable {
        var direction: String
        var stream: Int64
        var epoch: UInt64
        var counter: UInt64
        var clear: String
        var sealed = ""
    }

    var cipher: String
    var exporter: String
    var clientPrivate: String
    var serverPrivate: String
    var clientEphemeral: String
    var serverEphemeral: String
    var message1 = ""
    var message2 = ""
    var sessionSecret = ""
    var controlUp = ""
    var controlDown = ""
    var rekey: Rekey
    var streams: [Stream]
    var datagrams: [Datagram]

    private struct File: Codable { let cases: [ProtocolCase] }

    static func read(_ data: Data) throws -> [ProtocolCase] {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(File.self, from: data).cases
    }

    static func write(_ cases: [ProtocolCase]) throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return try encoder.encode(File(cases: cases))
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Vectors")
}

extension ProtocolCase {
    var suite: Cipher { Cipher(rawValue: cipher)! }

    /// The case as this program makes it of the same inputs.
    func madeHere() throws -> ProtocolCase {
        var made = self
        let keys = try made.exchange()
        for index in made.streams.indices {
            let stream = made.streams[index]
            made.streams[index].sealed = hex(Self.seal(stream, keys))
        }
        for index in made.datagrams.indices {
            let datagram = made.datagrams[index]
            let fixed = SessionKeys(keys.secret(of: datagram.epoch)!, cipher: suite, random: FixedRandom(bytes: []))
            while fixed.sending < datagram.epoch { fixed.add(keys.secret(of: datagram.epoch)!, isShared: true) }
            let sealer = DatagramSealer(
                keys: fixed, direction: Direction(rawValue: datagram.direction)!, stream: datagram.stream,
                startingAt: datagram.counter)
            made.datagrams[index].sealed = hex(sealer.seal(hex(datagram.clear))!)
        }
        return made
    }

    /// Carries out both exchanges and fills in what is said; the keys have both epochs.
    mutating func exchange() throws -> SessionKeys {
        let client = KeyPair(privateKey: hex(clientPrivate))!
        let server = KeyPair(privateKey: hex(serverPrivate))!
        let cipher = suite
        func exchange(_ binding: KeyExchangeBinding, _ ours: String, _ theirs: String) throws
            -> ([UInt8], [UInt8], SessionSecret)
        {
            var clientRandom = FixedRandom(bytes: hex(ours))
            var serverRandom = FixedRandom(bytes: hex(theirs))
            let begun = try ClientKeyExchange(
                client, server: server.publicKey, cipher: cipher, binding: binding, random: &clientRandom)
            let result = try ServerKeyExchange.answer(
                begun.message, server, cipher: cipher, binding: binding, random: &serverRandom)
            return (begun.message, result.message, try begun.finish(result.message))
        }
        let binding = KeyExchangeBinding(exporter: hex(exporter))
        let first = try exchange(binding, clientEphemeral, serverEphemeral)
        (message1, message2, sessionSecret) = (hex(first.0), hex(first.1), hex(first.2.bytes.withBytes { Array($0) }))
        controlUp = hex([cipher.suite, 0, UInt8(first.0.count)] + first.0)
        controlDown = hex([0, UInt8(first.1.count)] + first.1)
        let keys = SessionKeys(first.2, cipher: cipher, random: FixedRandom(bytes: []))
        let second = try exchange(binding.next(after: keys), rekey.clientEphemeral, rekey.serverEphemeral)
        rekey.message1 = hex(second.0)
        rekey.message2 = hex(second.1)
        rekey.sessionSecret = hex(second.2.bytes.withBytes { Array($0) })
        keys.add(second.2, isShared: true)
        return keys
    }

    private static func seal(_ stream: Stream, _ keys: SessionKeys) -> [UInt8] {
        let salts = stream.sections.flatMap { hex($0.salt) }
        let moving = SessionKeys(keys.secret(of: 0)!, cipher: keys.cipher, random: FixedRandom(bytes: salts))
        func move(to epoch: UInt64) {
            if epoch > moving.sending { moving.add(keys.secret(of: epoch)!, isShared: true) }
        }
        move(to: stream.sections[0].epoch)
        // Two sections of one epoch follow each other where a key has sealed as much as it may.
        let pair = zip(stream.sections, stream.sections.dropFirst()).first { $0.epoch == $1.epoch }
        let lifetime = pair.map { $0.0.chunks.map { $0.utf8.count / 2 }.reduce(0, +) } ?? .max
        let sealer = ChunkSealer(
            keys: moving, direction: Direction(rawValue: stream.direction)!, stream: stream.stream,
            keyLifetime: UInt64(lifetime))
        return stream.sections.flatMap { section in
            move(to: section.epoch)
            return section.chunks.flatMap { sealer.seal(hex($0)) }
        }
    }
}

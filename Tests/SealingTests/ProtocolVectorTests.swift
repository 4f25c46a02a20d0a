import Foundation
import Primitives
import Testing

@testable import Sealing

/// The test vectors of docs/PROTOCOL.md, which were made by another implementation (the Python one printed there).
@Suite struct ProtocolVectorTests {
    static let session = "e0f87efe889e4ab4c3bebbacab4fdb4012aba2d30d362770ccd093ac6fc30e1d"
    static let subkey = "04f604652a8ba01bde7e6a1b63a174f08fc50dd550b7c2fd91c4055ae83506b1"
    static let hello = "010e70656e73746f636b2f302e312e30"
    static let request = "010100030b6578616d706c652e6f726701bb"
    static let reply = "01000001c00002019c40"

    struct Stream: Sendable {
        let channel: Channel
        let salt: UInt8
        let message: String
        let data: String
        let sealed: String
    }

    static let streams = [
        Stream(
            channel: Channel(direction: .up, stream: 0, cipher: .aes256gcm), salt: 0x40, message: hello, data: "",
            sealed: """
                404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f
                2d18377ede43f9923b0c62d72dd072a9c536196f4bdedf74fa1e59391cf1409a
                c9fa853743ca05d2ad64770287db45714718
                """),
        Stream(
            channel: Channel(direction: .up, stream: 4, cipher: .aes256gcm), salt: 0x40, message: request,
            data: "GET / HTTP/1.0\r\n\r\n",
            sealed: """
                404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f
                d3a046e0b8cc925c09982536024d7706c56967deb3f0d68330df0b2345a2b231
                2bb7045445813f4bd42981fbbee52c78af26ab289987808825e5d5a914950a3a
                f93d36b7ec0bf0f0db277626a4f85c6b646a24545e292441b9c3ee3f03ade3f1
                f104aaaa091c426c
                """),
        Stream(
            channel: Channel(direction: .down, stream: 4, cipher: .chacha20poly1305), salt: 0x60, message: reply,
            data: "HTTP/1.0 204 No Content\r\n\r\n",
            sealed: """
                606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f
                9d4feb4e950e0c8692e74079eed9985a8bb6bb2abe90d02ba433580d807c7ec8
                3a0d39c02c26b2a65c2df8424b8e295b28bbc9dadc4bb7ca9dd6f26e585b436c
                f9e207b9768ceee153526bbd630c38c12b53ea0a8fcc23364a079f153535c3dc
                378db145ac144d61dd
                """),
    ]

    @Test func sessionSecret() {
        #expect(hex(Channel().secret.bytes.withBytes { Array($0) }) == Self.session)
    }

    @Test func streamKey() {
        let key = run(from: 0x40).withUnsafeBytes { Channel().secret.subkey(salt: $0, direction: .up, stream: 4) }
        #expect(hex(key.withBytes { Array($0) }) == Self.subkey)
    }

    @Test(arguments: streams)
    func seals(_ stream: Stream) {
        let sealer = stream.channel.sealer(salt: run(from: stream.salt))
        var sealed = sealer.seal(message: hex(stream.message))
        if !stream.data.isEmpty { sealed += sealer.seal(Array(stream.data.utf8)) }
        #expect(hex(sealed) == hex(hex(stream.sealed)))
    }

    @Test(arguments: streams)
    func opens(_ stream: Stream) throws {
        let pool = BlockPool(byteLimit: 1 << 20)
        var queue = BlockQueue(pool: pool)
        let opener = stream.channel.opener()
        try opener.open(hex(stream.sealed), into: &queue)
        #expect(opener.takeFirstChunk() == hex(stream.message))
        let data = queue.drain()
        #expect(data == Array(stream.data.utf8))
        #expect(opener.isBetweenChunks)
    }

    @Test func documentHasTheVectors() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let document = try String(contentsOf: root.appendingPathComponent("docs/PROTOCOL.md"), encoding: .utf8)
            .filter { !$0.isWhitespace }
        let vectors = [Self.session, Self.subkey, Self.hello, Self.request, Self.reply] + Self.streams.map(\.sealed)
        for vector in vectors {
            #expect(document.contains(hex(hex(vector))))
        }
    }
}

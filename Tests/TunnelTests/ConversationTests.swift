import Primitives
import Sealing
import SimNet
import Testing

@testable import Tunnel

/// Messages in their sealed streams, as client and server speak them.
@Suite struct ConversationTests {
    private let secret: SessionSecret
    private let cipher = Cipher.standard

    init() throws {
        let psk = try #require(PreSharedKey([UInt8](repeating: 7, count: PreSharedKey.size)))
        secret = SessionSecret(psk: psk, exporter: [UInt8](repeating: 8, count: SessionSecret.exporterSize))
    }

    @Test func controlStream() throws {
        var random = SeededRandom(seed: 1)
        let stream = TunnelProtocol.controlStream
        let up = ChunkSealer(secret: secret, direction: .up, stream: stream, cipher: cipher, random: &random)
        let server = MessageOpener(secret: secret, direction: .up, stream: stream, cipher: cipher)
        let messages = [ControlMessage.ping(3), .kick(code: TunnelErrorCode.kicked.rawValue, reason: "no")]
        var wire = up.seal(message: Hello(software: "client").encode())
        for message in messages { wire += up.seal(message: message.encode()) }
        // `open` wants a pointer; the closure hides the error's type from `#require`.
        try wire.withUnsafeBytes { try server.open($0) }
        #expect(try Hello(parsing: #require(server.nextMessage())).software == "client")
        for message in messages { #expect(try ControlMessage(parsing: #require(server.nextMessage())) == message) }
        #expect(server.nextMessage() == nil)
    }

    @Test func flowStream() throws {
        var random = SeededRandom(seed: 2)
        let pool = BlockPool(byteLimit: 1 << 20)
        do {
            let up = ChunkSealer(secret: secret, direction: .up, stream: 4, cipher: cipher, random: &random)
            let server = ChunkOpener(secret: secret, direction: .up, stream: 4, cipher: cipher)
            let request = FlowRequest(.connect, to: try DestinationAddress(host: "example.org", port: 80))
            let wire = up.seal(message: request.encode()) + up.seal(message: [1, 2, 3])
            var queue = BlockQueue(pool: pool)
            let failure = wire.withUnsafeBytes { bytes -> OpenError? in
                do throws(OpenError) { try server.open(bytes, into: &queue) } catch { return error }
                return nil
            }
            #expect(failure == nil)
            #expect(try FlowRequest(parsing: #require(server.takeFirstChunk())) == request)
            let count = queue.count
            #expect(count == 3)
        }
        #expect(pool.outstanding == 0)
    }

    /// The longest message of each kind fits into a chunk of a message.
    @Test func longestMessagesFit() throws {
        let text = String(repeating: "x", count: 255)
        let host = Array(repeating: String(repeating: "a", count: 63), count: 4).joined(separator: ".")
        let longest = [
            Hello(software: text).encode(), Welcome(maximumFlows: .max, software: text).encode(),
            ControlMessage.kick(code: .max, reason: text).encode(),
            FlowRequest(.connect, to: try DestinationAddress(host: host, port: 1)).encode(),
        ]
        for message in longest { #expect(message.count <= MessageOpener.maximumMessage) }
    }
}

import Primitives
import Sealing
import SimNet
import Testing

@testable import Tunnel

/// Messages in their sealed streams, as client and server speak them.
@Suite struct ConversationTests {
    private let keys = SharedKeys()

    @Test func controlStream() throws {
        let stream = TunnelProtocol.controlStream
        let up = ChunkSealer(keys: keys.client, direction: .up, stream: stream)
        let server = MessageOpener(keys: keys.server, direction: .up, stream: stream)
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
        let pool = BlockPool(byteLimit: 1 << 20)
        do {
            let up = ChunkSealer(keys: keys.client, direction: .up, stream: 4)
            let server = ChunkOpener(keys: keys.server, direction: .up, stream: 4)
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
            Hello(
                software: text, user: UserLogin(name: text, password: SecretBytes(copying: Array(text.utf8)))
            ).encode(),
            ControlMessage.rekey([UInt8](repeating: 1, count: 512)).encode(),
            Welcome(maximumFlows: .max, software: text).encode(),
            ControlMessage.kick(code: .max, reason: text).encode(),
            FlowRequest(.connect, to: try DestinationAddress(host: host, port: 1)).encode(),
        ]
        for message in longest { #expect(message.count <= MessageOpener.maximumMessage) }
    }
}

import Primitives
import Sealing
import SimNet
import Testing

@testable import Tunnel

/// Both ends of one association.
struct ChannelPair {
    static let requested = Endpoint("192.0.2.1:53")!
    let client: DatagramChannel
    let server: DatagramChannel
    let pool = BlockPool(byteLimit: 1 << 20)

    init(requested: Endpoint = requested) {
        let keys = SharedKeys()
        client = DatagramChannel(keys: keys.client, stream: 4, role: .client, requested: requested)
        server = DatagramChannel(keys: keys.server, stream: 4, role: .server, requested: requested)
    }
}

extension DatagramChannel {
    func sealed(_ payload: [UInt8], _ endpoint: Endpoint) -> [UInt8] {
        bytes(of: sealedSize(payload.count, endpoint)) { room in
            payload.withUnsafeBytes { seal($0, endpoint, into: room) } ?? 0
        }
    }

    func sealed(failure code: FlowReplyCode, _ endpoint: Endpoint) -> [UInt8] {
        bytes(of: sealedFailureSize(endpoint)) { seal(failure: code, endpoint, into: $0) ?? 0 }
    }

    func record(_ payload: [UInt8], _ endpoint: Endpoint) -> [UInt8] {
        bytes(of: Self.maximumRecord) { room in payload.withUnsafeBytes { writeRecord($0, endpoint, to: room) } }
    }

    private func bytes(of size: Int, _ write: (UnsafeMutableRawBufferPointer) -> Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: size)
        let count = bytes.withUnsafeMutableBytes(write)
        return Array(bytes[..<count])
    }

    /// The message and its payload; nil where it was refused or ignored.
    func opened(_ datagram: [UInt8]) -> (DatagramMessage, [UInt8])? {
        var output = [UInt8](repeating: 0, count: datagram.count)
        let result = datagram.withUnsafeBytes { datagram in
            output.withUnsafeMutableBytes { try? open(datagram, into: $0) }
        }
        guard let result else { return nil }
        return (result.message, Array(output[..<result.count]))
    }

    /// All whole records of a queue.
    func records(_ queue: inout BlockQueue) throws -> [(Record, [UInt8])] {
        var found: [(Record, [UInt8])] = []
        var memory = [UInt8](repeating: 0, count: DatagramMessage.maximumSize)
        while true {
            let record = try memory.withUnsafeMutableBytes { try nextRecord(from: &queue, into: $0) }
            switch record {
            case .incomplete: return found
            case .unknown: found.append((record, []))
            case .message(_, let count): found.append((record, Array(memory[..<count])))
            }
        }
    }
}

@Suite struct DatagramChannelTests {
    static let endpoints = [
        ChannelPair.requested, Endpoint("192.0.2.1:54")!, Endpoint("203.0.113.7:65535")!, Endpoint("[2001:db8::1]:53")!,
    ]

    @Test(arguments: endpoints)
    func payloadsAndFailuresArrive(endpoint: Endpoint) throws {
        let pair = ChannelPair()
        for size in [0, 1, 1_200, DatagramMessage.maximumPayload] {
            let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
            let (message, got) = try #require(pair.server.opened(pair.client.sealed(payload, endpoint)))
            #expect(message == .payload(endpoint))
            #expect(got == payload)
        }
        for code in FlowReplyCode.allCases {
            let (message, _) = try #require(pair.client.opened(pair.server.sealed(failure: code, endpoint)))
            #expect(message == .failure(endpoint, code))
        }
    }

    /// The destination of the request costs one byte, others their address.
    @Test func addressesCostWhatTheyMust() {
        let pair = ChannelPair()
        let plain = pair.client.sealed([], ChannelPair.requested).count
        #expect(plain == 1 + 1 + 1 + 1 + 16)
        #expect(pair.client.sealed([], Self.endpoints[1]).count == plain + 6)
        #expect(pair.client.sealed([], Self.endpoints[3]).count == plain + 18)
    }

    /// What a peer may say and this version does not know is ignored: it opens, and nothing comes of it.
    @Test func unknownMessagesAreIgnored() {
        let sealer = DatagramSealer(keys: SharedKeys().client, direction: .up, stream: 4)
        let pair = ChannelPair()
        let bodies: [[UInt8]] = [
            [], [2], [0x20], [0xFF], [1], [1, 2, 3, 4, 5, 1], [UInt8](repeating: 0, count: 17) + [4],
            [0x10],  // a failure without a code
        ]
        for body in bodies {
            var output = [UInt8](repeating: 0, count: 100)
            let count = output.withUnsafeMutableBytes { output in
                body.withUnsafeBytes { sealer.seal($0, UnsafeRawBufferPointer(start: nil, count: 0), into: output)! }
            }
            #expect(pair.server.opened(Array(output[..<count])) == nil, "\(body)")
        }
    }

    @Test func aFailureWithACodeOfALaterVersionIsAGeneralOne() throws {
        let sealer = DatagramSealer(keys: SharedKeys().server, direction: .down, stream: 4)
        var output = [UInt8](repeating: 0, count: 100)
        let count = output.withUnsafeMutableBytes { output in
            [UInt8](arrayLiteral: 0x77, 1, 2, 0x10).withUnsafeBytes {
                sealer.seal($0, UnsafeRawBufferPointer(start: nil, count: 0), into: output)!
            }
        }
        let (message, _) = try #require(ChannelPair().client.opened(Array(output[..<count])))
        #expect(message == .failure(ChannelPair.requested, .generalFailure))
    }

    // MARK: - Records

    /// The bytes of docs/PROTOCOL.md, section 6.
    @Test func bytesOfRecords() {
        let pair = ChannelPair()
        #expect(pair.client.record([1, 2], ChannelPair.requested) == [0, 0, 0, 3, 1, 2, 0])
        #expect(
            pair.client.record([], Endpoint("192.0.2.1:54")!) == [0, 0, 0, 7, 192, 0, 2, 1, 0, 54, 1])
        #expect(
            pair.client.record([9], Endpoint("[2001:db8::1]:53")!)
                == [0, 0, 0, 20, 9, 0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1, 0, 53, 4])
    }

    /// Records come in pieces of any size, several at once or a byte at a time.
    @Test(arguments: [1, 2, 7, 1_000, 100_000])
    func recordsArriveInPieces(pieceSize: Int) throws {
        let pair = ChannelPair()
        var random = SeededRandom(seed: 3)
        let payloads = [0, 1, 500, 20_000, DatagramMessage.maximumPayload, 3].map { size in
            (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
        }
        var wire: [UInt8] = []
        for (index, payload) in payloads.enumerated() {
            wire += pair.client.record(payload, Self.endpoints[index % Self.endpoints.count])
        }
        if pieceSize < 7 { wire = Array(wire[..<25_000]) }
        var queue = BlockQueue(pool: pair.pool)
        var got: [[UInt8]] = []
        for start in stride(from: 0, to: wire.count, by: pieceSize) {
            let piece = Array(wire[start..<min(start + pieceSize, wire.count)])
            #expect(piece.withUnsafeBytes { queue.append($0) } == piece.count)
            for (record, payload) in try pair.server.records(&queue) {
                let endpoint = Self.endpoints[got.count % Self.endpoints.count]
                #expect(record == .message(.payload(endpoint), count: payload.count))
                got.append(payload)
            }
        }
        #expect(got == (pieceSize < 7 ? Array(payloads[..<4]) : payloads))
    }

    @Test(arguments: [[0, 0, 0, 0], [0, 1, 0, 11], [0xFF, 0xFF, 0xFF, 0xFF]] as [[UInt8]])
    func impossibleLengthsEndTheStream(length: [UInt8]) {
        let pair = ChannelPair()
        var queue = BlockQueue(pool: pair.pool)
        _ = length.withUnsafeBytes { queue.append($0) }
        #expect(throws: MessageError.self) { _ = try pair.server.records(&queue) }
    }

    @Test func recordsCanBeForgotten() throws {
        let pair = ChannelPair()
        var queue = BlockQueue(pool: pair.pool)
        let wire = pair.client.record([1], ChannelPair.requested) + pair.client.record([2], ChannelPair.requested)
        _ = wire.withUnsafeBytes { queue.append($0) }
        #expect(try pair.server.nextRecord(from: &queue, into: nil) == .unknown)
        #expect(try pair.server.records(&queue).map(\.1) == [[2]])
    }

    /// Whatever is in it, a message is read without harm.
    @Test(arguments: 0..<20)
    func rubbishIsReadWithoutHarm(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<2_000 {
            var bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if !bytes.isEmpty, Bool.random(using: &random) {
                bytes[bytes.count - 1] = [0, 1, 4, 0x10, 0x11, 0x14].randomElement(using: &random)!
            }
            bytes.withUnsafeBytes { message in
                guard let trailer = DatagramMessage.Trailer.read(message, requested: ChannelPair.requested) else {
                    return
                }
                #expect((0..<message.count).contains(trailer.bodyCount))
            }
        }
    }
}

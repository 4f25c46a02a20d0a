import Sealing

/// One way in which the server misbehaves towards the real client; an application asks for it by the port it connects to.
struct Trick {
    enum Place: String {
        /// In place of the reply: the application is not connected.
        case reply
        /// Behind a good chunk: the application's connection is reset, and nothing else comes out of it.
        case chunk
        /// Between good datagrams: the application does not see it.
        case datagram
    }

    /// A number of the client's line of statistics, which grows by one.
    enum Counter: String {
        case sealingFailures = "sealing_failures"
        case unsealable = "datagrams_unsealable"
        case replayed = "datagrams_replayed"
    }

    /// The first port that stands for a trick; others are served honestly.
    static let firstPort = 8_000

    let name: String
    let place: Place
    let counter: Counter
    /// Whether FIN follows.
    let isFinished: Bool
    /// Gives what is sent: in place of these bytes where it is the reply, behind them else.
    let make: (ServedFlow, [UInt8]) -> [UInt8]

    static func at(_ port: UInt16) -> Trick? {
        let index = Int(port) - firstPort
        return all.indices.contains(index) ? all[index] : nil
    }

    static var all: [Trick] { replies + chunks + datagrams }

    // MARK: - Replies

    private static var replies: [Trick] {
        [
            reply("reply-epoch-flipped") { $1.changed(at: HeaderPart.epoch) },
            reply("reply-salt-flipped") { $1.changed(at: HeaderPart.salt) },
            reply("reply-flipped") { $1.changed(at: HeaderPart.end + ChunkPart.payload) },
            reply("reply-tag-flipped") { $1.changed(at: ChunkPart.tag(of: $1)) },
            reply("reply-cut", isFinished: true) { Array($1.dropLast()) },
            reply("reply-replayed") { flow, _ in flow.recorded },
        ]
    }

    // MARK: - Chunks

    private static var chunks: [Trick] {
        [
            evil("chunk-length-flipped") { $0.changed(at: ChunkPart.length) },
            evil("chunk-length-tag-flipped") { $0.changed(at: ChunkPart.lengthTag) },
            evil("chunk-flipped") { $0.changed(at: ChunkPart.payload) },
            // All that is before it is right, and has come long before the tag.
            evil("chunk-end-flipped") { $0.changed(at: ChunkPart.tag(of: $0) - 1) },
            evil("chunk-tag-flipped") { $0.changed(at: ChunkPart.tag(of: $0)) },
            evil("chunk-cut-in-length", isFinished: true) { Array($0[..<1]) },
            evil("chunk-cut", isFinished: true) { Array($0[..<($0.count / 2)]) },
            evil("chunk-cut-in-tag", isFinished: true) { Array($0.dropLast()) },
            Trick("chunk-repeated", .chunk, .sealingFailures) { $1 },
            Trick("chunks-swapped", .chunk, .sealingFailures) { flow, _ in
                let first = flow.sealedChunk(Scene.evil)
                return flow.sealedChunk(Scene.evil) + first
            },
        ]
    }

    // MARK: - Datagrams

    private static var datagrams: [Trick] {
        [
            Trick("datagram-replayed", .datagram, .replayed) { $1 },
            evilDatagram("datagram-flipped") { $0.changed(at: 3) },
            evilDatagram("datagram-tag-flipped") { $0.changed(at: $0.count - 1) },
            // One that is still to come.
            evilDatagram("datagram-counter-flipped") { $0.changed(at: 2, 0x20) },
            evilDatagram("datagram-cut") { Array($0.dropLast()) },
        ]
    }

    // MARK: - Kinds

    private init(
        _ name: String, _ place: Place, _ counter: Counter, isFinished: Bool = false,
        _ make: @escaping (ServedFlow, [UInt8]) -> [UInt8]
    ) {
        self.name = name
        self.place = place
        self.counter = counter
        self.isFinished = isFinished
        self.make = make
    }

    private static func reply(
        _ name: String, isFinished: Bool = false, _ make: @escaping (ServedFlow, [UInt8]) -> [UInt8]
    ) -> Trick {
        Trick(name, .reply, .sealingFailures, isFinished: isFinished, make)
    }

    private static func evil(
        _ name: String, isFinished: Bool = false, _ change: @escaping ([UInt8]) -> [UInt8]
    ) -> Trick {
        Trick(name, .chunk, .sealingFailures, isFinished: isFinished) { flow, _ in
            change(flow.sealedChunk(Scene.evil))
        }
    }

    private static func evilDatagram(_ name: String, _ change: @escaping ([UInt8]) -> [UInt8]) -> Trick {
        Trick(name, .datagram, .unsealable) { flow, _ in change(flow.sealedDatagram(Scene.evilDatagram)) }
    }
}

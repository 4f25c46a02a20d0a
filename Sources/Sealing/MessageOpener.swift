/// Opens one direction of the control stream, where every chunk is one message. Not for use by two threads at once.
public final class MessageOpener {
    /// The most bytes in one message.
    public static let maximumMessage = ChunkFormat.maximumMessage
    /// The most messages that wait for `nextMessage`.
    public static let maximumWaiting = 64

    private var reader: ChunkReader
    private var current: [UInt8] = []
    private var filled = 0
    /// Oldest last.
    private var waiting: [[UInt8]] = []

    public init(keys: SessionKeys, direction: Direction, stream: Int64) {
        reader = ChunkReader(keys: keys, direction: direction, stream: stream)
    }

    /// Messages and clear bytes verified so far.
    public var chunks: UInt64 { reader.chunks }
    public var bytes: UInt64 { reader.bytes }

    /// True where the stream may end: at least one message was opened, and nothing of another has come.
    public var isBetweenChunks: Bool { reader.isBetweenChunks }

    /// Messages that were overwritten: what they said may have been a secret.
    public private(set) var wiped = 0

    deinit {
        SecretBytes.wipe(&current)
        for index in waiting.indices { SecretBytes.wipe(&waiting[index]) }
    }

    /// The oldest message not yet taken; the caller's to wipe.
    public func nextMessage() -> [UInt8]? { waiting.popLast() }

    /// Calls `body` with the oldest message not yet taken, and overwrites it then, however `body` ends.
    /// - Returns: false when there is none.
    public func withNextMessage<Failure: Error>(_ body: ([UInt8]) throws(Failure) -> Void) throws(Failure) -> Bool {
        guard var message = waiting.popLast() else { return false }
        defer {
            SecretBytes.wipe(&message)
            wiped += 1
        }
        try body(message)
        return true
    }

    /// Takes all of `input`. After an error every further call throws it again; messages before it can be taken.
    public func open(_ input: UnsafeRawBufferPointer) throws(OpenError) {
        var input = input
        while true {
            switch try reader.next(&input) {
            case .needsInput:
                return
            case .chunkBegan(let length):
                guard length <= Self.maximumMessage else { throw reader.fail(.messageTooLong(length)) }
                current = [UInt8](repeating: 0, count: length)
                filled = 0
            case .payload:
                filled += current.withUnsafeMutableBytes {
                    reader.decrypt(&input, into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...]))
                }
            case .chunkEnded:
                guard waiting.count < Self.maximumWaiting else { throw reader.fail(.tooManyMessages) }
                // Given away, not shared: who takes a message can wipe it.
                waiting.insert(current, at: 0)
                current = []
            }
        }
    }
}

import Primitives

/// Opens one direction of a flow stream: the first chunk is a message (request or reply), all after it flow data.
///
/// Ciphertext is decrypted as it comes, in pieces of any size, straight to its place at the end of the queue. There it
/// stays staged, invisible to the reader, until the tag of its chunk proved right. Not for use by two threads at once.
public final class ChunkOpener {
    /// The most bytes in the first chunk.
    public static let maximumFirstChunk = ChunkFormat.maximumMessage

    // Nothing is called while one of these is being changed that could come back here.
    @exclusivity(unchecked) private var reader: ChunkReader
    @exclusivity(unchecked) private var first = FirstChunk.expected

    private enum FirstChunk {
        case expected
        /// The buffer has the whole chunk's size; the first `filled` bytes have come.
        case collecting([UInt8], filled: Int)
        case waiting([UInt8])
        case taken
    }

    public init(keys: SessionKeys, direction: Direction, stream: Int64) {
        reader = ChunkReader(keys: keys, direction: direction, stream: stream)
    }

    /// Chunks and clear bytes verified so far, those of the first chunk included.
    public var chunks: UInt64 { reader.chunks }
    public var bytes: UInt64 { reader.bytes }

    /// True where the stream may end: at least the first chunk was opened, and nothing of another has come. A FIN
    /// anywhere else has cut the flow short.
    public var isBetweenChunks: Bool { reader.isBetweenChunks }

    /// The first chunk, once, as soon as `open` has seen all of it.
    public func takeFirstChunk() -> [UInt8]? {
        guard case .waiting(let message) = first else { return nil }
        first = .taken
        return message
    }

    /// Takes all of `input`: the first chunk is kept for `takeFirstChunk`, the data after it goes to `queue`, also
    /// when both come in one call. The queue must be this opener's alone to write to.
    ///
    /// On an error, bytes of the chunk in hand are gone from the queue, chunks before it stay readable, and every
    /// further call throws the same error.
    /// - Returns: how many bytes of `input` are done with: salt, lengths, tags, first chunk. Stream credit for them can be
    ///   given back at once; credit for the others, one byte each, when they are consumed from the queue.
    @discardableResult
    public func open(_ input: UnsafeRawBufferPointer, into queue: inout BlockQueue) throws(OpenError) -> Int {
        var rest = input
        var queued = 0
        do {
            while try step(&rest, &queue, &queued) {}
        } catch {
            queue.discardStaged()
            throw error
        }
        return input.count - queued
    }

    /// Whether to go on.
    private func step(
        _ input: inout UnsafeRawBufferPointer, _ queue: inout BlockQueue, _ queued: inout Int
    ) throws(OpenError) -> Bool {
        switch try reader.next(&input) {
        case .needsInput:
            return false
        case .chunkBegan(let length):
            try beginChunk(length)
        case .payload:
            switch first {
            case .expected, .collecting: collectFirst(&input)
            case .waiting, .taken: queued += try stage(&input, &queue)
            }
        case .chunkEnded:
            switch first {
            case .expected, .collecting: endFirst()
            case .waiting, .taken: queue.commit()
            }
        }
        return true
    }

    private func stage(_ input: inout UnsafeRawBufferPointer, _ queue: inout BlockQueue) throws(OpenError) -> Int {
        guard let space = queue.space() else { throw reader.fail(.outOfMemory) }
        let count = reader.decrypt(&input, into: space)
        queue.stage(count)
        return count
    }

    private func beginChunk(_ length: Int) throws(OpenError) {
        switch first {
        case .expected:
            guard length <= Self.maximumFirstChunk else { throw reader.fail(.messageTooLong(length)) }
            first = .collecting([UInt8](repeating: 0, count: length), filled: 0)
        case .collecting, .waiting, .taken:
            return
        }
    }

    private func collectFirst(_ input: inout UnsafeRawBufferPointer) {
        guard case .collecting(var message, let filled) = first else { return }
        first = .expected  // gives up the reference, so that the buffer is written in place
        let count = message.withUnsafeMutableBytes {
            reader.decrypt(&input, into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...]))
        }
        first = .collecting(message, filled: filled + count)
    }

    private func endFirst() {
        guard case .collecting(let message, _) = first else { return }
        first = .waiting(message)
    }
}

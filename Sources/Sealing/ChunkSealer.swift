import Primitives

/// Seals one direction of one stream: clear bytes in, salt and chunks out, into memory of the caller.
///
/// Sealing a chunk allocates nothing. Not for use by two threads at once.
public final class ChunkSealer {
    /// The most clear bytes in one chunk.
    public static let maximumPayload = ChunkFormat.maximumPayload
    /// Bytes that a chunk is longer than its payload: two of length, and two tags of 16.
    public static let overhead = ChunkFormat.overhead
    /// Bytes of salt before the first chunk.
    public static let saltSize = ChunkFormat.saltSize

    /// Chunks and clear bytes sealed so far.
    public private(set) var chunks: UInt64 = 0
    public private(set) var bytes: UInt64 = 0

    private var cipher: AEADContext
    private let salt: (UInt64, UInt64, UInt64, UInt64)
    private var isSaltPending = true

    /// - Parameter random: makes the salt; the system's generator anywhere but in tests.
    public init(
        secret: SessionSecret, direction: Direction, stream: Int64, cipher: Cipher,
        random: inout some RandomNumberGenerator
    ) {
        salt = (random.next(), random.next(), random.next(), random.next())
        let key = withUnsafeBytes(of: salt) { secret.subkey(salt: $0, direction: direction, stream: stream) }
        self.cipher = AEADContext(cipher, key: key, operation: .seal)
    }

    /// Bytes of room that a chunk of `count` payload bytes needs now: 34 more, and 32 more again for the first chunk.
    public func sealedSize(_ count: Int) -> Int { count + Self.overhead + (isSaltPending ? Self.saltSize : 0) }

    /// The most payload bytes of one chunk that fits into `room` bytes now; 0 if none.
    public func payloadFitting(_ room: Int) -> Int { max(0, min(Self.maximumPayload, room - sealedSize(0))) }

    /// Seals `payload` (1 to 16 383 bytes) as one chunk, the salt before it if it is the first.
    /// - Parameter output: has room for `sealedSize(payload.count)` bytes; may not overlap `payload`.
    /// - Returns: bytes written, always `sealedSize(payload.count)`.
    public func seal(_ payload: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int {
        var position = begin(payload.count, output)
        cipher.update(payload, into: position)
        position += payload.count
        return end(payload.count, position, output)
    }

    /// Seals `count` committed bytes of `queue` from `offset` as one chunk, without copying them together first. The
    /// queue keeps them.
    public func seal(
        from queue: borrowing BlockQueue, offset: Int = 0, count: Int, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(offset >= 0 && count <= queue.count - offset, "sealed more than the queue holds")
        var position = begin(count, output)
        queue.forEachRegion(from: offset, limit: count) { region in
            cipher.update(region, into: position)
            position += region.count
            return true
        }
        return end(count, position, output)
    }

    /// A message (at most 1 024 bytes) as one chunk of its own. For requests, replies and control messages.
    public func seal(message: [UInt8]) -> [UInt8] {
        precondition(message.count <= ChunkFormat.maximumMessage, "messages have at most 1 024 bytes")
        return [UInt8](unsafeUninitializedCapacity: sealedSize(message.count)) { output, count in
            count = message.withUnsafeBytes { seal($0, into: UnsafeMutableRawBufferPointer(output)) }
        }
    }

    /// Writes everything before the payload; returns where the payload goes.
    private func begin(_ count: Int, _ output: UnsafeMutableRawBufferPointer) -> UnsafeMutableRawPointer {
        precondition(count > 0 && count <= Self.maximumPayload, "a chunk has 1 to 16 383 bytes")
        precondition(output.count >= sealedSize(count), "no room for the sealed chunk")
        var position = output.baseAddress!
        if isSaltPending {
            isSaltPending = false
            withUnsafeBytes(of: salt) { position.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            position += Self.saltSize
        }
        cipher.begin()
        withUnsafeBytes(of: UInt16(count).bigEndian) { cipher.update($0, into: position) }
        cipher.finish(tag: position + ChunkFormat.lengthSize)
        cipher.begin()
        return position + ChunkFormat.sealedLengthSize
    }

    /// Writes the tag after the payload; returns the bytes of the whole chunk.
    private func end(_ count: Int, _ position: UnsafeMutableRawPointer, _ output: UnsafeMutableRawBufferPointer) -> Int
    {
        cipher.finish(tag: position)
        chunks &+= 1
        bytes &+= UInt64(count)
        return position + Cipher.tagSize - output.baseAddress!
    }
}

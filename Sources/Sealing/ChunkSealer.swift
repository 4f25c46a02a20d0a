import Primitives

/// Seals one direction of one stream: clear bytes in, sections of chunks out, into memory of the caller.
///
/// A new section begins with the first chunk, with the first one after the session has moved to another epoch, and
/// after `ChunkFormat.keyLifetime` bytes. Sealing a chunk allocates nothing else. Not for use by two threads at once.
public final class ChunkSealer {
    /// The most clear bytes in one chunk.
    public static let maximumPayload = ChunkFormat.maximumPayload
    /// Bytes that a chunk is longer than its payload: two of length, and two tags of 16.
    public static let overhead = ChunkFormat.overhead
    /// Bytes before the first chunk: the mark of the epoch and the salt.
    public static let headerSize = ChunkFormat.sectionHeaderSize

    /// Chunks and clear bytes sealed so far.
    public private(set) var chunks: UInt64 = 0
    public private(set) var bytes: UInt64 = 0

    private let keys: SessionKeys
    private let direction: Direction
    private let stream: Int64
    private let keyLifetime: UInt64
    // Nothing is called while one of these is being changed that could come back here.
    @exclusivity(unchecked) private var cipher: AEADContext
    private var salt: (UInt64, UInt64, UInt64, UInt64)
    /// The section's header has not been written yet.
    @exclusivity(unchecked) private var isHeaderPending = true
    /// Of the section in hand, or about to begin.
    @exclusivity(unchecked) private var epoch: UInt64
    private var section: UInt32 = 0
    @exclusivity(unchecked) private var bytesOfSection: UInt64 = 0

    public convenience init(keys: SessionKeys, direction: Direction, stream: Int64) {
        self.init(keys: keys, direction: direction, stream: stream, keyLifetime: ChunkFormat.keyLifetime)
    }

    /// For tests that outlive a key.
    init(keys: SessionKeys, direction: Direction, stream: Int64, keyLifetime: UInt64) {
        self.keys = keys
        self.direction = direction
        self.stream = stream
        self.keyLifetime = keyLifetime
        epoch = keys.sending
        let salt = keys.makeSalt()
        self.salt = salt
        let key = withUnsafeBytes(of: salt) {
            keys.secretOfSending.subkey(salt: $0, direction: direction, stream: stream, section: 0)
        }
        cipher = AEADContext(keys.cipher, key: key, operation: .seal)
    }

    /// The next chunk begins another section.
    private var sectionIsOver: Bool {
        @inline(__always) get { !isHeaderPending && (epoch != keys.sending || bytesOfSection >= keyLifetime) }
    }

    /// Bytes of room that a chunk of `count` payload bytes needs now: 34 more, 33 more again where a section begins, and
    /// 18 for the end of the one before.
    public func sealedSize(_ count: Int) -> Int {
        var size = count + Self.overhead
        if isHeaderPending { size += Self.headerSize }
        if sectionIsOver { size += ChunkFormat.sealedLengthSize + Self.headerSize }
        return size
    }

    /// The most payload bytes of one chunk that fits into `room` bytes now; 0 if none.
    public func payloadFitting(_ room: Int) -> Int { max(0, min(Self.maximumPayload, room - sealedSize(0))) }

    /// Seals `payload` (1 to 16 383 bytes) as one chunk, the beginning of a section before it where one is due.
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
        if sectionIsOver {
            sealLength(0, at: position)
            position += ChunkFormat.sealedLengthSize
            section += 1
            prepareSection()
        }
        if isHeaderPending {
            // It may have waited: an answer takes as long as a dial.
            if epoch != keys.sending { prepareSection() }
            isHeaderPending = false
            position.storeBytes(of: UInt8(truncatingIfNeeded: epoch), as: UInt8.self)
            withUnsafeBytes(of: salt) { (position + 1).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            position += Self.headerSize
        }
        sealLength(count, at: position)
        cipher.begin()
        return position + ChunkFormat.sealedLengthSize
    }

    @inline(__always)
    private func sealLength(_ length: Int, at position: UnsafeMutableRawPointer) {
        cipher.begin()
        withUnsafeBytes(of: UInt16(length).bigEndian) { cipher.update($0, into: position) }
        cipher.finish(tag: position + ChunkFormat.lengthSize)
    }

    private func prepareSection() {
        epoch = keys.sending
        salt = keys.makeSalt()
        let key = withUnsafeBytes(of: salt) {
            keys.secretOfSending.subkey(salt: $0, direction: direction, stream: stream, section: section)
        }
        cipher = AEADContext(keys.cipher, key: key, operation: .seal)
        bytesOfSection = 0
        isHeaderPending = true
    }

    /// Writes the tag after the payload; returns the bytes of the whole chunk.
    private func end(_ count: Int, _ position: UnsafeMutableRawPointer, _ output: UnsafeMutableRawBufferPointer) -> Int
    {
        cipher.finish(tag: position)
        chunks &+= 1
        bytes &+= UInt64(count)
        bytesOfSection &+= UInt64(count)
        keys.bytesOfNewest &+= UInt64(count)
        return position + Cipher.tagSize - output.baseAddress!
    }
}

/// The framing of one received stream direction, fed with pieces of any size: sections, lengths and tags are dealt with
/// here, while the owner says where payload bytes go.
///
/// The owner loops: `next` takes input until payload, the end of a chunk, or the end of the input is reached.
struct ChunkReader: ~Copyable {
    enum Step {
        /// All input is used up.
        case needsInput
        /// A chunk of so many payload bytes begins; nothing of it has been checked but its length.
        case chunkBegan(Int)
        /// Input is there and the chunk lacks this many bytes of payload, at least one: call `decrypt`.
        case payload(Int)
        /// The chunk's tag is right.
        case chunkEnded
    }

    private enum State {
        /// Bytes of it collected so far, for a section's header, length and tag; bytes missing, for the payload.
        case header(Int)
        case length(Int)
        case payload(Int)
        case tag(Int)
        case failed(OpenError)
    }

    /// Chunks and clear bytes that were verified.
    private(set) var chunks: UInt64 = 0
    private(set) var bytes: UInt64 = 0

    private let keys: SessionKeys
    private let direction: Direction
    private let stream: Int64
    /// Nil until the first section's header has come.
    private var cipher: AEADContext?
    /// Of the section in hand.
    private var epoch: UInt64 = 0
    /// The epoch whose secret, and those of all later ones, this direction may still need.
    private var held: UInt64
    private var chunksOfSection: UInt64 = 0
    /// Sections begun.
    private var sections: UInt32 = 0
    private var state = State.header(0)
    private var chunkLength = 0
    /// Header, sealed length or tag, collected across pieces.
    private let scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: ChunkFormat.sectionHeaderSize, alignment: 16)

    init(keys: SessionKeys, direction: Direction, stream: Int64) {
        self.keys = keys
        self.direction = direction
        self.stream = stream
        // The other end may not have heard of anything newer.
        held = keys.sending
        keys.retain(held)
    }

    deinit {
        scratch.deallocate()
        keys.release(held)
    }

    /// At least one chunk of the section was opened, and nothing of another has come: the stream may end here.
    var isBetweenChunks: Bool {
        switch state {
        case .length(let collected): collected == 0 && chunksOfSection > 0
        case .header, .payload, .tag, .failed: false
        }
    }

    /// Takes what it can from the front of `input`. After an error every further call throws it again.
    mutating func next(_ input: inout UnsafeRawBufferPointer) throws(OpenError) -> Step {
        while true {
            switch state {
            case .header(var collected):
                let isWhole = collect(&collected, of: ChunkFormat.sectionHeaderSize, from: &input)
                state = .header(collected)
                guard isWhole else { return .needsInput }
                try beginSection()
                state = .length(0)
            case .length(var collected):
                let isWhole = collect(&collected, of: ChunkFormat.sealedLengthSize, from: &input)
                state = .length(collected)
                guard isWhole else { return .needsInput }
                try openLength()
                if chunkLength == 0 {
                    state = .header(0)
                    continue
                }
                cipher!.begin()
                state = .payload(chunkLength)
                return .chunkBegan(chunkLength)
            case .payload(let missing):
                return input.isEmpty ? .needsInput : .payload(missing)
            case .tag(var collected):
                let isWhole = collect(&collected, of: Cipher.tagSize, from: &input)
                state = .tag(collected)
                guard isWhole else { return .needsInput }
                guard cipher!.verify(tag: scratch.baseAddress!) else { throw fail(.badTag) }
                noteChunk()
                state = .length(0)
                return .chunkEnded
            case .failed(let error):
                throw error
            }
        }
    }

    /// Decrypts payload bytes from the front of `input` to `output`, as many as come, are missing and fit.
    /// - Returns: bytes written. They are not to be used before `chunkEnded`.
    mutating func decrypt(_ input: inout UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int {
        guard case .payload(let missing) = state else { preconditionFailure("no payload is due") }
        let count = min(missing, input.count, output.count)
        guard count > 0 else { return 0 }
        cipher!.update(UnsafeRawBufferPointer(rebasing: input[..<count]), into: output.baseAddress!)
        input = UnsafeRawBufferPointer(rebasing: input[count...])
        state = count == missing ? .tag(0) : .payload(missing - count)
        return count
    }

    /// Ends the stream direction for a reason of the owner's.
    mutating func fail(_ error: OpenError) -> OpenError {
        state = .failed(error)
        return error
    }

    /// A section's key is of its epoch, its place in the direction and its salt: no two sections have the same, so what
    /// was sealed for one opens in no other. Never does a section go back to an older epoch.
    private mutating func beginSection() throws(OpenError) {
        let mark = scratch[0]
        guard let named = keys.epoch(markedBy: mark), named >= epoch, sections < .max,
            let secret = keys.secret(of: named)
        else { throw fail(.badEpoch(mark)) }
        let salt = UnsafeRawBufferPointer(rebasing: scratch[1..<ChunkFormat.sectionHeaderSize])
        let key = secret.subkey(salt: salt, direction: direction, stream: stream, section: sections)
        cipher = AEADContext(keys.cipher, key: key, operation: .open)
        epoch = named
        keys.retain(named)
        keys.release(held)
        held = named
        sections += 1
        chunksOfSection = 0
    }

    @inline(__always)
    private mutating func noteChunk() {
        chunks &+= 1
        chunksOfSection &+= 1
        bytes &+= UInt64(chunkLength)
        keys.bytesOfNewest &+= UInt64(chunkLength)
        keys.noteOpened(under: epoch)
    }

    private mutating func openLength() throws(OpenError) {
        var length: UInt16 = 0
        cipher!.begin()
        withUnsafeMutableBytes(of: &length) {
            cipher!.update(UnsafeRawBufferPointer(rebasing: scratch[..<ChunkFormat.lengthSize]), into: $0.baseAddress!)
        }
        guard cipher!.verify(tag: scratch.baseAddress! + ChunkFormat.lengthSize) else { throw fail(.badTag) }
        chunkLength = Int(UInt16(bigEndian: length))
        // Zero ends the section, which has one chunk at least, so that nobody can go from one to the next for nothing.
        guard chunkLength <= ChunkFormat.maximumPayload, chunkLength > 0 || chunksOfSection > 0 else {
            throw fail(.badLength(chunkLength))
        }
    }

    /// Moves bytes from `input` to the scratch memory until `size` are there; whether they are.
    private func collect(_ collected: inout Int, of size: Int, from input: inout UnsafeRawBufferPointer) -> Bool {
        let count = min(size - collected, input.count)
        if count > 0 {
            (scratch.baseAddress! + collected).copyMemory(from: input.baseAddress!, byteCount: count)
            input = UnsafeRawBufferPointer(rebasing: input[count...])
            collected += count
        }
        return collected == size
    }
}

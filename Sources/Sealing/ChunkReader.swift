/// The framing of one received stream direction, fed with pieces of any size: salt, lengths and tags are dealt with
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
        /// Bytes of it collected so far, for salt, length and tag; bytes missing, for the payload.
        case salt(Int)
        case length(Int)
        case payload(Int)
        case tag(Int)
        case failed(OpenError)
    }

    /// Chunks and clear bytes that were verified.
    private(set) var chunks: UInt64 = 0
    private(set) var bytes: UInt64 = 0

    private let secret: SessionSecret
    private let direction: Direction
    private let stream: Int64
    private let algorithm: Cipher
    /// Nil until the salt has come.
    private var cipher: AEADContext?
    private var state = State.salt(0)
    private var chunkLength = 0
    /// Salt, sealed length or tag, collected across pieces.
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: ChunkFormat.saltSize, alignment: 16)

    init(secret: SessionSecret, direction: Direction, stream: Int64, cipher: Cipher) {
        self.secret = secret
        self.direction = direction
        self.stream = stream
        algorithm = cipher
    }

    deinit { scratch.deallocate() }

    /// At least one chunk was opened, and nothing of another has come: the stream may end here.
    var isBetweenChunks: Bool {
        switch state {
        case .length(let collected): collected == 0 && chunks > 0
        case .salt, .payload, .tag, .failed: false
        }
    }

    /// Takes what it can from the front of `input`. After an error every further call throws it again.
    mutating func next(_ input: inout UnsafeRawBufferPointer) throws(OpenError) -> Step {
        while true {
            switch state {
            case .salt(var collected):
                let isWhole = collect(&collected, of: ChunkFormat.saltSize, from: &input)
                state = .salt(collected)
                guard isWhole else { return .needsInput }
                let key = secret.subkey(salt: UnsafeRawBufferPointer(scratch), direction: direction, stream: stream)
                cipher = AEADContext(algorithm, key: key, operation: .open)
                state = .length(0)
            case .length(var collected):
                let isWhole = collect(&collected, of: ChunkFormat.sealedLengthSize, from: &input)
                state = .length(collected)
                guard isWhole else { return .needsInput }
                try openLength()
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
                chunks &+= 1
                bytes &+= UInt64(chunkLength)
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

    private mutating func openLength() throws(OpenError) {
        var length: UInt16 = 0
        cipher!.begin()
        withUnsafeMutableBytes(of: &length) {
            cipher!.update(UnsafeRawBufferPointer(rebasing: scratch[..<ChunkFormat.lengthSize]), into: $0.baseAddress!)
        }
        guard cipher!.verify(tag: scratch.baseAddress! + ChunkFormat.lengthSize) else { throw fail(.badTag) }
        chunkLength = Int(UInt16(bigEndian: length))
        guard chunkLength > 0 && chunkLength <= ChunkFormat.maximumPayload else { throw fail(.badLength(chunkLength)) }
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

/// The parts of a chunk (docs/PROTOCOL.md, section 3), as places in its bytes.
enum ChunkPart {
    static let length = 0
    static let lengthTag = 2
    static let payload = 18
    static func tag(of chunk: [UInt8]) -> Int { chunk.count - 16 }
}

/// The parts of a section's header, which is in front of the first chunk.
enum HeaderPart {
    static let epoch = 0
    static let salt = 1
    static let end = 33
}

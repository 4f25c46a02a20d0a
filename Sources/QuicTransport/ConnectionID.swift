import CNgtcp2

/// A connection ID of up to 20 bytes (RFC 9000, section 5.1) as a value of fixed size, so that looking one up
/// allocates nothing.
struct ConnectionID: Hashable {
    /// Bytes of the identifiers that this side makes.
    static let localLength = 18

    private var words: (UInt64, UInt64, UInt64) = (0, 0, 0)
    let count: Int

    /// Nil when longer than QUIC v1 allows.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= Int(NGTCP2_MAX_CIDLEN) else { return nil }
        count = bytes.count
        withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
    }

    init(_ native: ngtcp2_cid) {
        count = min(native.datalen, Int(NGTCP2_MAX_CIDLEN))
        var native = native
        withUnsafeBytes(of: &native.data) { source in
            withUnsafeMutableBytes(of: &words) { [count] in $0.copyMemory(from: .init(rebasing: source[..<count])) }
        }
    }

    /// A new identifier: the first byte says which loop of a server owns it, the others are random.
    static func random(loop: UInt8, using source: RandomSource) -> ConnectionID {
        var native = ngtcp2_cid()
        native.datalen = localLength
        withUnsafeMutableBytes(of: &native.data) { bytes in
            source.fill(.init(rebasing: bytes[..<localLength]))
            bytes[0] = loop
        }
        return ConnectionID(native)
    }

    var native: ngtcp2_cid {
        var native = ngtcp2_cid()
        native.datalen = count
        var words = words
        withUnsafeBytes(of: &words) { source in
            withUnsafeMutableBytes(of: &native.data) { $0.copyMemory(from: .init(rebasing: source[..<count])) }
        }
        return native
    }

    static func == (a: ConnectionID, b: ConnectionID) -> Bool { a.words == b.words && a.count == b.count }

    func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(count)
    }
}

/// The caller's random numbers, shared by a connection and ngtcp2's callbacks.
final class RandomSource {
    private var generator: any RandomNumberGenerator

    init(_ generator: any RandomNumberGenerator) { self.generator = generator }

    func fill(_ bytes: UnsafeMutableRawBufferPointer) {
        var offset = 0
        while offset < bytes.count {
            var word = generator.next()
            let n = min(8, bytes.count - offset)
            withUnsafeBytes(of: &word) { bytes.baseAddress!.advanced(by: offset).copyMemory(from: $0.baseAddress!, byteCount: n) }
            offset += n
        }
    }

    func bytes(_ count: Int) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: count)
        result.withUnsafeMutableBytes { fill($0) }
        return result
    }

    func next() -> UInt64 { generator.next() }
}

/// SipHash-2-4 (Aumasson, Bernstein 2012): a keyed hash that an outsider without the key cannot predict or collide.
public struct SipHash: Sendable {
    @usableFromInline let key0: UInt64
    @usableFromInline let key1: UInt64

    public init(key0: UInt64, key1: UInt64) {
        self.key0 = key0
        self.key1 = key1
    }

    public init(random: inout some RandomNumberGenerator) {
        self.init(key0: random.next(), key1: random.next())
    }

    /// The hash of a message of whole 64-bit words, each taken in little-endian byte order.
    @inlinable
    public func hash(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64, _ e: UInt64) -> UInt64 {
        var state = SipHashState(key0: key0, key1: key1, rounds: 2, finalRounds: 4)
        state.absorb(a)
        state.absorb(b)
        state.absorb(c)
        state.absorb(d)
        state.absorb(e)
        return state.finish(wordCount: 5)
    }

    /// The hash of any number of words.
    public func hash(words: [UInt64]) -> UInt64 {
        var state = SipHashState(key0: key0, key1: key1, rounds: 2, finalRounds: 4)
        for word in words { state.absorb(word) }
        return state.finish(wordCount: words.count)
    }
}

/// SipHash under way, with as many rounds as its user wants: SipHash-c-d.
public struct SipHashState {
    @usableFromInline var v0: UInt64
    @usableFromInline var v1: UInt64
    @usableFromInline var v2: UInt64
    @usableFromInline var v3: UInt64
    /// c, for each word.
    @usableFromInline let rounds: Int
    /// d, at the end.
    @usableFromInline let finalRounds: Int

    @inlinable @inline(__always)
    public init(key0: UInt64, key1: UInt64, rounds: Int, finalRounds: Int) {
        v0 = key0 ^ 0x736f_6d65_7073_6575
        v1 = key1 ^ 0x646f_7261_6e64_6f6d
        v2 = key0 ^ 0x6c79_6765_6e65_7261
        v3 = key1 ^ 0x7465_6462_7974_6573
        self.rounds = rounds
        self.finalRounds = finalRounds
    }

    @inlinable @inline(__always)
    mutating func round() {
        v0 &+= v1
        v2 &+= v3
        v1 = (v1 << 13 | v1 >> 51) ^ v0
        v3 = (v3 << 16 | v3 >> 48) ^ v2
        v0 = v0 << 32 | v0 >> 32
        v2 &+= v1
        v0 &+= v3
        v1 = (v1 << 17 | v1 >> 47) ^ v2
        v3 = (v3 << 21 | v3 >> 43) ^ v0
        v2 = v2 << 32 | v2 >> 32
    }

    @inlinable @inline(__always)
    public mutating func absorb(_ word: UInt64) {
        v3 ^= word
        for _ in 0..<rounds { round() }
        v0 ^= word
    }

    /// - Parameter wordCount: how many words were absorbed.
    @inlinable @inline(__always)
    public mutating func finish(wordCount: Int) -> UInt64 {
        absorb(UInt64(truncatingIfNeeded: wordCount * 8) << 56)
        v2 ^= 0xff
        for _ in 0..<finalRounds { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }
}

import Primitives

/// Hashes addresses under a key that nobody else knows, so that an application or a host of the LAN cannot choose
/// addresses that fall onto one place of a table (hash flooding).
///
/// SipHash-1-3 (Aumasson, Bernstein 2012), the variant for hash tables: one round per word and three at the end
/// instead of two and four. Its values never leave the program, so that the margin of SipHash-2-4, which outsiders may
/// see through the initial sequence numbers, is not needed here. Rust's and Python's tables made the same choice.
struct FlowHash {
    private let key0: UInt64
    private let key1: UInt64

    init(key0: UInt64, key1: UInt64) {
        self.key0 = key0
        self.key1 = key1
    }

    init(random: inout some RandomNumberGenerator) {
        self.init(key0: random.next(), key1: random.next())
    }

    /// Two words for IPv4, five for IPv6; the number of words is a part of the hash.
    @inline(__always)
    func hash(_ addresses: FlowAddresses) -> UInt32 {
        let ports = UInt64(addresses.source.port) << 16 | UInt64(addresses.destination.port)
        var state = State(key0, key1)
        if case .v4(let source) = addresses.source.address, case .v4(let destination) = addresses.destination.address {
            state.absorb(UInt64(source.value) << 32 | UInt64(destination.value))
            state.absorb(ports)
            return state.finish(wordCount: 2)
        }
        state.absorb(addresses.source.address)
        state.absorb(addresses.destination.address)
        state.absorb(ports)
        return state.finish(wordCount: 5)
    }

    func hash(_ address: IPAddress) -> UInt32 {
        var state = State(key0, key1)
        state.absorb(address)
        return state.finish(wordCount: address.isIPv4 ? 3 : 2)
    }

    /// The whole 64 bits for a message of words, as the published test vectors have it.
    func hash(words: [UInt64]) -> UInt64 {
        var state = State(key0, key1)
        for word in words { state.absorb(word) }
        return state.finishWhole(wordCount: words.count)
    }

    private struct State {
        var v0: UInt64
        var v1: UInt64
        var v2: UInt64
        var v3: UInt64

        @inline(__always)
        init(_ key0: UInt64, _ key1: UInt64) {
            v0 = key0 ^ 0x736f_6d65_7073_6575
            v1 = key1 ^ 0x646f_7261_6e64_6f6d
            v2 = key0 ^ 0x6c79_6765_6e65_7261
            v3 = key1 ^ 0x7465_6462_7974_6573
        }

        @inline(__always)
        private mutating func round() {
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

        @inline(__always)
        mutating func absorb(_ word: UInt64) {
            v3 ^= word
            round()
            v0 ^= word
        }

        @inline(__always)
        mutating func absorb(_ address: IPAddress) {
            switch address {
            case .v4(let a):
                absorb(0)
                absorb(UInt64(a.value))
            case .v6(let a):
                absorb(a.high)
                absorb(a.low)
            }
        }

        @inline(__always)
        mutating func finishWhole(wordCount: Int) -> UInt64 {
            absorb(UInt64(truncatingIfNeeded: wordCount * 8) << 56)
            v2 ^= 0xff
            round()
            round()
            round()
            return v0 ^ v1 ^ v2 ^ v3
        }

        @inline(__always)
        mutating func finish(wordCount: Int) -> UInt32 { UInt32(truncatingIfNeeded: finishWhole(wordCount: wordCount)) }
    }
}

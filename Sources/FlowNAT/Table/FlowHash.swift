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
        var state = start
        if case .v4(let source) = addresses.source.address, case .v4(let destination) = addresses.destination.address {
            state.absorb(UInt64(source.value) << 32 | UInt64(destination.value))
            state.absorb(ports)
            return UInt32(truncatingIfNeeded: state.finish(wordCount: 2))
        }
        state.absorb(addresses.source.address)
        state.absorb(addresses.destination.address)
        state.absorb(ports)
        return UInt32(truncatingIfNeeded: state.finish(wordCount: 5))
    }

    func hash(_ address: IPAddress) -> UInt32 {
        var state = start
        state.absorb(address)
        return UInt32(truncatingIfNeeded: state.finish(wordCount: address.isIPv4 ? 3 : 2))
    }

    /// The whole 64 bits for a message of words, as the published test vectors have it.
    func hash(words: [UInt64]) -> UInt64 {
        var state = start
        for word in words { state.absorb(word) }
        return state.finish(wordCount: words.count)
    }

    @inline(__always)
    private var start: SipHashState { SipHashState(key0: key0, key1: key1, rounds: 1, finalRounds: 3) }
}

extension SipHashState {
    @inline(__always)
    fileprivate mutating func absorb(_ address: IPAddress) {
        switch address {
        case .v4(let a):
            absorb(0)
            absorb(UInt64(a.value))
        case .v6(let a):
            absorb(a.high)
            absorb(a.low)
        }
    }
}

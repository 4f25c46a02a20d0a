import Primitives

/// Identifications of the datagrams that we send in fragments: RFC 7739, section 5.3.
///
/// Hash-based with several counters: an outsider cannot guess the next one for another pair of addresses, and one pair
/// does not soon see a number again.
struct FragmentIdentification {
    private let hash: SipHash
    private var counters: [UInt32]

    init(random: inout some RandomNumberGenerator) {
        hash = SipHash(random: &random)
        counters = (0..<Self.counterCount).map { _ in UInt32.random(in: .min ... .max, using: &random) }
    }

    private static let counterCount = 256

    mutating func next(from source: IPAddress, to destination: IPAddress) -> UInt32 {
        let (a, b) = Self.words(source)
        let (c, d) = Self.words(destination)
        let value = hash.hash(a, b, c, d, 0)
        let index = Int(value >> 56)
        counters[index] &+= 1
        return UInt32(truncatingIfNeeded: value) &+ counters[index]
    }

    private static func words(_ address: IPAddress) -> (UInt64, UInt64) {
        switch address {
        case .v4(let a): (0, UInt64(a.value))
        case .v6(let a): (a.high, a.low)
        }
    }
}

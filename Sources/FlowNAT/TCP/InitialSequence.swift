import Packets
import Primitives

/// Initial sequence numbers by RFC 6528: a clock of four microseconds a step, plus a keyed hash of the addresses, so that
/// outsiders cannot guess them and a new flow between the same ends starts above the old one.
struct InitialSequence {
    private let hash: SipHash
    private let fixed: UInt32?

    /// - Parameter fixed: `FlowSettings.initialSequence`.
    init(random: inout some RandomNumberGenerator, fixed: UInt32? = nil) {
        hash = SipHash(random: &random)
        self.fixed = fixed
    }

    func number(for addresses: FlowAddresses, now: Instant) -> SequenceNumber {
        if let fixed { return SequenceNumber(rawValue: fixed) }
        let (a, b) = addresses.source.address.words
        let (c, d) = addresses.destination.address.words
        let ports = UInt64(addresses.source.port) << 16 | UInt64(addresses.destination.port)
        let clock = now.nanoseconds / 4_000
        return SequenceNumber(rawValue: UInt32(truncatingIfNeeded: hash.hash(a, b, c, d, ports) &+ clock))
    }
}

extension IPAddress {
    /// The address as two words, the same for no two addresses of one family.
    fileprivate var words: (UInt64, UInt64) {
        switch self {
        case .v4(let a): (0, UInt64(a.value))
        case .v6(let a): (a.high, a.low)
        }
    }
}

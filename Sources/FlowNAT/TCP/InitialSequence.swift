import Packets
import Primitives

/// Initial sequence numbers by RFC 6528: a clock of four microseconds a step, plus a keyed hash of the addresses, so that
/// outsiders cannot guess them and a new flow between the same ends starts above the old one.
struct InitialSequence {
    private let hash: SipHash

    init(random: inout some RandomNumberGenerator) { hash = SipHash(random: &random) }

    func number(for addresses: FlowAddresses, now: Instant) -> SequenceNumber {
        let clock = now.nanoseconds / 4_000
        return SequenceNumber(rawValue: UInt32(truncatingIfNeeded: keyed(addresses) &+ clock))
    }

    /// Where the clock of a flow's timestamps begins (RFC 7323, section 7.1): the half of the hash that `number` leaves
    /// unused.
    func timestampOffset(for addresses: FlowAddresses) -> UInt32 { UInt32(truncatingIfNeeded: keyed(addresses) >> 32) }

    private func keyed(_ addresses: FlowAddresses) -> UInt64 {
        let (a, b) = addresses.source.address.words
        let (c, d) = addresses.destination.address.words
        let ports = UInt64(addresses.source.port) << 16 | UInt64(addresses.destination.port)
        return hash.hash(a, b, c, d, ports)
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

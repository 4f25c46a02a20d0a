import Primitives

/// The Internet checksum (RFC 1071), eight bytes at a time.
///
/// Partial sums are `UInt64` in the machine's byte order (RFC 1071, section 2(B): the sum does not depend on the byte
/// order, only its last swap does) and are good for `initial` and `fold` alone. They may be added up with `add`.
public enum Checksum {
    /// The unfolded sum of the bytes; an odd last byte counts as if a zero followed.
    ///
    /// The bytes stand at an even offset of what is summed; for pieces at odd offsets use `Accumulator`.
    public static func sum(_ bytes: RawSpan, initial: UInt64 = 0) -> UInt64 {
        bytes.withUnsafeBytes { sum($0, initial: initial) }
    }

    /// The same over memory of the caller.
    public static func sum(_ bytes: UnsafeRawBufferPointer, initial: UInt64 = 0) -> UInt64 {
        guard var p = bytes.baseAddress else { return initial }
        var left = bytes.count
        var total = initial
        // Halves of words in 64-bit sums carry nothing for 2^32 additions, so the compiler makes vectors of the four.
        if left >= 32 {
            var (a, b, c, d): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
            while left >= 32 {
                a &+= halves(p.loadUnaligned(as: UInt64.self))
                b &+= halves(p.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                c &+= halves(p.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
                d &+= halves(p.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
                p += 32
                left -= 32
            }
            total = add(total, add(add(a, b), add(c, d)))
        }
        while left >= 8 {
            total = add(total, p.loadUnaligned(as: UInt64.self))
            p += 8
            left -= 8
        }
        if left >= 4 {
            total = add(total, UInt64(p.loadUnaligned(as: UInt32.self)))
            p += 4
            left -= 4
        }
        if left >= 2 {
            total = add(total, UInt64(p.loadUnaligned(as: UInt16.self)))
            p += 2
            left -= 2
        }
        if left == 1 { total = add(total, UInt64(UInt16(p.load(as: UInt8.self)).littleEndian)) }
        return total
    }

    @inline(__always) private static func halves(_ word: UInt64) -> UInt64 { (word & 0xFFFF_FFFF) &+ (word >> 32) }

    /// The sum of an IPv4 header without options: 20 bytes, whose room the caller has checked.
    @inlinable @inline(__always) static func sumOfIPv4Header(_ header: UnsafeRawPointer) -> UInt64 {
        let a = header.loadUnaligned(as: UInt64.self)
        let b = header.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        return add(add(a, b), UInt64(header.loadUnaligned(fromByteOffset: 16, as: UInt32.self)))
    }

    /// Two partial sums as one, with the carry brought round.
    @inlinable @inline(__always) public static func add(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return sum &+ (overflow ? 1 : 0)
    }

    /// The sum as the 16 bits of a checksum field, not complemented.
    @inlinable public static func fold(_ sum: UInt64) -> UInt16 {
        var s = (sum & 0xFFFF_FFFF) &+ (sum >> 32)
        s = (s & 0xFFFF) &+ (s >> 16)
        s = (s & 0xFFFF) &+ (s >> 16)
        s = (s & 0xFFFF) &+ (s >> 16)
        return UInt16(bigEndian: UInt16(truncatingIfNeeded: s))
    }

    /// The checksum: the complement of the folded sum.
    @inlinable public static func finish(_ sum: UInt64) -> UInt16 { ~fold(sum) }

    /// The sum of the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293, section 3.1; RFC 8200, section 8.1).
    ///
    /// - Parameter length: bytes of the transport header and its payload.
    public static func pseudoHeader(
        source: IPAddress, destination: IPAddress, protocol: UInt8, length: Int
    ) -> UInt64 {
        let sum = add(addressSum(source), addressSum(destination))
        let rest = UInt64(UInt32(truncatingIfNeeded: length).bigEndian) &+ UInt64(UInt16(`protocol`).bigEndian)
        return add(sum, rest)
    }

    private static func addressSum(_ address: IPAddress) -> UInt64 {
        switch address {
        case .v4(let a): UInt64(a.value.bigEndian)
        case .v6(let a): add(a.high.bigEndian, a.low.bigEndian)
        }
    }

    /// Whether a TCP, UDP or ICMPv6 message carries the right checksum. A UDP checksum of zero over IPv4 means that
    /// the sender made none (RFC 768) and is not seen here: the caller looks at that first.
    public static func isValid(
        segment: RawSpan, source: IPAddress, destination: IPAddress, protocol: UInt8
    ) -> Bool {
        let pseudo = pseudoHeader(
            source: source, destination: destination, protocol: `protocol`, length: segment.byteCount)
        return fold(sum(segment, initial: pseudo)) == 0xFFFF
    }

    /// The sum over bytes that lie in several pieces of any length, odd ones too.
    public struct Accumulator: Sendable {
        /// The sum so far.
        public private(set) var sum: UInt64
        /// Bytes added so far.
        public private(set) var count = 0

        public init(initial: UInt64 = 0) { sum = initial }

        public mutating func add(_ bytes: UnsafeRawBufferPointer) {
            let piece = Checksum.sum(bytes)
            // A piece at an odd offset has its bytes in the other halves: RFC 1071, section 2(B).
            sum = Checksum.add(sum, count & 1 == 0 ? piece : UInt64(Checksum.fold(piece).bigEndian.byteSwapped))
            count += bytes.count
        }

        public mutating func add(_ bytes: RawSpan) { bytes.withUnsafeBytes { add($0) } }
    }
}

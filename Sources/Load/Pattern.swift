/// The bytes that load consists of: one sequence that repeats, of which every stream starts somewhere else.
///
/// Its period is a prime, so that a block of any ordinary size that was lost, repeated or moved does not fit again; and
/// since streams start at different places, nor does a block of another stream.
public final class Pattern {
    /// The largest prime below 65 536.
    public static let period = 65_521

    /// Two periods, so that a slice of one period lies together wherever it starts.
    private let bytes: UnsafeMutableRawPointer

    public init() {
        bytes = .allocate(byteCount: 2 * Self.period, alignment: 64)
        // SplitMix64 (Steele, Lea, Flood 2014): cheap, without a structure of its own that a fault could follow.
        var state: UInt64 = 0x7065_6E73_746F_636B
        for offset in 0..<Self.period {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            let byte = UInt8(truncatingIfNeeded: z ^ z >> 31)
            bytes.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
            bytes.storeBytes(of: byte, toByteOffset: offset + Self.period, as: UInt8.self)
        }
    }

    deinit { bytes.deallocate() }

    /// The bytes from a place on: `limit` of them, but one period at most.
    public func slice(at place: UInt64, limit: Int) -> UnsafeRawBufferPointer {
        let offset = Int(place % UInt64(Self.period))
        return UnsafeRawBufferPointer(start: bytes + offset, count: min(max(limit, 0), Self.period))
    }

    /// How many of `received` are not what the pattern has from `place` on.
    public func mismatches(in received: UnsafeRawBufferPointer, at place: UInt64) -> Int {
        var wrong = 0
        var offset = 0
        while offset < received.count {
            let expected = slice(at: place &+ UInt64(offset), limit: received.count - offset)
            let part = UnsafeRawBufferPointer(rebasing: received[offset..<offset + expected.count])
            if !Self.areEqual(part, expected) {
                for index in 0..<expected.count where part[index] != expected[index] { wrong += 1 }
            }
            offset += expected.count
        }
        return wrong
    }

    /// Both have the same count. Thirty-two bytes at a time: every byte of the load passes here.
    private static func areEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard let left = a.baseAddress, let right = b.baseAddress else { return true }
        var offset = 0
        while offset + 32 <= a.count {
            var difference: UInt64 = 0
            for word in 0..<4 {
                let at = offset + word * 8
                difference |=
                    left.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                    ^ right.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            }
            if difference != 0 { return false }
            offset += 32
        }
        while offset < a.count {
            if a[offset] != b[offset] { return false }
            offset += 1
        }
        return true
    }
}

/// Where a stream of the pattern begins, said in its first bytes: a number of eight bytes, in network byte order.
public enum PatternHeader {
    public static let byteCount = 8

    public static func encode(_ place: UInt64) -> [UInt8] {
        withUnsafeBytes(of: place.bigEndian, Array.init)
    }
}

/// Checks a stream that begins with a `PatternHeader`.
public struct PatternChecker {
    private var header = PatternNumber()
    private var place: UInt64 = 0

    /// Bytes so far, those of the header included.
    public private(set) var count: UInt64 = 0
    /// Bytes that were not the pattern's.
    public private(set) var wrong: UInt64 = 0

    public init() {}

    /// - Returns: how many of these bytes are wrong.
    @discardableResult
    public mutating func check(_ bytes: UnsafeRawBufferPointer, against pattern: Pattern) -> Int {
        count += UInt64(bytes.count)
        var rest = bytes
        if let place = header.take(&rest) { self.place = place }
        guard !rest.isEmpty else { return 0 }
        let mismatches = pattern.mismatches(in: rest, at: place)
        place &+= UInt64(rest.count)
        wrong += UInt64(mismatches)
        return mismatches
    }
}

/// Puts together a number of eight bytes that comes in pieces.
struct PatternNumber {
    private var value: UInt64 = 0
    private var count = 0

    /// Takes what it still needs off the front of `bytes`.
    /// - Returns: the number, at the call that completes it; after that, nil.
    mutating func take(_ bytes: inout UnsafeRawBufferPointer) -> UInt64? {
        guard count < 8 else { return nil }
        var used = 0
        while count < 8, used < bytes.count {
            value = value << 8 | UInt64(bytes[used])
            used += 1
            count += 1
        }
        bytes = UnsafeRawBufferPointer(rebasing: bytes[used...])
        return count == 8 ? value : nil
    }
}

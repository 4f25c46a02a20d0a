/// An endless stream of bytes that its seed decides: SplitMix64 (Steele, Lea, Flood 2014), number by number, each as eight
/// bytes with the lowest first. Tests/Kernel/programs/flowload.c makes the same.
struct SeededStream {
    private let seed: UInt64
    /// Bytes given so far.
    private(set) var position: UInt64 = 0

    init(seed: UInt64) { self.seed = seed }

    /// The number that bytes 8 * `index` and following are made of.
    private func word(_ index: UInt64) -> UInt64 {
        var z = seed &+ (index &+ 1) &* 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    private func byte(_ position: UInt64) -> UInt8 {
        UInt8(truncatingIfNeeded: word(position >> 3) >> ((position & 7) * 8))
    }

    /// Writes the stream's next bytes.
    mutating func fill(_ memory: UnsafeMutableRawBufferPointer) {
        var offset = 0
        while offset < memory.count {
            if position & 7 == 0, memory.count - offset >= 8 {
                memory.storeBytes(of: word(position >> 3).littleEndian, toByteOffset: offset, as: UInt64.self)
                offset += 8
                position += 8
            } else {
                memory[offset] = byte(position)
                offset += 1
                position += 1
            }
        }
    }

    /// Whether these are the stream's next bytes.
    mutating func matches(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var offset = 0
        while offset < bytes.count {
            if position & 7 == 0, bytes.count - offset >= 8 {
                let found = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                guard found == word(position >> 3) else { return false }
                offset += 8
                position += 8
            } else {
                guard bytes[offset] == byte(position) else { return false }
                offset += 1
                position += 1
            }
        }
        return true
    }
}

/// FNV-1a of 64 bits, taken over numbers of eight bytes with the lowest first, the last one filled up with zeros: the place
/// of every byte counts, and it is quick.
struct StreamDigest {
    private var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    private var partial: UInt64 = 0
    private(set) var count: UInt64 = 0

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var offset = 0
        while offset < bytes.count {
            if count & 7 == 0, bytes.count - offset >= 8 {
                mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                offset += 8
                count += 8
            } else {
                partial |= UInt64(bytes[offset]) << ((count & 7) * 8)
                offset += 1
                count += 1
                if count & 7 == 0 {
                    mix(partial)
                    partial = 0
                }
            }
        }
    }

    private mutating func mix(_ word: UInt64) { hash = (hash ^ word) &* 0x0000_0100_0000_01B3 }

    var value: UInt64 {
        guard count & 7 != 0 else { return hash }
        return (hash ^ partial) &* 0x0000_0100_0000_01B3
    }
}

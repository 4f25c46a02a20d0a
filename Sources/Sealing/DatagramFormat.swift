/// The clear part of a sealed datagram (docs/PROTOCOL.md, section 6): the stream of its association, as its ID divided by
/// four, the mark of the epoch (one byte), and the datagram's counter; the first and the last are variable-length
/// integers (RFC 9000, section 16). The sealed part follows.
public enum DatagramFormat {
    /// The most bytes before the sealed part.
    static let maximumHeader = VariableLengthInteger.maximumSize + epochSize + VariableLengthInteger.maximumSize
    static let epochSize = 1
    /// The most bytes that a sealed datagram is longer than what is sealed.
    public static let maximumOverhead = maximumHeader + Cipher.tagSize
    /// Datagrams under one key: RFC 9001, appendix B.1.1, has AES-GCM seal 2^28 packets of up to 2 KiB.
    static let keyLifetimeBits = UInt64(24)

    /// The stream whose association a datagram belongs to; nil when its beginning makes no sense.
    @inline(__always)
    public static func stream(of datagram: UnsafeRawBufferPointer) -> Int64? {
        guard let (quarter, _) = VariableLengthInteger.read(datagram) else { return nil }
        // Only streams of the client are associations, so the lower two bits of the ID are zero.
        return quarter <= UInt64(Int64.max) / 4 ? Int64(quarter) * 4 : nil
    }
}

/// Variable-length integers of QUIC (RFC 9000, section 16): one, two, four or eight bytes.
enum VariableLengthInteger {
    static let maximumSize = 8
    static let maximum: UInt64 = 1 << 62 - 1

    static func size(_ value: UInt64) -> Int {
        if value < 1 << 6 { return 1 }
        if value < 1 << 14 { return 2 }
        return value < 1 << 30 ? 4 : 8
    }

    /// Writes `value`, which is `maximum` at most, in the fewest bytes; returns how many.
    @inline(__always)
    static func write(_ value: UInt64, to memory: UnsafeMutableRawPointer) -> Int {
        switch size(value) {
        case 1:
            memory.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
            return 1
        case 2:
            memory.storeBytes(of: UInt16(truncatingIfNeeded: value | 1 << 14).bigEndian, as: UInt16.self)
            return 2
        case 4:
            memory.storeBytes(of: UInt32(truncatingIfNeeded: value | 2 << 30).bigEndian, as: UInt32.self)
            return 4
        default:
            memory.storeBytes(of: (value | 3 << 62).bigEndian, as: UInt64.self)
            return 8
        }
    }

    /// The integer at the front of `bytes`, in whatever length, and its bytes; nil when it is cut short.
    @inline(__always)
    static func read(_ bytes: UnsafeRawBufferPointer) -> (value: UInt64, size: Int)? {
        guard let first = bytes.first else { return nil }
        let size = 1 << Int(first >> 6)
        guard bytes.count >= size else { return nil }
        var value = UInt64(first & 0x3F)
        for index in stride(from: 1, to: size, by: 1) { value = value << 8 | UInt64(bytes[index]) }
        return (value, size)
    }
}

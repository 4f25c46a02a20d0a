/// Base 64 with padding (RFC 4648, section 4), for keys as text. Strict: one text for each sequence of bytes. Both directions go byte by
/// byte into memory of the right size, so that no copy of a secret stays behind.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let padding = UInt8(ascii: "=")

    static func encode(_ bytes: some Collection<UInt8>) -> String {
        var text: [UInt8] = []
        encode(bytes) { text.append($0) }
        return String(decoding: text, as: UTF8.self)
    }

    /// The same of a secret.
    static func encodeSecret(_ bytes: some Collection<UInt8>) -> SecretBytes {
        SecretBytes(count: (bytes.count + 2) / 3 * 4) { memory in
            var place = 0
            encode(bytes) {
                memory[place] = $0
                place += 1
            }
        }
    }

    private static func encode(_ bytes: some Collection<UInt8>, _ emit: (UInt8) -> Void) {
        var word: UInt32 = 0
        var held = 0
        func flush() {
            for i in 0..<4 { emit(i <= held ? alphabet[Int(word >> UInt32(18 - 6 * i) & 63)] : padding) }
            (word, held) = (0, 0)
        }
        for byte in bytes {
            word |= UInt32(byte) << UInt32(16 - 8 * held)
            held += 1
            if held == 3 { flush() }
        }
        if held > 0 { flush() }
    }

    /// Nil for a character outside the alphabet, missing padding, or bits set after the last byte.
    static func decode(_ text: some BidirectionalCollection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        return decode(text) { bytes.append($0) } ? bytes : nil
    }

    /// The same of a secret, which may be of any length.
    static func decodeSecret(_ text: some BidirectionalCollection<UInt8>) -> SecretBytes? {
        guard text.count % 4 == 0 else { return nil }
        var isGood = false
        let secret = SecretBytes(count: text.count / 4 * 3 - text.suffix(2).count { $0 == padding }) { memory in
            var place = 0
            isGood = decode(text) {
                if place < memory.count { memory[place] = $0 }
                place += 1
            }
        }
        return isGood ? secret : nil
    }

    private static func decode(_ text: some BidirectionalCollection<UInt8>, _ emit: (UInt8) -> Void) -> Bool {
        guard text.count % 4 == 0 else { return false }
        let unused = text.reversed().prefix { $0 == padding }.count
        guard unused <= 2 else { return false }
        var word: UInt32 = 0
        var bits = 0
        for character in text.dropLast(unused) {
            guard let digit = value(of: character) else { return false }
            word = word << 6 | UInt32(digit)
            bits += 6
            if bits >= 8 {
                bits -= 8
                emit(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
                word &= 1 << UInt32(bits) - 1
            }
        }
        return word == 0
    }

    private static func value(of character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}

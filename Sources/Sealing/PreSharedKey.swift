import COpenSSL

/// Why a text is no key. The text itself is never part of the message.
public enum KeyTextError: Error, Equatable, Sendable, CustomStringConvertible {
    case empty
    case notBase64
    /// Decoded to this many bytes instead of 32.
    case wrongLength(Int)

    public var description: String {
        switch self {
        case .empty: "the key is empty; expected 32 bytes in base64, as `penstock genkey` prints them"
        case .notBase64:
            "the key is not valid base64; expected one line of 44 characters, as `penstock genkey` prints it"
        case .wrongLength(let count): "the key has \(count) bytes; expected 32 bytes in base64, 44 characters"
        }
    }
}

/// The 32-byte key that client and server share. Wiped from memory with its last copy; never printed by accident.
public struct PreSharedKey: Sendable {
    public static let size = 32
    let bytes: SecretBytes

    private init(_ bytes: SecretBytes) { self.bytes = bytes }

    /// Nil unless there are exactly 32 bytes.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.size else { return nil }
        self.init(SecretBytes(copying: bytes))
    }

    /// The key from its text form: base64 with padding. White space around it, such as a line end, is ignored.
    public init(base64 text: some StringProtocol) throws(KeyTextError) {
        let isSpace = { (character: Character) in character.isWhitespace }
        var trimmed = text.drop(while: isSpace)
        while let last = trimmed.last, isSpace(last) { trimmed.removeLast() }
        guard !trimmed.isEmpty else { throw .empty }
        guard var bytes = Base64.decode(trimmed) else { throw .notBase64 }
        defer { bytes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) } }
        guard let key = Self(bytes) else { throw .wrongLength(bytes.count) }
        self = key
    }

    /// A new key. `random` must be the system's generator anywhere but in tests.
    public static func generate(using random: inout some RandomNumberGenerator) -> PreSharedKey {
        PreSharedKey(SecretBytes(count: size) { $0.fill(using: &random) })
    }

    /// The text form, for the key file alone.
    public var base64: String { bytes.withBytes { Base64.encode($0) } }
}

extension PreSharedKey: Equatable {
    public static func == (a: PreSharedKey, b: PreSharedKey) -> Bool { a.bytes.equals(b.bytes) }
}

extension PreSharedKey: CustomStringConvertible, CustomReflectable {
    public var description: String { "(secret)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension UnsafeMutableRawBufferPointer {
    /// Fills the buffer, a multiple of eight bytes, with random bytes.
    func fill(using random: inout some RandomNumberGenerator) {
        for offset in stride(from: 0, to: count, by: 8) {
            storeBytes(of: random.next() as UInt64, toByteOffset: offset, as: UInt64.self)
        }
    }
}

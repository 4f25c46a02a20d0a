/// Why a text is no key. The text itself is never part of the message.
public enum KeyTextError: Error, Equatable, Sendable, CustomStringConvertible {
    case empty
    case notBase64
    /// Decoded to this many bytes instead of 32.
    case wrongLength(Int)

    public var description: String {
        switch self {
        case .empty: "the key is empty; expected 32 bytes in base64, as `penstock keygen` makes them"
        case .notBase64:
            "the key is not valid base64; expected one line of 44 characters, as `penstock keygen` makes it"
        case .wrongLength(let count): "the key has \(count) bytes; expected 32 bytes in base64, 44 characters"
        }
    }
}

/// A public key of X25519 (RFC 7748): by it the client knows the server, and the server a client.
public struct PublicKey: Hashable, Sendable {
    public static let size = 32
    public let bytes: [UInt8]

    /// Nil unless there are exactly 32 bytes. All of them are keys; those of small order fail in the key exchange.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.size else { return nil }
        self.bytes = Array(bytes)
    }

    /// The key from its text form: base64 with padding. White space around it, such as a line end, is ignored.
    public init(base64 text: some StringProtocol) throws(KeyTextError) {
        bytes = try decodeKey(text)
    }

    /// The text form.
    public var base64: String { Base64.encode(bytes) }
}

extension PublicKey: CustomStringConvertible {
    public var description: String { base64 }
}

/// The 32 bytes of a key in base64.
func decodeKey(_ text: some StringProtocol) throws(KeyTextError) -> [UInt8] {
    let isSpace = { (character: Character) in character.isWhitespace }
    var trimmed = text.drop(while: isSpace)
    while let last = trimmed.last, isSpace(last) { trimmed.removeLast() }
    guard !trimmed.isEmpty else { throw .empty }
    guard var bytes = Base64.decode(trimmed) else { throw .notBase64 }
    guard bytes.count == PublicKey.size else {
        let count = bytes.count
        SecretBytes.wipe(&bytes)
        throw .wrongLength(count)
    }
    return bytes
}

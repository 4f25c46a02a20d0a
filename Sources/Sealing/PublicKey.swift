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
        guard let bytes = Base64.decode(try trimmedKey(Array(text.utf8))) else { throw .notBase64 }
        guard bytes.count == Self.size else { throw .wrongLength(bytes.count) }
        self.bytes = bytes
    }

    /// The text form.
    public var base64: String { Base64.encode(bytes) }
}

extension PublicKey: CustomStringConvertible {
    public var description: String { base64 }
}

/// The text of a key without the white space around it.
func trimmedKey<Text: BidirectionalCollection<UInt8>>(_ text: Text) throws(KeyTextError) -> Text.SubSequence {
    // Space, and tab to carriage return.
    let isSpace = { (byte: UInt8) in byte == 32 || (9...13).contains(byte) }
    var trimmed = text.drop(while: isSpace)
    while let last = trimmed.last, isSpace(last) { trimmed.removeLast() }
    if trimmed.isEmpty { throw .empty }
    return trimmed
}

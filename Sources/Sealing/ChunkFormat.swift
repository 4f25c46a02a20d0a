/// Sizes of the chunk format (docs/PROTOCOL.md, section 3). It is that of Shadowsocks AEAD (SIP004) in sections: the mark
/// of an epoch and a salt, then chunks, each a sealed big-endian length of two bytes and a sealed payload. A length of
/// zero ends a section, and the next one follows.
enum ChunkFormat {
    static let saltSize = 32
    static let sectionHeaderSize = 1 + saltSize
    static let lengthSize = 2
    static let sealedLengthSize = lengthSize + Cipher.tagSize
    /// SIP004 keeps the two upper bits of the length zero.
    static let maximumPayload = 0x3FFF
    static let overhead = sealedLengthSize + Cipher.tagSize
    /// Clear bytes under one key; then the sealer begins another section. RFC 8446, section 5.5, allows 2^24.5 records of
    /// 2^14 bytes under one key of AES-GCM, which is six times as much.
    static let keyLifetime: UInt64 = 1 << 36
    /// Payload bytes of a chunk that is a message (request, reply, control) instead of flow data.
    static let maximumMessage = 1_024
}

/// Why a stream direction cannot be opened any further. The flow ends, or for the control stream the connection.
public enum OpenError: Error, Equatable, Sendable {
    /// A length or a payload is not what the other end sealed: wrong key or cipher, changed, moved or repeated bytes.
    case badTag
    /// A chunk of more than 16 383 bytes, or a section without a chunk.
    case badLength(Int)
    /// A section of an epoch that is unknown, wiped, or older than that of the section before.
    case badEpoch(UInt8)
    /// A message chunk of more than 1 024 bytes.
    case messageTooLong(Int)
    /// More messages than the limit wait to be taken.
    case tooManyMessages
    /// The pool that the clear bytes go to is at its limit.
    case outOfMemory
}

extension OpenError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .badTag: "sealed bytes were changed, or sealed under another key"
        case .badLength(let length): "a chunk of \(length) bytes, allowed are 1 to \(ChunkFormat.maximumPayload)"
        case .badEpoch(let mark): "a section of epoch \(mark) (its lowest byte), which is not in use"
        case .messageTooLong(let length): "a message of \(length) bytes, allowed are \(ChunkFormat.maximumMessage)"
        case .tooManyMessages: "more messages than can wait"
        case .outOfMemory: "no memory left for received bytes"
        }
    }
}

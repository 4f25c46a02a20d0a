/// A handshake pattern of the Noise Protocol Framework (revision 34, section 7): what each message says.
///
/// The interpreter in `HandshakeState` carries out any pattern without pre-shared keys; Penstock speaks one of them.
struct NoisePattern: Sendable {
    enum Token: Sendable {
        case e, s, ee, es, se, ss
    }

    let name: String
    /// The initiator knows the responder's static public key beforehand.
    let responderStaticIsKnown: Bool
    /// Tokens of each message; the initiator writes the first, and they take turns.
    let messages: [[Token]]

    /// IK: the initiator knows the responder, and tells its own static key at once, encrypted (section 7.5).
    static let ik = NoisePattern(
        name: "IK", responderStaticIsKnown: true, messages: [[.e, .es, .s, .ss], [.e, .ee, .se]])
}

extension Cipher {
    /// The cipher's name in that of a Noise protocol (section 12).
    var noiseName: String {
        switch self {
        case .aes256gcm: "AESGCM"
        case .chacha20poly1305: "ChaChaPoly"
        }
    }
}

/// Why a handshake has failed. It ends there: a state that has failed is of no more use.
public enum NoiseError: Error, Equatable, Sendable {
    /// Shorter than its pattern says.
    case truncated
    /// Longer than the 65 535 bytes of a Noise message (section 3).
    case tooLong
    /// Not what the other end sealed: another key, another prologue, changed or repeated bytes.
    case badTag
    /// A key of the other end has small order: what both would share is zero, and anybody would know it.
    case weakKey
}

extension NoiseError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .truncated: "a handshake message is cut short"
        case .tooLong: "a handshake message is too long"
        case .badTag: "a handshake message does not open"
        case .weakKey: "a key of small order"
        }
    }
}

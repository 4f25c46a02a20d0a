/// Why a message from the other end cannot be understood.
public enum MessageError: Error, Equatable, Sendable {
    /// The bytes end before the last known field.
    case truncated
    /// Another version of the protocol than ours.
    case unknownVersion(UInt8)
    case unknownCommand(UInt8)
    /// A type of control message that this version does not know. The receiver ignores the message.
    case unknownType(UInt8)
    /// An address type other than those of RFC 1928 section 5, or a name where only an address can stand.
    case badAddressType(UInt8)
    case badName(DomainNameError)
    /// A text is not UTF-8, or has control characters.
    case badText
    /// A record of no bytes, or of more than the largest datagram has.
    case badLength(Int)
}

extension MessageError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .truncated: "the message is cut short"
        case .unknownVersion(let version): "protocol version \(version), known is \(TunnelProtocol.version)"
        case .unknownCommand(let command): "unknown command \(command)"
        case .unknownType(let type): "unknown control message \(type)"
        case .badAddressType(let type): "unknown address type \(type)"
        case .badName(let error): "bad destination name: \(error)"
        case .badText: "a text is not UTF-8 or has control characters"
        case .badLength(let length): "a record of \(length) bytes"
        }
    }
}

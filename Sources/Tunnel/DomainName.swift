/// Why a text is no name that can be dialled.
public enum DomainNameError: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    /// More than 255 bytes.
    case tooLong
    /// A part between dots is empty or longer than 63 bytes.
    case badLabel
    /// Something else than letters, digits, hyphens and underscores; names in other scripts come as `xn--` (RFC 5890).
    case badCharacter
    /// The last part is a number, so that resolvers would read the name as an IPv4 address in an unusual spelling.
    case numeric
    /// It has no form in ASCII; in the words of the library that looked for one.
    case noASCIIForm(String)

    public var description: String {
        switch self {
        case .empty: "empty"
        case .tooLong: "longer than 255 bytes"
        case .badLabel: "a part between dots is empty or longer than 63 bytes"
        case .badCharacter: "a character other than letters, digits, hyphen, underscore and dot"
        case .numeric: "ends in a number"
        case .noASCIIForm(let reason): reason
        }
    }
}

/// A host name: lower case, without the trailing dot, of labels of 1 to 63 bytes (RFC 1035, section 2.3.1, with digits
/// first as RFC 1123 allows, and the underscores and hyphens that are in use).
public struct DomainName: Hashable, Sendable, CustomStringConvertible {
    /// On the wire.
    public static let maximumSize = 255

    public let text: String
    public var description: String { text }

    public init(_ text: String) throws(DomainNameError) { try self.init(bytes: text.utf8) }

    init(bytes: some Collection<UInt8>) throws(DomainNameError) {
        guard bytes.count <= Self.maximumSize else { throw .tooLong }
        var lowered = bytes.map { (65...90).contains($0) ? $0 + 32 : $0 }
        if lowered.last == UInt8(ascii: ".") { lowered.removeLast() }
        guard !lowered.isEmpty else { throw .empty }
        let labels = lowered.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for label in labels {
            guard (1...63).contains(label.count) else { throw .badLabel }
            guard label.allSatisfy(Self.isAllowed) else { throw .badCharacter }
        }
        guard let last = labels.last, !Self.isNumber(last) else { throw .numeric }
        text = String(decoding: lowered, as: UTF8.self)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// Decimal, octal or hexadecimal, as inet_aton reads the parts of an address.
    private static func isNumber(_ label: ArraySlice<UInt8>) -> Bool {
        let isDigit = { (byte: UInt8) in (48...57).contains(byte) }
        if label.starts(with: Array("0x".utf8)) {
            return label.dropFirst(2).allSatisfy { isDigit($0) || (97...102).contains($0) }
        }
        return label.allSatisfy(isDigit)
    }
}

import SwiftASN1
import X509

/// What clients call a server by: a DNS name or an address.
public enum ServerName: Hashable, Sendable, CustomStringConvertible {
    /// In lower case, without a final dot; `*` may be the first label.
    case dns(String)
    /// Network byte order, 4 or 16 bytes, with the text that was given.
    case address([UInt8], text: String)

    public var description: String {
        switch self {
        case .dns(let name): name
        case .address(_, let text): text
        }
    }

    /// Checks a DNS name by RFC 1123, section 2.1; nil when it is none. Names in other alphabets have to come as A-labels.
    public static func dns(checking text: String) -> ServerName? {
        var name = text.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        var labels = name.split(separator: ".", omittingEmptySubsequences: false)
        if labels.count > 2, labels.first == "*" { labels.removeFirst() }
        let valid = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
                && label.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0) || $0 == 45 }
        }
        // All digits at the end would be a mistyped address.
        guard valid, name.utf8.count <= 253, let last = labels.last, !last.utf8.allSatisfy({ (48...57).contains($0) })
        else { return nil }
        return .dns(name)
    }

    var generalName: GeneralName {
        switch self {
        case .dns(let name): .dnsName(name)
        case .address(let bytes, _): .ipAddress(ASN1OctetString(contentBytes: bytes[...]))
        }
    }
}

/// RFC 5280, appendix A: 64 characters at most.
func checkedCommonName(_ text: String) throws(AuthorityError) -> String {
    let isPrintable = text.unicodeScalars.allSatisfy { $0.value >= 32 && !(127...159).contains($0.value) }
    guard (1...64).contains(text.unicodeScalars.count), isPrintable else { throw .badName(text) }
    return text
}

/// Names of clients stand in file names and logs: letters, digits and `-_.@` alone.
func checkedClientName(_ text: String) throws(AuthorityError) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            || [45, 46, 64, 95].contains(byte)
    }
    guard (1...64).contains(text.utf8.count), isPlain, text.first != ".", text.first != "-" else {
        throw .badName(text)
    }
    return text
}

/// A certificate's serial number: random, so that nobody can guess one in advance (CA/Browser Forum asks for 64 bits).
public struct SerialNumber: Hashable, Sendable, CustomStringConvertible {
    /// Big-endian; the first byte is neither 0 nor has its top bit set, so the number is positive and has one form.
    public let bytes: [UInt8]

    init(using random: inout some RandomNumberGenerator) {
        bytes =
            [UInt8.random(in: 1...127, using: &random)]
            + (0..<15).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }

    /// Reads the hexadecimal form; up to 20 bytes (RFC 5280, section 4.1.2.2).
    public init?(_ text: String) {
        let digits = text.utf8.compactMap { Self.digit($0) }
        guard digits.count == text.utf8.count, digits.count.isMultiple(of: 2), (2...40).contains(digits.count) else {
            return nil
        }
        bytes = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private static func digit(_ character: UInt8) -> UInt8? {
        switch character {
        case 48...57: character - 48
        case 65...70: character - 55
        case 97...102: character - 87
        default: nil
        }
    }

    /// Hexadecimal, two lower-case digits a byte.
    public var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    var native: Certificate.SerialNumber { Certificate.SerialNumber(bytes: bytes) }
}

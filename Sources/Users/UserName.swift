/// The name of a user: what an administrator types, what stands in logs, and what a client says at login.
///
/// 1 to 64 bytes of lower-case letters, digits, `.`, `_`, `-` and `@`, not beginning with `-` or `.`: so it needs no quoting in a shell,
/// a log line, a file name or a link, and no two names look alike.
public struct UserName: Hashable, Comparable, Sendable {
    /// Longest name, in bytes.
    public static let maximumLength = 64

    public let text: String

    /// Nil for what is no such name. Upper case is refused, not folded: a name has one spelling.
    public init?(_ text: String) {
        let bytes = text.utf8
        guard (1...Self.maximumLength).contains(bytes.count), let first = bytes.first, first != 0x2D, first != 0x2E,
            bytes.allSatisfy(Self.isAllowed)
        else { return nil }
        self.text = text
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "@"): true
        default: false
        }
    }

    public static func < (a: UserName, b: UserName) -> Bool { a.text < b.text }
}

extension UserName: CustomStringConvertible {
    public var description: String { text }
}

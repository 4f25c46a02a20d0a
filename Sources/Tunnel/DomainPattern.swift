/// Names as an administrator writes them, in the server's policy and in a user's destinations alike: `example.org` is that name alone,
/// `.example.org` that name and all below it, `*.example.org` all below it alone.
public struct DomainPattern: Hashable, Sendable, CustomStringConvertible {
    public enum Reach: Hashable, Sendable {
        case exact, subtree, below
    }

    public let name: DomainName
    public let reach: Reach

    /// - Parameter text: in any script. Case, a dot at the end and the ways to write a letter do not matter.
    public init(_ text: String) throws(DomainNameError) {
        let prefix: String
        (prefix, reach) = text.hasPrefix("*.") ? ("*.", .below) : text.hasPrefix(".") ? (".", .subtree) : ("", .exact)
        name = try DomainName(anyScript: String(text.dropFirst(prefix.count)))
    }

    public var description: String {
        switch reach {
        case .exact: name.text
        case .subtree: "." + name.text
        case .below: "*." + name.text
        }
    }

    /// - Parameter other: in lower case and without a dot at the end, as the text of a `DomainName` is.
    public func matches(_ other: String) -> Bool {
        if other == name.text { return reach != .below }
        let own = name.text.utf8
        return reach != .exact && other.utf8.count > own.count + 1 && other.utf8.suffix(own.count).elementsEqual(own)
            && other.utf8.dropLast(own.count).last == UInt8(ascii: ".")
    }
}

/// An address and a port of TCP or UDP.
public struct Endpoint: Hashable, Sendable {
    public var address: IPAddress
    public var port: UInt16

    @inlinable public init(_ address: IPAddress, _ port: UInt16) {
        self.address = address
        self.port = port
    }
}

extension Endpoint: CustomStringConvertible, LosslessStringConvertible {
    public var description: String {
        switch address {
        case .v4(let a): "\(a):\(port)"
        case .v6(let a): "[\(a)]:\(port)"
        }
    }

    /// `192.0.2.1:443` or `[2001:db8::1]:443`.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            text[text.index(after: colon)...].utf8.allSatisfy({ (48...57).contains($0) })
        else { return nil }
        let host = text[..<colon]
        if host.first == "[", host.last == "]" {
            guard let a = IPv6Address(String(host.dropFirst().dropLast())) else { return nil }
            self.init(.v6(a), port)
        } else {
            guard let a = IPv4Address(String(host)) else { return nil }
            self.init(.v4(a), port)
        }
    }
}

/// A block of addresses, such as 10.0.0.0/8 (CIDR, RFC 4632). Bits beyond the length are zero.
public struct IPPrefix: Hashable, Sendable {
    public let address: IPAddress
    public let length: Int

    /// Nil when the length does not fit the family, or bits beyond the length are set.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...address.bitWidth).contains(length) else { return nil }
        self.address = address
        self.length = length
        let (high, low) = address.leftAligned
        let mask = Self.mask(length)
        guard high & ~mask.high == 0, low & ~mask.low == 0 else { return nil }
    }

    static func mask(_ length: Int) -> (high: UInt64, low: UInt64) {
        (length == 0 ? 0 : ~0 << UInt64(64 - min(length, 64)), length <= 64 ? 0 : ~0 << UInt64(128 - length))
    }

    public func contains(_ other: IPAddress) -> Bool {
        guard other.isIPv4 == address.isIPv4 else { return false }
        let (high, low) = address.leftAligned
        let (otherHigh, otherLow) = other.leftAligned
        let mask = Self.mask(length)
        return (high ^ otherHigh) & mask.high == 0 && (low ^ otherLow) & mask.low == 0
    }
}

extension IPPrefix: CustomStringConvertible, LosslessStringConvertible {
    public var description: String { "\(address)/\(length)" }

    /// `10.0.0.0/8`, `2001:db8::/32`, or a single address.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { return nil }
        if parts.count == 1 {
            self.init(address, length: address.bitWidth)
        } else {
            guard parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let length = Int(parts[1]) else { return nil }
            self.init(address, length: length)
        }
    }
}

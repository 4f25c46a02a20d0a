/// An IPv4 address as a number: 192.0.2.1 is 0xC000_0201.
public struct IPv4Address: Hashable, Sendable {
    public var value: UInt32
    @inlinable public init(_ value: UInt32) { self.value = value }
}

/// An IPv6 address as two numbers: the first eight bytes of the wire in `high`, the last eight in `low`.
public struct IPv6Address: Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64
    @inlinable public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
}

public enum IPAddress: Hashable, Sendable {
    case v4(IPv4Address)
    case v6(IPv6Address)

    @inlinable public var isIPv4: Bool {
        switch self {
        case .v4: true
        case .v6: false
        }
    }

    /// Bits in an address of this family: 32 or 128.
    @inlinable public var bitWidth: Int { isIPv4 ? 32 : 128 }

    /// The address as 128 bits, left-aligned, so that prefixes of both families compare the same way.
    @inlinable var leftAligned: (high: UInt64, low: UInt64) {
        switch self {
        case .v4(let a): (UInt64(a.value) << 32, 0)
        case .v6(let a): (a.high, a.low)
        }
    }
}

extension IPAddress {
    /// The IPv4 address inside `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2); every other address unchanged.
    ///
    /// A dual-stack socket reports IPv4 peers in that form, and filters must not be fooled by it.
    public var unmapped: IPAddress {
        if case .v6(let a) = self, a.high == 0, a.low >> 32 == 0xFFFF {
            return .v4(IPv4Address(UInt32(truncatingIfNeeded: a.low)))
        }
        return self
    }

    public var isLoopback: Bool {
        switch self {
        case .v4(let a): a.value >> 24 == 127
        case .v6(let a): a.high == 0 && a.low == 1
        }
    }

    public var isUnspecified: Bool {
        switch self {
        case .v4(let a): a.value == 0
        case .v6(let a): a.high == 0 && a.low == 0
        }
    }

    public var isMulticast: Bool {
        switch self {
        case .v4(let a): a.value >> 28 == 0xE
        case .v6(let a): a.high >> 56 == 0xFF
        }
    }

    public var isLinkLocal: Bool {
        switch self {
        case .v4(let a): a.value >> 16 == 0xA9FE
        case .v6(let a): a.high >> 54 == 0xFE80 >> 6
        }
    }
}

// MARK: - Text

extension IPv4Address: CustomStringConvertible, LosslessStringConvertible {
    public var description: String { "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)" }

    /// Dotted decimal with four parts; no leading zeros, since other programs read those as octal.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard part.utf8.allSatisfy({ (48...57).contains($0) }), part.count == 1 || part.first != "0",
                let byte = UInt8(part)
            else { return nil }
            value = value << 8 | UInt32(byte)
        }
        self.init(value)
    }
}

extension IPv6Address: CustomStringConvertible, LosslessStringConvertible {
    var groups: [UInt16] {
        (0..<8).map { i in
            UInt16(truncatingIfNeeded: (i < 4 ? high : low) >> UInt64(48 - i % 4 * 16))
        }
    }

    init(groups: [UInt16]) {
        let pack = { (slice: ArraySlice<UInt16>) in slice.reduce(UInt64(0)) { $0 << 16 | UInt64($1) } }
        self.init(high: pack(groups[0..<4]), low: pack(groups[4..<8]))
    }

    /// RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups as `::`.
    public var description: String {
        let groups = groups
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8 && groups[end] == 0 { end += 1 }
            if end - start > best.count { best = start..<end }
            start = max(end, start + 1)
        }
        let text = { (slice: ArraySlice<UInt16>) in slice.map { String($0, radix: 16) }.joined(separator: ":") }
        if best.count < 2 { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }

    /// RFC 4291, section 2.2: groups, one `::`, and a dotted IPv4 tail. No zone, no brackets.
    public init?(_ text: String) {
        func parse(_ half: Substring) -> [UInt16]? {
            if half.isEmpty { return [] }
            var groups: [UInt16] = []
            let parts = half.split(separator: ":", omittingEmptySubsequences: false)
            for (index, part) in parts.enumerated() {
                if part.contains(".") {
                    guard index == parts.count - 1, let tail = IPv4Address(String(part)) else { return nil }
                    groups += [UInt16(tail.value >> 16), UInt16(truncatingIfNeeded: tail.value)]
                } else {
                    guard (1...4).contains(part.utf8.count), part.first != "+", let group = UInt16(part, radix: 16)
                    else { return nil }
                    groups.append(group)
                }
            }
            return groups
        }
        guard let gap = text.firstRange(of: "::") else {
            guard let groups = parse(text[...]), groups.count == 8 else { return nil }
            self.init(groups: groups)
            return
        }
        guard let head = parse(text[..<gap.lowerBound]), let tail = parse(text[gap.upperBound...]),
            !text[..<gap.lowerBound].contains("."), head.count + tail.count <= 7
        else { return nil }
        self.init(groups: head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail)
    }
}

extension IPAddress: CustomStringConvertible, LosslessStringConvertible {
    public var description: String {
        switch self {
        case .v4(let a): a.description
        case .v6(let a): a.description
        }
    }

    public init?(_ text: String) {
        if let a = IPv4Address(text) {
            self = .v4(a)
        } else if let a = IPv6Address(text) {
            self = .v6(a)
        } else {
            return nil
        }
    }
}

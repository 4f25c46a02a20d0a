import Primitives

/// Why an address is refused unless a rule opens it: what only the server can reach, what is no host, and what stands for
/// another address. After the registries of special-purpose addresses (RFC 6890 and its successors).
///
/// The ranges for documentation (RFC 5737, RFC 3849, RFC 9637) are not here: nothing answers there, so that a dial ends as
/// unreachable by itself, and guides and tests are written with them.
public enum SpecialAddress: String, CaseIterable, Sendable {
    case thisNetwork = "this-network"
    case loopback
    case privateUse = "private"
    case carrierGradeNAT = "carrier-grade-nat"
    case linkLocal = "link-local"
    case uniqueLocal = "unique-local"
    case siteLocal = "site-local"
    case multicast
    case broadcast
    case reserved
    case benchmarking
    case protocolAssignments = "protocol-assignments"
    case discard
    case segmentRouting = "segment-routing"
    case v4Mapped = "v4-mapped"
    case v4Compatible = "v4-compatible"
    case v4Translated = "v4-translated"
    case nat64
    case nat64Local = "nat64-local"
    case sixToFour = "6to4"
    case teredo

    /// Nil for an address like any other.
    public init?(_ address: IPAddress) {
        for entry in Self.table where entry.prefix.contains(address) {
            self = entry.kind
            return
        }
        return nil
    }

    /// The first that contains an address names it: a part stands before the whole.
    static let table: [(prefix: IPPrefix, kind: SpecialAddress)] = [
        ("0.0.0.0/8", .thisNetwork),  // RFC 791; Linux takes 0.0.0.0 for the host itself
        ("10.0.0.0/8", .privateUse), ("172.16.0.0/12", .privateUse), ("192.168.0.0/16", .privateUse),  // RFC 1918
        ("100.64.0.0/10", .carrierGradeNAT),  // RFC 6598
        ("127.0.0.0/8", .loopback),
        ("169.254.0.0/16", .linkLocal),  // RFC 3927, and the metadata services of clouds
        ("192.0.0.0/24", .protocolAssignments),  // RFC 6890
        ("192.88.99.0/24", .sixToFour),  // relays, deprecated by RFC 7526
        ("198.18.0.0/15", .benchmarking),  // RFC 2544
        ("224.0.0.0/4", .multicast),
        ("255.255.255.255/32", .broadcast),
        ("240.0.0.0/4", .reserved),  // RFC 1112
        ("::/128", .thisNetwork), ("::1/128", .loopback),
        ("::/96", .v4Compatible),  // RFC 4291, section 2.5.5.1
        ("::ffff:0:0/96", .v4Mapped),  // RFC 4291, section 2.5.5.2
        ("::ffff:0:0:0/96", .v4Translated),  // RFC 2765
        ("64:ff9b::/96", .nat64),  // RFC 6052
        ("64:ff9b:1::/48", .nat64Local),  // RFC 8215
        ("100::/64", .discard),  // RFC 6666
        ("2001::/32", .teredo),  // RFC 4380
        ("2001:2::/48", .benchmarking),  // RFC 5180
        ("2001::/23", .protocolAssignments),  // RFC 2928
        ("2002::/16", .sixToFour),  // RFC 3056
        ("5f00::/16", .segmentRouting),  // RFC 9602
        ("fc00::/7", .uniqueLocal),  // RFC 4193
        ("fe80::/10", .linkLocal),
        ("fec0::/10", .siteLocal),  // deprecated by RFC 3879
        ("ff00::/8", .multicast),
    ].map { text, kind in
        guard let prefix = IPPrefix(text) else { preconditionFailure("not a prefix: \(text)") }
        return (prefix, kind)
    }
}

extension IPAddress {
    /// The IPv4 address that an IPv6 address stands for, in any of the forms that hosts, translators and tunnels unpack. Who
    /// may not be dialled in the one form may not be in the other.
    var embedded: IPAddress? {
        guard case .v6(let address) = self, let value = address.embeddedValue else { return nil }
        return .v4(IPv4Address(value))
    }
}

extension IPv6Address {
    fileprivate var embeddedValue: UInt32? {
        let lowest = UInt32(truncatingIfNeeded: low)
        switch (high, low >> 32) {
        case (0, 0): return low > 1 ? lowest : nil  // v4-compatible, but for :: and ::1
        case (0, 0xFFFF), (0, 0xFFFF_0000): return lowest  // v4-mapped, v4-translated
        case (0x0064_FF9B_0000_0000, 0): return lowest  // NAT64
        default: break
        }
        if high >> 16 == 0x0064_FF9B_0001 {
            // RFC 6052, section 2.2: with a prefix of 48 bits the address lies around an empty byte, and nothing follows;
            // with one of 96 bits, which operators choose within these 48, it comes last.
            guard low & 0xFF_FFFF_FFFF == 0, low >> 56 == 0, low != 0 else { return lowest }
            return UInt32(truncatingIfNeeded: high & 0xFFFF) << 16 | UInt32(truncatingIfNeeded: low >> 40)
        }
        if high >> 48 == 0x2002 { return UInt32(truncatingIfNeeded: high >> 16) }  // 6to4
        if high >> 32 == 0x2001_0000 { return ~lowest }  // Teredo: the client's address, inverted
        // ISATAP (RFC 5214, section 6.1), under any prefix.
        if low >> 32 & 0xFDFF_FFFF == 0x0000_5EFE { return lowest }
        return nil
    }
}

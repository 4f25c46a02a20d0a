import Primitives

/// Where the server may dial: everything that is public, unless the configuration says otherwise.
///
/// A client must not reach what only the server can reach: its own services, its provider's metadata, its LAN. The check
/// is made on the address that is dialled, in its plain form, so that no notation gets past it.
public struct DialPolicy: Sendable {
    /// Prefixes that are allowed although the built-in list or `deny` names them.
    public var allow: [IPPrefix]
    /// Prefixes that are refused on top of the built-in list.
    public var deny: [IPPrefix]

    public init(allow: [IPPrefix] = [], deny: [IPPrefix] = []) {
        self.allow = allow
        self.deny = deny
    }

    /// `allow` wins over `deny`, `deny` over everything else.
    public func allows(_ destination: Endpoint) -> Bool {
        guard destination.port != 0 else { return false }
        let forms = Self.forms(of: destination.address)
        return forms.allSatisfy { address in
            if allow.contains(where: { $0.contains(address) }) { return true }
            return !deny.contains { $0.contains(address) } && !Self.builtIn.contains { $0.contains(address) }
        }
    }

    /// The address, and the IPv4 address that it stands for in one of the forms that translators know: v4-mapped
    /// (RFC 4291, section 2.5.5.2), NAT64 (RFC 6052), 6to4 (RFC 3056).
    static func forms(of address: IPAddress) -> [IPAddress] {
        let plain = address.unmapped
        guard case .v6(let a) = plain else { return [plain] }
        if a.high == 0x0064_FF9B_0000_0000, a.low >> 32 == 0 {
            return [plain, .v4(IPv4Address(UInt32(truncatingIfNeeded: a.low)))]
        }
        if a.high >> 48 == 0x2002 { return [plain, .v4(IPv4Address(UInt32(truncatingIfNeeded: a.high >> 16)))] }
        return [plain]
    }

    /// Never dialled unless `allow` says so (from the special-purpose registries, RFC 6890).
    public static let builtIn: [IPPrefix] = [
        "0.0.0.0/8",  // this network
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  // private (RFC 1918)
        "100.64.0.0/10",  // carrier-grade NAT (RFC 6598)
        "127.0.0.0/8",  // loopback
        "169.254.0.0/16",  // link-local, and the metadata services of clouds
        "224.0.0.0/4", "240.0.0.0/4",  // multicast, reserved and broadcast
        "::/127",  // unspecified and loopback
        "64:ff9b:1::/48",  // local NAT64 (RFC 8215)
        "fc00::/7",  // unique local (RFC 4193)
        "fe80::/10", "fec0::/10",  // link-local, site-local
        "ff00::/8",  // multicast
    ].map { text in
        guard let prefix = IPPrefix(text) else { preconditionFailure("not a prefix: \(text)") }
        return prefix
    }
}

import CLinux
import Primitives

// Our addresses as CLinux has them, and what every kind of socket does with them.

extension IPAddress {
    /// The number that CLinux uses for both families: IPv4 as ::ffff:a.b.c.d.
    @inline(__always) var wide: (high: UInt64, low: UInt64) {
        switch self {
        case .v4(let a): (0, 0xFFFF_0000_0000 | UInt64(a.value))
        case .v6(let a): (a.high, a.low)
        }
    }

    @inline(__always) init(high: UInt64, low: UInt64) {
        if high == 0 && low >> 32 == 0xFFFF {
            self = .v4(IPv4Address(UInt32(truncatingIfNeeded: low)))
        } else {
            self = .v6(IPv6Address(high: high, low: low))
        }
    }
}

extension Endpoint {
    @inline(__always) var raw: clinux_endpoint {
        let (high, low) = address.wide
        return clinux_endpoint(high: high, low: low, port: port)
    }

    @inline(__always) init(_ raw: clinux_endpoint) {
        self.init(IPAddress(high: raw.high, low: raw.low), raw.port)
    }
}

/// The endpoint that a socket is bound to.
func localEndpoint(of descriptor: Int32) throws(SystemError) -> Endpoint {
    var raw = clinux_endpoint()
    try checked(clinux_local_endpoint(descriptor, &raw), "read the local address of a socket")
    return Endpoint(raw)
}

func bind(_ descriptor: Int32, to endpoint: Endpoint, ipv6: Bool) throws(SystemError) {
    var raw = endpoint.raw
    let needs: SystemError.Capability? = endpoint.port < 1024 ? .lowPorts : nil
    try checked(clinux_bind(descriptor, ipv6 ? 1 : 0, &raw), needs: needs, "bind \(endpoint)")
}

/// Lets a socket use one interface alone.
func bind(_ descriptor: Int32, toInterface name: String?) throws(SystemError) {
    guard let name else { return }
    try checked(
        clinux_bind_to_device(descriptor, name), needs: .rawSockets, "bind a socket to the interface \(name)")
}

func setMark(_ mark: UInt32?, on descriptor: Int32) throws(SystemError) {
    guard let mark else { return }
    try checked(
        clinux_set(descriptor, CLINUX_MARK, Int32(bitPattern: mark)), needs: .networkAdministration,
        "set the mark \(mark) on a socket")
}

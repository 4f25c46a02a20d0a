import CLinux
import Glibc

// What /proc says about the calling thread's network namespace. Only read, never changed.

/// Which of these interfaces drop packets whose way back leads elsewhere (rp_filter 1, RFC 3704 strict).
///
/// With policy routing the way back to the server, looked up without the mark, leads into the tunnel, and the kernel
/// drops the server's answers. The kernel uses the larger of an interface's value and that of `all`
/// (ip-sysctl.rst).
public func strictReversePathFilter(_ interfaces: [String]) -> [String] {
    let all = reversePathFilter("all")
    return interfaces.filter { max(all, reversePathFilter($0)) == 1 }
}

/// 0 off, 1 strict, 2 loose; 0 when there is no such interface.
private func reversePathFilter(_ interface: String) -> UInt8 {
    guard let first = firstByte(of: "/proc/sys/net/ipv4/conf/\(interface)/rp_filter") else { return 0 }
    return first &- UInt8(ascii: "0")
}

/// Whether any interface, loopback included, has an IPv6 address: false where the kernel lacks IPv6 or it is switched
/// off (disable_ipv6). Then no IPv6 address or route can be added, and nothing can leak that way.
public func ipv6IsAvailable() -> Bool { firstByte(of: "/proc/thread-self/net/if_inet6") != nil }

private func firstByte(of path: String) -> UInt8? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { _ = clinux_close(file) }
    var byte: UInt8 = 0
    return clinux_read(file, &byte, 1) == 1 ? byte : nil
}

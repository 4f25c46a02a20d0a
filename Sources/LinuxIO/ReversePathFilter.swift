import CLinux
import Glibc

/// Which of these interfaces drop packets whose way back leads elsewhere (rp_filter 1, RFC 3704 strict).
///
/// With policy routing the way back to the server, looked up without the mark, leads into the tunnel, and the kernel
/// drops the server's answers. The kernel uses the larger of an interface's value and that of `all`
/// (ip-sysctl.rst). Only reads.
public func strictReversePathFilter(_ interfaces: [String]) -> [String] {
    let all = reversePathFilter("all")
    return interfaces.filter { max(all, reversePathFilter($0)) == 1 }
}

/// 0 off, 1 strict, 2 loose; 0 when there is no such interface.
private func reversePathFilter(_ interface: String) -> Int {
    let file = open("/proc/sys/net/ipv4/conf/\(interface)/rp_filter", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { _ = clinux_close(file) }
    var digit: UInt8 = 0
    guard clinux_read(file, &digit, 1) == 1, (UInt8(ascii: "0")...UInt8(ascii: "2")).contains(digit) else { return 0 }
    return Int(digit - UInt8(ascii: "0"))
}

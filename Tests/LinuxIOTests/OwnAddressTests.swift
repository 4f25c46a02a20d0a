import Glibc
import Primitives
import Testing

@testable import LinuxIO

@Suite struct OwnAddressTests {
    /// Addresses of interfaces, the broadcast address of a network, and what somebody made local; not the network's
    /// other hosts, nor routes of other types.
    @Test func whatTheKernelDeliversHere() throws {
        let seen = try inNamespace {
            let netlink = try Netlink()
            let (device, index) = try testTun(netlink)
            defer { withExtendedLifetime(device) {} }
            _ = try shell(
                "ip route add local 198.51.100.0/24 dev lo; ip route add local 203.0.113.0/28 dev lo table 77")
            _ = try shell("ip route add unreachable 192.0.2.0/24")
            try netlink.addRoute(IPPrefix("203.0.113.128/25")!, table: 5000, action: .device(index))
            let before = try netlink.ownAddresses()
            _ = try shell("ip address del 10.9.0.1/24 dev \(device.name)")
            return (before.map(\.description), try netlink.ownAddresses().map(\.description))
        }
        guard let (before, after) = seen else { return }
        for text in [
            "127.0.0.0/8", "127.0.0.1/32", "10.9.0.1/32", "10.9.0.255/32", "198.51.100.0/24", "203.0.113.0/28",
            "::1/128", "fd09::1/128",
        ] { #expect(before.contains(text), "\(text)") }
        for text in ["10.9.0.0/24", "192.0.2.0/24", "203.0.113.128/25"] { #expect(!before.contains(text), "\(text)") }
        #expect(!after.contains("10.9.0.1/32") && after.contains("fd09::1/128"))
    }
}

@Suite struct InterfaceBindingTests {
    /// With two ways to a destination, a socket bound to an interface takes that one, whatever the routes say.
    @Test func socketsStayWithTheirInterface() throws {
        let seen = try inNamespace {
            let netlink = try Netlink()
            let (device, _) = try testTun(netlink)
            defer { withExtendedLifetime(device) {} }
            _ = try shell("ip route add 203.0.113.0/24 dev lo")
            let bound = try TCPSocket.dial(Endpoint("203.0.113.9:80")!, interface: device.name)
            let datagrams = try DatagramSocket(source: IPAddress("0.0.0.0")!, interface: device.name)
            let name = try shell("ss -H -t -n state syn-sent dst 203.0.113.9") + shell("ss -H -u -n -a -p")
            withExtendedLifetime((bound, datagrams)) {}
            var missing: [Int32] = []
            do throws(SystemError) {
                _ = try TCPSocket.dial(Endpoint("203.0.113.9:80")!, interface: "none0")
            } catch {
                missing.append(error.code)
            }
            do throws(SystemError) {
                _ = try DatagramSocket(source: IPAddress("::")!, interface: "none0")
            } catch {
                missing.append(error.code)
            }
            return (name, device.name, missing)
        }
        guard let (sockets, name, missing) = seen else { return }
        #expect(sockets.split(separator: "\n").count { $0.contains("%\(name)") } == 2, "\(sockets)")
        #expect(missing == [ENODEV, ENODEV])
    }
}

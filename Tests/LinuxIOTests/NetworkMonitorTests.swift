import Primitives
import Testing

@testable import LinuxIO

@Suite struct NetworkMonitorTests {
    @Test func routesAreFoundWithTheirSource() throws {
        let seen = try inNamespace {
            let netlink = try Netlink()
            let (device, index) = try testTun(netlink)
            defer { withExtendedLifetime(device) {} }
            _ = try shell("ip route add 198.51.100.0/24 via 10.9.0.7; ip -6 route add 2001:db8::/32 via fd09::7")
            _ = try shell("ip route add 203.0.113.0/24 dev \(device.name) table 77; ip rule add fwmark 5 lookup 77")
            let wanted = [
                "10.9.0.3", "198.51.100.1", "fd09::9", "2001:db8::1", "192.0.2.1", "2001:db9::1", "203.0.113.1",
            ]
            var routes = try wanted.map { try netlink.route(to: IPAddress($0)!, mark: nil) }
            routes.append(try netlink.route(to: IPAddress("203.0.113.1")!, mark: 5))
            return (routes, index)
        }
        guard let (routes, index) = seen else { return }
        let four = IPAddress("10.9.0.1")!
        let six = IPAddress("fd09::1")!
        #expect(routes[0] == NetworkRoute(interface: index, source: four, gateway: nil))
        #expect(routes[1] == NetworkRoute(interface: index, source: four, gateway: IPAddress("10.9.0.7")!))
        #expect(routes[2] == NetworkRoute(interface: index, source: six, gateway: nil))
        #expect(routes[3] == NetworkRoute(interface: index, source: six, gateway: IPAddress("fd09::7")!))
        #expect(routes[4] == nil && routes[5] == nil && routes[6] == nil)
        #expect(routes[7]?.interface == index, "the mark's own table")
    }

    @Test func everyKindOfChangeIsTold() throws {
        let counts = try inNamespace { () throws -> [Int] in
            let (device, _) = try testTun(try Netlink())
            defer { withExtendedLifetime(device) {} }
            let loop = try EventLoop()
            var calls = 0
            let monitor = try NetworkMonitor { calls += 1 }
            try loop.add(monitor.descriptor, monitor, interest: .readable)
            loop.turn(2)
            var counts: [Int] = []
            for command in [
                "ip address add 10.9.0.2/24 dev pst0", "ip route add 198.51.100.0/24 dev pst0",
                "ip -6 route add 2001:db8::/32 dev pst0", "ip rule add fwmark 5 lookup 77",
                "ip -6 rule add fwmark 5 lookup 77", "ip link set pst0 down",
            ] {
                let before = calls
                _ = try shell(command)
                loop.turn(2)
                counts.append(calls - before)
            }
            return counts
        }
        guard let counts else { return }
        #expect(counts.allSatisfy { $0 >= 1 }, "\(counts)")
    }
}

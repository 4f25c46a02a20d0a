import Glibc
import Primitives
import Testing

@testable import LinuxIO

private let everything = [IPPrefix("0.0.0.0/0")!, IPPrefix("::/0")!]
private let leftOut = [IPPrefix("192.0.2.0/24")!, IPPrefix("2001:db8::/32")!]

private func routing(
    _ netlink: Netlink, _ interface: UInt32, capture: [IPPrefix] = everything, exclude: [IPPrefix] = leftOut,
    table: UInt32 = 51_820, rulePriority: UInt32 = 5000
) throws(SystemError) -> ClientRouting {
    try ClientRouting(
        netlink: netlink, interface: interface, capture: capture, exclude: exclude, table: table, mark: 0x50,
        rulePriority: rulePriority)
}

private let state = "ip rule; ip -6 rule; ip route show table all; ip -6 route show table all"

/// Where a packet would go: the interface's name, or the kernel's refusal.
private func way(to destination: String, mark: String = "") throws -> String {
    let text = try shell("ip route get \(destination) \(mark) || true")
    let words = text.split(whereSeparator: { $0 == " " || $0 == "\n" })
    guard let index = words.firstIndex(of: "dev"), index + 1 < words.count else { return text }
    return String(words[index + 1])
}

@Suite struct ClientRoutingTests {
    @Test func capturedTrafficGoesIntoTheTunnelAndTheTunnelsOwnPastIt() throws {
        let seen = try inNamespace {
            let netlink = try Netlink()
            let (device, index) = try testTun(netlink)
            _ = try shell(
                "ip link add up0 type veth peer name up1 && ip link set up0 up && ip link set up1 up && ip address add 172.16.0.2/16 dev up0"
            )
            _ = try shell("ip address add fd16::2/64 dev up0 nodad && ip route add default via 172.16.0.1")
            _ = try shell("ip -6 route add default via fd16::1")
            let before = try shell(state)
            let routing = try routing(netlink, index)
            try routing.install()
            // Twice is as good as once.
            try routing.install()
            let installed = try shell("ip rule; ip -6 rule")
            let ways = try ["198.51.100.1", "192.0.2.1", "2001:aaaa::1", "2001:db8::1"].flatMap {
                [try way(to: $0), try way(to: $0, mark: "mark 0x50")]
            }
            try routing.remove()
            try routing.remove()
            withExtendedLifetime(device) {}
            return (before, installed, ways, try shell(state))
        }
        guard let (before, installed, ways, after) = seen else { return }
        #expect(ways == ["pst0", "up0", "up0", "up0", "pst0", "up0", "up0", "up0"])
        #expect(installed.split(separator: "\n").filter { $0.hasPrefix("500") }.count == 2)
        #expect(after == before)
    }

    @Test func whatAKilledPredecessorLeftIsCleared() throws {
        let seen = try inNamespace {
            let netlink = try Netlink()
            let before = try shell("ip rule; ip -6 rule")
            do {
                let (device, index) = try testTun(netlink, name: "old0")
                try routing(netlink, index, exclude: [IPPrefix("203.0.113.0/24")!]).install()
                withExtendedLifetime(device) {}
            }
            // The device has gone with its routes; the rules and the `throw` routes stay.
            let left = try shell("ip rule; ip route show table 51820")
            let (device, index) = try testTun(netlink)
            let successor = try routing(netlink, index)
            try successor.install()
            let table = try shell("ip route show table 51820")
            let rules = try shell("ip rule")
            try successor.remove()
            withExtendedLifetime(device) {}
            return [before, left, table, rules, try shell("ip rule; ip -6 rule")]
        }
        guard let seen else { return }
        #expect(seen[1].contains("lookup 51820") && seen[1].contains("throw 203.0.113.0/24"))
        #expect(!seen[2].contains("203.0.113.0") && seen[2].contains("throw 192.0.2.0/24"))
        #expect(seen[3].split(separator: "\n").filter { $0.hasPrefix("500") }.count == 1)
        #expect(seen[4] == seen[0])
    }

    @Test func aFamilyThatIsNotCapturedIsLeftAlone() throws {
        let rules = try inNamespace {
            let netlink = try Netlink()
            let (device, index) = try testTun(netlink)
            let routing = try routing(netlink, index, capture: [IPPrefix("198.51.100.0/24")!])
            try routing.install()
            withExtendedLifetime(device) {}
            return [try shell("ip rule"), try shell("ip -6 rule"), try shell("ip -6 route show table all")]
        }
        guard let rules else { return }
        #expect(rules[0].contains("lookup 51820"))
        #expect(!rules[1].contains("51820"))
        #expect(!rules[2].contains("51820"))
    }

    @Test func withoutIPv6OnTheMachineItIsLeftOut() throws {
        let seen = try inNamespace {
            let before = ipv6IsAvailable()
            _ = try shell("for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done")
            let netlink = try Netlink()
            let device = try TunDevice(name: "pst0")
            let index = try netlink.interfaceIndex("pst0")
            try netlink.setUp(index)
            let routing = try routing(netlink, index)
            try routing.install()
            withExtendedLifetime(device) {}
            return (before, ipv6IsAvailable(), try shell("ip rule"), try shell("ip -6 rule"))
        }
        guard let (before, after, rules4, rules6) = seen else { return }
        #expect(before && !after)
        #expect(rules4.contains("51820"))
        #expect(!rules6.contains("51820"))
    }

    @Test func aFailedInstallationLeavesNothingBehind() throws {
        let seen = try inNamespace {
            let netlink = try Netlink()
            let before = try shell(state)
            do throws(SystemError) {
                try routing(netlink, 4711, exclude: []).install()
                return ("", before, before)
            } catch {
                return (error.description, before, try shell(state))
            }
        }
        guard let (error, before, after) = seen else { return }
        #expect(error.hasPrefix("add the route 0.0.0.0/0 to table 51820: "))
        #expect(after == before)
    }

    @Test func tablesOfTheSystemAndLateRulesAreRefused() throws {
        let errors = try inNamespace {
            let netlink = try Netlink()
            return [(UInt32(254), UInt32(5000)), (0, 5000), (51_820, 0), (51_820, 32_766)].map { table, priority in
                do throws(SystemError) {
                    _ = try routing(netlink, 1, table: table, rulePriority: priority)
                    return "none"
                } catch {
                    return error.description
                }
            }
        }
        guard let errors else { return }
        #expect(errors[0] == "use routing table 254: Invalid argument (the table belongs to the system)")
        #expect(errors[1].hasPrefix("use routing table 0: "))
        #expect(errors[2].hasPrefix("use rule priority 0: "))
        #expect(errors[3].hasPrefix("use rule priority 32766: "))
    }

    @Test func strictReversePathFiltersAreReported() throws {
        let seen = try inNamespace {
            let netlink = try Netlink()
            let (device, _) = try testTun(netlink)
            let conf = "/proc/sys/net/ipv4/conf"
            _ = try shell(
                "echo 0 > \(conf)/all/rp_filter; echo 1 > \(conf)/pst0/rp_filter; echo 0 > \(conf)/lo/rp_filter")
            let one = strictReversePathFilter(["lo", "pst0", "nosuch0"])
            _ = try shell("echo 2 > \(conf)/all/rp_filter")
            let none = strictReversePathFilter(["lo", "pst0"])
            withExtendedLifetime(device) {}
            return [one, none]
        }
        if let seen { #expect(seen == [["pst0"], []]) }
    }
}

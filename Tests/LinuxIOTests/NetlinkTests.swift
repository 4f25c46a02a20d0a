import Glibc
import Packets
import Primitives
import Testing

@testable import LinuxIO

/// A TUN device with addresses, up, in the calling thread's namespace.
func testTun(_ netlink: Netlink, name: String = "pst0") throws -> (device: TunDevice, index: UInt32) {
    let device = try TunDevice(name: name)
    let index = try netlink.interfaceIndex(device.name)
    try netlink.setUp(index, mtu: 1400, queueLength: 1234)
    try netlink.addAddress(IPAddress("10.9.0.1")!, prefixLength: 24, index: index)
    try netlink.addAddress(IPAddress("fd09::1")!, prefixLength: 64, index: index)
    // The kernel installs the local route of an IPv6 address a moment later (addrconf_dad_work); packets to it that
    // come before are lost.
    try eventually("the local route") {
        try shell("ip -6 route show table local").contains("local fd09::1 ") ? () : nil
    }
    return (device, index)
}

private func has(_ text: String, _ parts: String...) -> Bool { parts.allSatisfy { text.contains($0) } }

@Suite struct NetlinkTests {
    @Test func addressesAreThereAndUsableAtOnce() throws {
        let seen = try inNamespace {
            let (device, index) = try testTun(try Netlink())
            // A tentative IPv6 address could not be bound.
            _ = try UDPSocket(bind: Endpoint("[fd09::1]:5000")!)
            let text = try shell("ip -j address show dev \(device.name)")
            return (text, index)
        }
        guard let (text, index) = seen else { return }
        #expect(has(text, "\"ifname\":\"pst0\"", "\"mtu\":1400", "\"UP\"", "\"ifindex\":\(index)"))
        #expect(text.contains("\"txqlen\":1234"))
        #expect(has(text, "\"local\":\"10.9.0.1\",\"prefixlen\":24", "\"local\":\"fd09::1\",\"prefixlen\":64"))
        #expect(!text.contains("tentative"))
    }

    @Test func routesComeAndGo() throws {
        let seen = try inNamespace {
            let netlink = try Netlink()
            let (device, index) = try testTun(netlink)
            defer { withExtendedLifetime(device) {} }
            let prefixes = ["0.0.0.0/0", "198.51.100.0/24", "::/0", "2001:db8::/32"].map { IPPrefix($0)! }
            for prefix in prefixes { try netlink.addRoute(prefix, table: 5000, action: .device(index)) }
            // The same destination again takes the place of the first.
            try netlink.addRoute(prefixes[1], table: 5000, action: .throwBack)
            try netlink.addRoute(prefixes[3], table: 5000, action: .throwBack)
            let list = "ip route show table 5000; ip -6 route show table 5000"
            let full = try shell(list)
            try netlink.deleteRoute(prefixes[1], table: 5000)
            try netlink.deleteRoute(prefixes[2], table: 5000)
            let fewer = try shell(list)
            try netlink.flushRoutes(table: 5000)
            return [full, fewer, try shell("ip route show table all; ip -6 route show table all")]
        }
        guard let seen else { return }
        let lines = seen[0].split(separator: "\n").map { $0.split(separator: " ").prefix(3).joined(separator: " ") }
        #expect(
            lines == ["default dev pst0", "throw 198.51.100.0/24 proto", "throw 2001:db8::/32 dev", "default dev pst0"])
        #expect(seen[1].split(separator: "\n").count == 2)
        #expect(!seen[2].contains("table 5000"))
        #expect(seen[2].contains("10.9.0.0/24 dev pst0"), "other tables are left alone")
    }

    @Test func rulesComeAndGo() throws {
        let seen = try inNamespace {
            let netlink = try Netlink()
            let list = "ip rule; ip -6 rule"
            let before = try shell(list)
            for family in AddressFamily.allCases {
                try netlink.addRule(family, priority: 100, mark: 0x51, table: Netlink.mainTable)
                try netlink.addRule(family, priority: 101, mark: 0x51, invert: true, table: 70_000)
                try netlink.addRule(family, priority: 102, mark: nil, table: 70_000)
            }
            let full = try shell(list)
            for family in AddressFamily.allCases {
                try netlink.deleteRule(family, priority: 101, mark: 0x51, invert: true, table: 70_000)
                try netlink.flushRules(family, priority: 100, table: Netlink.mainTable)
                // Neither another priority nor another table.
                try netlink.flushRules(family, priority: 102, table: 70_001)
                try netlink.flushRules(family, priority: 103, table: 70_000)
            }
            let fewer = try shell(list)
            for family in AddressFamily.allCases { try netlink.flushRules(family, priority: 102, table: 70_000) }
            return [before, full, fewer, try shell(list)]
        }
        guard let seen else { return }
        let lines = seen[1].split(separator: "\n")
        for rule in [
            "100:\tfrom all fwmark 0x51 lookup main", "101:\tnot from all fwmark 0x51 lookup 70000",
            "102:\tfrom all lookup 70000",
        ] {
            #expect(lines.filter { $0.trimmingSpaces == rule }.count == 2, "\(rule)")
        }
        #expect(seen[2].split(separator: "\n").filter { $0.hasPrefix("10") }.count == 2)
        #expect(seen[3] == seen[0])
    }

    @Test func errorsNameWhatFailedAndGiveTheKernelsReason() throws {
        let errors = try inNamespace {
            let netlink = try Netlink()
            var errors: [SystemError] = []
            func attempt(_ body: () throws(SystemError) -> Void) {
                do throws(SystemError) { try body() } catch { errors.append(error) }
            }
            attempt { () throws(SystemError) in _ = try netlink.interfaceIndex("nosuch0") }
            attempt { () throws(SystemError) in
                try netlink.addRoute(IPPrefix("10.0.0.0/8")!, table: 5000, action: .device(4711))
            }
            attempt { () throws(SystemError) in try netlink.deleteRoute(IPPrefix("10.0.0.0/8")!, table: 5000) }
            attempt { () throws(SystemError) in
                try netlink.addAddress(IPAddress("10.0.0.1")!, prefixLength: 8, index: 4711)
            }
            return errors
        }
        guard let errors else { return }
        #expect(errors.map(\.code) == [ENODEV, ENODEV, ESRCH, ENODEV])
        #expect(errors[0].description == "find the interface nosuch0: No such device")
        #expect(errors[1].description.hasPrefix("add the route 10.0.0.0/8 to table 5000: No such device"))
    }

    @Test func malformedAnswersDoNoHarm() {
        var request = NetlinkRequest(MessageType.error, .request)
        request.append(UInt32(7))
        request.append(attribute: 3, Array("pst0".utf8) + [0])
        request.seal(sequence: 9)
        let whole = request.bytes.withUnsafeBytes { NetlinkMessage.parse($0) }
        #expect(whole.map(\.sequence) == [9])
        #expect(whole[0].integer(at: 0, as: UInt32.self) == 7)
        #expect(whole[0].attributeText(3, from: 4) == "pst0")
        #expect(whole[0].attributeInteger(4, from: 4) == nil)
        // Every cut and every byte set to every extreme: read what there is, and nothing beyond.
        for index in request.bytes.indices {
            let cut = Array(request.bytes[..<index]).withUnsafeBytes { NetlinkMessage.parse($0) }
            #expect(cut.isEmpty)
            for value in [UInt8(0), 1, 3, 0x7F, 0xFF] {
                var bytes = request.bytes
                bytes[index] = value
                for message in bytes.withUnsafeBytes({ NetlinkMessage.parse($0) }) {
                    _ = message.attributeText(3, from: 4)
                    #expect(message.payload.count <= bytes.count - 16)
                }
            }
        }
    }

    @Test func missingRightsAreNamed() {
        let error = SystemError(code: EPERM, operation: "add a route", needs: .networkAdministration)
        #expect(
            error.description
                == "add a route: Operation not permitted; run it as root or give it the capability CAP_NET_ADMIN")
    }
}

extension Substring {
    fileprivate var trimmingSpaces: String {
        var text = self
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

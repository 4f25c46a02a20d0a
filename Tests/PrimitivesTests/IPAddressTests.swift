import Primitives
import Testing

@Suite struct IPAddressTests {
    /// RFC 5952, sections 1, 2 and 4, and corners: text that is read, and how it is written.
    @Test(arguments: [
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("0:0:0:0:0:0:0:0", "::"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:0db8::1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8:0:0:1::1", "2001:db8::1:0:0:1"),
        ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"),
        ("2001:db8:aaaa:bbbb:cccc:dddd::1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1"),
        ("2001:db8::aaaa:0:0:1", "2001:db8::aaaa:0:0:1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
        ("0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("fe80::1234:5678", "fe80::1234:5678"), ("::ffff:192.0.2.1", "::ffff:c000:201"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        ("::1.2.3.4", "::102:304"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ])
    func textOfIPv6(read: String, written: String) throws {
        let address = try #require(IPv6Address(read))
        #expect(address.description == written)
        #expect(IPv6Address(written) == address && IPAddress(read) == .v6(address))
    }

    @Test(arguments: [
        "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2::3",
        "1:::2",
        ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "12345::", "::g", "::+1", "::-1", ":: 1", " ::1", "::1 ", "fe80::1%eth0",
        "[::1]",
        "1.2.3.4::", "1.2.3.4::1", "::1.2.3.4:5", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "1:2:3:4:5:6:7:1.2.3.4",
        "::01.2.3.4",
        "１::", "1:2:3:4:5:6:7:8\n",
    ])
    func malformedIPv6(text: String) { #expect(IPv6Address(text) == nil && IPAddress(text) == nil) }

    @Test(arguments: ["0.0.0.0", "255.255.255.255", "192.0.2.1", "10.0.100.9"])
    func textOfIPv4(text: String) throws {
        let address = try #require(IPv4Address(text))
        #expect(address.description == text && IPAddress(text) == .v4(address))
    }

    @Test(arguments: [
        "", ".", "...", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "01.2.3.4", "1.2.3.04",
        "00.0.0.0",
        "1.2.3.-4", "1.2.3.+4", " 1.2.3.4", "1.2.3.4 ", "0x1.2.3.4", "1.2.3.a", "１.2.3.4", "99999999999999999999.1.1.1",
    ])
    func malformedIPv4(text: String) { #expect(IPv4Address(text) == nil && IPAddress(text) == nil) }

    @Test func numbersAreTheWireInOrder() {
        #expect(IPv4Address("192.0.2.1")?.value == 0xC000_0201)
        #expect(IPv6Address("2001:db8::8:1") == IPv6Address(high: 0x2001_0DB8_0000_0000, low: 0x8_0001))
    }

    @Test func kinds() throws {
        func kinds(_ text: String) throws -> String {
            let a = try #require(IPAddress(text))
            return [
                a.isLoopback ? "loopback" : nil, a.isUnspecified ? "unspecified" : nil,
                a.isMulticast ? "multicast" : nil,
                a.isLinkLocal ? "link-local" : nil,
            ].compactMap { $0 }.joined(separator: " ")
        }
        for text in ["127.0.0.1", "127.255.255.255", "::1"] { #expect(try kinds(text) == "loopback") }
        for text in ["0.0.0.0", "::"] { #expect(try kinds(text) == "unspecified") }
        for text in ["224.0.0.1", "239.255.255.255", "ff02::1", "ffff::"] { #expect(try kinds(text) == "multicast") }
        for text in ["169.254.0.1", "fe80::1", "febf::"] { #expect(try kinds(text) == "link-local") }
        for text in [
            "126.0.0.1", "128.0.0.1", "0.0.0.1", "223.1.1.1", "240.0.0.1", "169.253.1.1", "::2", "fec0::1", "fe00::",
            "::ffff:127.0.0.1",
        ] {
            #expect(try kinds(text) == "", "\(text)")
        }
    }

    @Test func mappedAddressesAreUnmapped() {
        #expect(IPAddress("::ffff:10.1.2.3")?.unmapped == IPAddress("10.1.2.3"))
        for text in ["::10.1.2.3", "::fffe:a01:203", "1::ffff:10.1.2.3", "10.1.2.3", "::1:ffff:10.1.2.3"] {
            #expect(IPAddress(text)?.unmapped == IPAddress(text))
        }
    }
}

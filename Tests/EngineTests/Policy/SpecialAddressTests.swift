import Primitives
import SimNet
import Testing

@testable import Server

struct SpecialAddressTests {
    /// The first and the last address of every range, and those beside it, which are of another kind or of none.
    @Test(
        arguments: [
            ("0.0.0.0", "0.255.255.255", nil, "1.0.0.0", .thisNetwork),
            ("10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0", .privateUse),
            ("100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0", .carrierGradeNAT),
            ("127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0", .loopback),
            ("169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0", .linkLocal),
            ("172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0", .privateUse),
            ("192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0", .protocolAssignments),
            ("192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0", .sixToFour),
            ("192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0", .privateUse),
            ("198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0", .benchmarking),
            ("224.0.0.0", "239.255.255.255", "223.255.255.255", nil, .multicast),
            ("240.0.0.0", "255.255.255.254", nil, nil, .reserved),
            ("255.255.255.255", "255.255.255.255", nil, nil, .broadcast),
            ("::", "::", nil, nil, .thisNetwork),
            ("::1", "::1", nil, nil, .loopback),
            ("::2", "::ffff:ffff", nil, "::1:0:0", .v4Compatible),
            ("::ffff:0:0", "::ffff:ffff:ffff", "::fffe:ffff:ffff", "::1:0:0:0", .v4Mapped),
            ("::ffff:0:0:0", "::ffff:0:ffff:ffff", "::fffe:ffff:ffff:ffff", "::ffff:1:0:0", .v4Translated),
            ("64:ff9b::", "64:ff9b::ffff:ffff", "64:ff9a:ffff::", "64:ff9b::1:0:0", .nat64),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "64:ff9b:0:ffff::", "64:ff9b:2::", .nat64Local),
            ("100::", "100::ffff:ffff:ffff:ffff", "ff:ffff::", "100:0:0:1::", .discard),
            ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "2000:ffff::", nil, .teredo),
            ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", nil, nil, .benchmarking),
            ("2001:1::", "2001:1ff:ffff::", nil, "2001:200::", .protocolAssignments),
            ("2002::", "2002:ffff:ffff:ffff::", "2001:ffff::", "2003::", .sixToFour),
            ("5f00::", "5f00:ffff::", "5eff:ffff::", "5f01::", .segmentRouting),
            ("fc00::", "fdff:ffff::", "fbff::", "fe00::", .uniqueLocal),
            ("fe80::", "febf:ffff::", "fe7f::", nil, .linkLocal),
            ("fec0::", "feff:ffff::", nil, nil, .siteLocal),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", nil, nil, .multicast),
        ] as [(String, String, String?, String?, SpecialAddress)])
    func everyRange(
        first: String, last: String, before: String?, after: String?, kind: SpecialAddress
    ) throws {
        for text in [first, last] {
            let address = try #require(IPAddress(text))
            #expect(SpecialAddress(address) == kind, "\(text)")
            let verdict = DialPolicy().verdict(Endpoint(address, 80), DialAsker(.tcp))
            #expect(!verdict.isAllowed)
        }
        for text in [before, after] {
            guard let text else { continue }
            let address = try #require(IPAddress(text))
            #expect(SpecialAddress(address) == nil, "\(text)")
        }
    }

    @Test func everyKindHasARange() {
        #expect(Set(SpecialAddress.table.map(\.kind)) == Set(SpecialAddress.allCases))
    }

    @Test(
        arguments: [
            "1.1.1.1", "8.8.8.8", "2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888",
            // Documentation: nothing answers there, and nothing is kept there.
            "192.0.2.1", "198.51.100.1", "203.0.113.2", "2001:db8::1", "3fff::1",
        ])
    func allElseIsAllowed(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(SpecialAddress(address) == nil)
        #expect(DialPolicy().verdict(Endpoint(address, 80), DialAsker(.udp)).isAllowed)
    }

    /// 10.1.2.3 in every form in which an IPv6 address can stand for it.
    @Test(
        arguments: [
            "::10.1.2.3", "::ffff:10.1.2.3", "::ffff:0:10.1.2.3", "64:ff9b::10.1.2.3", "64:ff9b:1:a01:2:300::",
            "64:ff9b:1:fffe::10.1.2.3", "2002:a01:203::", "2002:a01:203:1::5", "2001:0:102:304::f5fe:fdfc",
            "2001:db8::5efe:10.1.2.3", "2a00:1450::200:5efe:10.1.2.3",
        ])
    func whatStandsForAnotherAddressIsJudgedAsBoth(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.embedded == IPAddress("10.1.2.3"))
        #expect(!DialPolicy().verdict(Endpoint(address, 80), DialAsker(.tcp)).isAllowed)
        // Nor does opening the form open what it stands for.
        let open = DialPolicy(allow: [IPPrefix("::/0")!])
        #expect(open.verdict(Endpoint(address, 80), DialAsker(.tcp)).source == .special(.privateUse))
        let both = DialPolicy(allow: [IPPrefix("::/0")!, IPPrefix("10.1.2.3")!])
        #expect(both.verdict(Endpoint(address, 80), DialAsker(.tcp)).isAllowed)
    }

    @Test(arguments: ["::", "::1", "2606:4700::1111", "fe80::1", "10.1.2.3", "2a00:1450::5efd:10.1.2.3"])
    func othersStandForThemselves(text: String) throws { #expect(try #require(IPAddress(text)).embedded == nil) }

    /// Whatever an IPv6 address embeds is never reached where the IPv4 address itself is not.
    @Test func noFormOpensAnything() {
        var random = SeededRandom(seed: 11)
        for _ in 0..<20_000 {
            let v4 = UInt32.random(in: 0 ... .max, using: &random)
            let high: UInt64
            let low: UInt64
            switch UInt8.random(in: 0..<7, using: &random) {
            case 0: (high, low) = (0, 0xFFFF_0000_0000 | UInt64(v4))
            case 1: (high, low) = (0, UInt64(v4))
            case 2: (high, low) = (0x0064_FF9B_0000_0000, UInt64(v4))
            case 3:
                (high, low) = (0x2002_0000_0000_0000 | UInt64(v4) << 16, UInt64.random(in: 0 ... .max, using: &random))
            case 4: (high, low) = (0x2001_0000_0000_0000, UInt64(~v4))
            case 5: (high, low) = (0x2A00_1450_0000_0000, 0x0000_5EFE_0000_0000 | UInt64(v4))
            default: (high, low) = (0, 0xFFFF_0000_0000_0000 | UInt64(v4))
            }
            let policy = DialPolicy(allow: [IPPrefix("::/0")!])
            let plain = policy.verdict(Endpoint(.v4(IPv4Address(v4)), 80), DialAsker(.tcp))
            let dressed = policy.verdict(Endpoint(.v6(IPv6Address(high: high, low: low)), 80), DialAsker(.tcp))
            #expect(plain.isAllowed || !dressed.isAllowed || v4 <= 1)
        }
    }
}

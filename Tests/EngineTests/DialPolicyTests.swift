import Primitives
import Testing

@testable import Server

struct DialPolicyTests {
    @Test(
        arguments: [
            "127.0.0.1", "127.255.255.255", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1",
            "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fdff::1",
            "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::",
            "2002:c0a8:101::1", "64:ff9b:1::1",
        ])
    func insideIsDenied(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(!DialPolicy().allows(Endpoint(address, 80)))
    }

    @Test(
        arguments: [
            "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "203.0.113.2", "2001:db8::1",
            "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::1", "::ffff:1.1.1.1",
        ])
    func outsideIsAllowed(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(DialPolicy().allows(Endpoint(address, 80)))
    }

    @Test func allowWinsOverDenyAndDenyOverTheRest() throws {
        let policy = DialPolicy(
            allow: [IPPrefix("10.1.0.0/16")!, IPPrefix("1.1.1.1/32")!], deny: [IPPrefix("1.1.0.0/16")!])
        #expect(policy.allows(Endpoint("10.1.2.3:80")!))
        #expect(!policy.allows(Endpoint("10.2.2.3:80")!))
        #expect(policy.allows(Endpoint("1.1.1.1:80")!))
        #expect(!policy.allows(Endpoint("1.1.1.2:80")!))
        #expect(!policy.allows(Endpoint("[::ffff:1.1.1.2]:80")!))
        #expect(policy.allows(Endpoint("[::ffff:10.1.2.3]:80")!))
    }

    @Test func portZeroIsDenied() { #expect(!DialPolicy().allows(Endpoint("1.1.1.1:0")!)) }
}

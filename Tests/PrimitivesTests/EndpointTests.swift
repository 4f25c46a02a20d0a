import Primitives
import SimNet
import Testing

@Suite struct EndpointTests {
    @Test(arguments: ["192.0.2.1:443", "[2001:db8::1]:443", "[::]:0", "0.0.0.0:65535"])
    func textIsReadAndWritten(text: String) throws {
        #expect(try #require(Endpoint(text)).description == text)
    }

    @Test(arguments: [
        "", ":", "192.0.2.1", "192.0.2.1:", ":443", "192.0.2.1:65536", "192.0.2.1:+1", "192.0.2.1:-1", "192.0.2.1: 1",
        "192.0.2.1:1 ", "2001:db8::1:443", "[2001:db8::1]", "[2001:db8::1]443", "[192.0.2.1]:443", "[]:1", "[:1", "]:1",
        "[::1:1",
        "example.org:443", "192.0.2.1:０", "[[::1]]:1",
    ])
    func malformedText(text: String) { #expect(Endpoint(text) == nil) }
}

@Suite struct IPPrefixTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.0.0.0/8"), ("0.0.0.0/0", "0.0.0.0/0"), ("192.0.2.1", "192.0.2.1/32"), ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"), ("2001:db8:0:1::/64", "2001:db8:0:1::/64"), ("::1", "::1/128"),
        ("fe80::/10", "fe80::/10"),
        ("128.0.0.0/1", "128.0.0.0/1"), ("2001:db8::8000:0:0:0/65", "2001:db8:0:0:8000::/65"),
    ])
    func textIsReadAndWritten(read: String, written: String) throws {
        #expect(try #require(IPPrefix(read)).description == written)
    }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.1/8",
        "2001:db8::1/64", "10.0.0.0/ 8", "10.0.0/8", "10.0.0.0/99999999999999999999", "::1/127", "::8000:0:0:0/64",
    ])
    func malformedText(text: String) { #expect(IPPrefix(text) == nil) }

    /// Against a comparison bit by bit.
    @Test(arguments: [32, 128]) func containsWhatSharesTheBits(width: Int) throws {
        var random = SeededRandom(seed: 9)
        for length in 0...width {
            let bits = (0..<width).map { $0 < length && Bool.random(using: &random) }
            let prefix = try #require(IPPrefix(address(bits), length: length))
            for _ in 0..<4 {
                var other = (0..<width).map { $0 < length ? bits[$0] : Bool.random(using: &random) }
                #expect(prefix.contains(address(other)))
                guard length > 0 else { continue }
                other[.random(in: 0..<length, using: &random)].toggle()
                #expect(!prefix.contains(address(other)))
            }
            if length < width {
                var beyond = bits
                beyond[.random(in: length..<width, using: &random)] = true
                #expect(IPPrefix(address(beyond), length: length) == nil)
            }
        }
    }

    @Test func familiesDoNotMix() {
        #expect(IPPrefix("0.0.0.0/0")?.contains(.v6(IPv6Address(high: 0, low: 0))) == false)
        #expect(IPPrefix("::/0")?.contains(.v4(IPv4Address(0))) == false)
        #expect(IPPrefix(.v4(IPv4Address(0)), length: 33) == nil && IPPrefix(.v4(IPv4Address(0)), length: -1) == nil)
    }

    private func address(_ bits: [Bool]) -> IPAddress {
        func number(_ bits: ArraySlice<Bool>) -> UInt64 { bits.reduce(0) { $0 << 1 | ($1 ? 1 : 0) } }
        return bits.count == 32
            ? .v4(IPv4Address(UInt32(number(bits[...]))))
            : .v6(IPv6Address(high: number(bits[..<64]), low: number(bits[64...])))
    }
}

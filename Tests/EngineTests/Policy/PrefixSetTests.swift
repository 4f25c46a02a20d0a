import Primitives
import SimNet
import Testing

@testable import Server

struct PrefixSetTests {
    @Test func theEmptySetHasNothing() {
        #expect(PrefixSet().isEmpty)
        #expect(!PrefixSet().contains(IPAddress("0.0.0.0")!) && !PrefixSet().contains(IPAddress("::")!))
    }

    @Test func everythingIsOnePrefixOfEachFamily() {
        let all = PrefixSet([IPPrefix("0.0.0.0/0")!, IPPrefix("::/0")!])
        for text in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "8.8.8.8"] {
            #expect(all.contains(IPAddress(text)!))
        }
        #expect(!PrefixSet([IPPrefix("0.0.0.0/0")!]).contains(IPAddress("::")!))
    }

    /// Prefixes that lie in, over and beside each other say the same as each by itself.
    @Test(arguments: 0..<40 as Range<UInt64>)
    func saysWhatThePrefixesSay(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var prefixes: [IPPrefix] = []
        for _ in 0..<Int.random(in: 1...60, using: &random) {
            if Bool.random(using: &random) {
                let length = Int.random(in: 0...32, using: &random)
                // Few different bits, so that they meet.
                let value = UInt32.random(in: 0..<64, using: &random) << 26 | UInt32.random(in: 0..<4, using: &random)
                let mask: UInt32 = length == 0 ? 0 : ~0 << UInt32(32 - length)
                prefixes.append(IPPrefix(.v4(IPv4Address(value & mask)), length: length)!)
            } else {
                let length = Int.random(in: 0...128, using: &random)
                let number = UInt128(UInt64.random(in: 0..<64, using: &random)) << 122 | UInt128(3)
                let mask: UInt128 = length == 0 ? 0 : ~0 << UInt128(128 - length)
                let value = number & mask
                let address = IPv6Address(high: UInt64(value >> 64), low: UInt64(truncatingIfNeeded: value))
                prefixes.append(IPPrefix(.v6(address), length: length)!)
            }
        }
        let set = PrefixSet(prefixes)
        for _ in 0..<400 {
            let v4 = UInt32.random(in: 0..<64, using: &random) << 26 | UInt32.random(in: 0..<5, using: &random)
            let high = UInt64.random(in: 0..<64, using: &random) << 58
            for address in [
                IPAddress.v4(IPv4Address(v4)),
                .v6(IPv6Address(high: high, low: UInt64.random(in: 0..<5, using: &random))),
            ] {
                #expect(set.contains(address) == prefixes.contains { $0.contains(address) }, "seed \(seed): \(address)")
            }
        }
    }
}

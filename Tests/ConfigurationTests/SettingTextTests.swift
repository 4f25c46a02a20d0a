import Primitives
import Testing

@testable import Configuration

@Suite struct SettingTextTests {
    @Test(arguments: [
        ("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0),
    ]) func durations(text: String, milliseconds: Int64) {
        #expect(parseDuration(text) == .milliseconds(milliseconds))
    }

    @Test(arguments: ["", "30", "s", "30 s", "-1s", "+1s", "1.5s", "30S", "030s", "9223372036854775807h", "1d", "٣s"])
    func durationsRefused(text: String) {
        #expect(parseDuration(text) == nil)
    }

    @Test(arguments: [
        ("0B", 0), ("7B", 7), ("64KiB", 65_536), ("512MiB", 536_870_912), ("1GiB", 1_073_741_824),
    ]) func sizes(text: String, bytes: Int) {
        #expect(parseSize(text) == bytes)
        #expect(sizeText(bytes) == text)
    }

    @Test(arguments: ["", "512", "MiB", "512 MiB", "512MB", "512mib", "-1B", "01B", "9223372036854775807GiB", "1TiB"])
    func sizesRefused(text: String) {
        #expect(parseSize(text) == nil)
    }

    @Test(arguments: ["1ms", "1500ms", "90s", "2m", "3h", "1000h"]) func durationsPrintAsTheyAreRead(text: String) {
        #expect(parseDuration(text).map(durationText) == text)
    }

    @Test(arguments: ["a", "vpn.example.org", "A-1.b", "1a.2b", String(repeating: "a", count: 63)])
    func hostNames(text: String) {
        #expect(parseHostName(text) == text)
    }

    @Test func finalDotIsDropped() {
        #expect(parseHostName("example.org.") == "example.org")
    }

    @Test(arguments: [
        "", ".", "a..b", "-a", "a-", "a_b", "a b", "1.2.3.4", "1.2.3.256", "ä.org", "a:1", "[::1]",
        String(repeating: "a", count: 64), Array(repeating: "abcdefg", count: 32).joined(separator: "."),
    ]) func hostNamesRefused(text: String) {
        #expect(parseHostName(text) == nil)
    }

    @Test func interfaceAddressKeepsHostBits() {
        #expect(InterfaceAddress("198.18.0.1/30")?.description == "198.18.0.1/30")
        #expect(InterfaceAddress("fd00:5053::1/126")?.prefixLength == 126)
    }

    @Test(arguments: [
        "198.18.0.1", "198.18.0.1/33", "198.18.0.1/", "198.18.0.1/-1", "::1/129", "/30", "a/30", "::1/8/8",
    ])
    func interfaceAddressesRefused(text: String) {
        #expect(InterfaceAddress(text) == nil)
    }
}

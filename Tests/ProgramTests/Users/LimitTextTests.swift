import Testing

@testable import penstock

@Suite struct LimitTextTests {
    @Test(arguments: [
        ("8kbit", 8_000), ("20Mbit", 20_000_000), ("1Gbit", 1_000_000_000), ("1500kbit", 1_500_000), ("9001bit", 9_001),
    ])
    func rates(text: String, bits: Int) {
        #expect(parseRate(text) == bits && rateText(bits) == text)
    }

    @Test(arguments: [
        ("500GB", 500_000_000_000), ("2TiB", 2 << 40), ("1MiB", 1 << 20), ("1500MB", 1_500_000_000), ("7B", 7),
    ])
    func volumes(text: String, bytes: Int) {
        #expect(parseVolume(text) == bytes && volumeText(bytes) == text)
    }

    @Test(arguments: [
        "", "20", "20 Mbit", "Mbit", "-1Mbit", "1.5Mbit", "1mbit", "99999999999999999999Gbit", "9999999999999Gbit",
    ])
    func otherRates(_ text: String) { #expect(parseRate(text) == nil) }

    @Test func roughVolumes() {
        #expect(
            [0, 999, 1_000, 1_550_000, 2_340_000_000_000].map(roughVolumeText) == [
                "0 B", "999 B", "1.0 kB", "1.6 MB", "2.3 TB",
            ])
    }

    @Test func moments() {
        #expect(parseMoment("1970-01-02", now: 5) == 86_400)
        #expect(parseMoment("2026-12-31", now: 0) == 1_798_675_200)
        #expect(parseMoment("2026-12-31T12:00:00Z", now: 0) == 1_798_718_400)
        #expect(parseMoment("30d", now: 5) == 2_592_005 && parseMoment("12h", now: 0) == 43_200)
        for text in ["", "d", "-1d", "tomorrow", "2026-13-01", "2026-12-31 12:00", "9999999d"] {
            #expect(parseMoment(text, now: 0) == nil, "\(text)")
        }
        #expect(momentText(1_798_718_400) == "2026-12-31T12:00:00Z")
        #expect([Int64.min, .max].map(momentText).count == 2)
    }
}

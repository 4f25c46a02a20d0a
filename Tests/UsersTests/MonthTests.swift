import Testing
import Users

@Suite struct MonthTests {
    @Test(arguments: [
        (0, "1970-01"), (2_678_399, "1970-01"), (2_678_400, "1970-02"), (951_782_399, "2000-02"),
        (951_868_800, "2000-03"), (1_709_164_800, "2024-02"), (1_709_251_200, "2024-03"), (1_798_761_599, "2026-12"),
        (1_798_761_600, "2027-01"), (-5, "1970-01"), (Int64.max, "9999-12"), (Int64.min, "1970-01"),
    ])
    func ofATime(seconds: Int64, text: String) { #expect("\(Month(unixSeconds: seconds))" == text) }

    @Test func codes() {
        #expect(Month(code: 202_612)?.code == 202_612)
        for code in [0, -1, 202_600, 202_613, 196_912, 1_000_001, .max] { #expect(Month(code: code) == nil) }
        #expect(Month(unixSeconds: 1_798_761_599) < Month(unixSeconds: 1_798_761_600))
    }
}

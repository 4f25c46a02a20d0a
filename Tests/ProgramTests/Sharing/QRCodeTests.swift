import Configuration
import Testing

@testable import penstock

@Suite struct QRCodeTests {
    private func code(_ text: String) -> QRCode? { Array(text.utf8).withUnsafeBytes { QRCode($0) } }

    @Test func itLooksLikeOne() throws {
        let code = try #require(self.code("penstock://v1#abc"))
        #expect(code.width == 25)
        // The three finders, and the light frame inside each.
        for (column, row) in [(0, 0), (code.width - 7, 0), (0, code.width - 7)] {
            #expect((0..<7).allSatisfy { code.isDark(column + $0, row) && code.isDark(column, row + $0) })
            #expect((1..<6).allSatisfy { !code.isDark(column + $0, row + 1) })
        }
        #expect(!code.isDark(-1, 0) && !code.isDark(0, code.width))
    }

    @Test func bothBackgrounds() throws {
        let code = try #require(self.code("penstock"))
        let dark = code.lines(on: .dark)
        let light = code.lines(on: .light)
        let side = code.width + 2 * QRCode.quietZone
        #expect(dark.count == (side + 1) / 2 && dark.allSatisfy { $0.count == side })
        let opposite: [Character: Character] = ["█": " ", " ": "█", "▀": "▄", "▄": "▀"]
        for (a, b) in zip(dark, light) { #expect(String(a.map { opposite[$0] ?? "?" }) == b) }
        #expect(dark[0].allSatisfy { $0 == "█" } && light[0].allSatisfy { $0 == " " })
    }

    @Test func lengths() throws {
        #expect(try #require(code(String(repeating: "a", count: AccessLink.maximumLength))).width == 177)
        #expect(code(String(repeating: "a", count: AccessLink.maximumLength + 1)) == nil)
    }
}

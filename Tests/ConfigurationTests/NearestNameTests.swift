import Testing

@testable import Configuration

@Suite struct NearestNameTests {
    let known = ["addresses", "mtu", "name", "offload", "stream-window", "connection-window", "server", "server-name"]

    @Test(arguments: [
        ("adress", "addresses"), ("adresses", "addresses"), ("MTU", "mtu"), ("nmae", "name"), ("off-load", "offload"),
        ("stream_window", "stream-window"), ("sever", "server"), ("connection", "connection-window"),
    ]) func finds(typed: String, meant: String) {
        #expect(nearestName(to: typed, among: known) == meant)
    }

    @Test(arguments: ["", "x", "congestion", "zzzzzzzz", String(repeating: "server", count: 1_000)])
    func findsNone(typed: String) {
        #expect(nearestName(to: typed, among: known) == nil)
    }

    @Test(arguments: [("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3)])
    func distance(a: String, b: String, expected: Int) {
        #expect(editDistance(a, b) == expected)
        #expect(editDistance(b, a) == expected)
    }
}

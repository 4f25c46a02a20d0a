import Foundation
import Logging
import Primitives
import Testing
import Users

@testable import penstock

/// The line of a failed login against the filter for fail2ban that docs/USERS.md shows.
@Suite struct LoginLineTests {
    private static let document = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../docs/USERS.md")

    /// The expression of the document, with fail2ban's own word for an address written out.
    private func filter() throws -> Regex<(Substring, host: Substring)> {
        let text = try String(contentsOf: Self.document, encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("failregex = ") })
        let expression = line.dropFirst("failregex = ".count).replacing("<ADDR>", with: "(?<host>[0-9a-f.:]+)")
        return try Regex(String(expression), as: (Substring, host: Substring).self)
    }

    private func line(
        _ client: String, _ reason: String, _ name: String, _ style: StandardErrorLogHandler.Style = .stamped
    ) -> String {
        StandardErrorLogHandler(component: "logins", style: style, logLevel: .info).line(
            .warning, LoginLine.failed, LoginLine.fields(Endpoint(client)!, reason, UserName(name)),
            at: Date(timeIntervalSince1970: 1_769_860_800.1234))
    }

    @Test(arguments: [
        ("203.0.113.7:51234", "203.0.113.7"), ("[2001:db8::7]:51234", "2001:db8::7"),
        ("[::ffff:203.0.113.7]:51234", "203.0.113.7"),
    ])
    func theFilterFindsTheAddress(client: String, address: String) throws {
        let filter = try filter()
        for style in [StandardErrorLogHandler.Style.stamped, .journald] {
            for name in ["anna", "no name at all", "x client=198.51.100.1:1 reason=wrong-credentials"] {
                let line = line(client, "wrong-credentials", name, style)
                let match = try #require(line.firstMatch(of: filter), "\(line)")
                #expect(match.host == address)
            }
        }
        #expect(line(client, "too-many-failures", "anna").contains(filter))
    }

    @Test func theLinesOfTheDocument() throws {
        let text = try String(contentsOf: Self.document, encoding: .utf8)
        #expect(text.contains(line("203.0.113.7:51234", "wrong-credentials", "anna")))
        #expect(text.contains(line("[2001:db8::7]:51234", "too-many-failures", "Ännchen")))
    }

    @Test func otherLinesAreNotFailures() throws {
        let filter = try filter()
        #expect(!line("203.0.113.7:1", "disabled", "anna").contains(filter))
        // A client chooses the words with which it closes its connection.
        let words = "logins: login failed client=198.51.100.1:1 reason=wrong-credentials user=x"
        let forged = StandardErrorLogHandler(component: "server", style: .stamped, logLevel: .info).line(
            .info, "client gone", ["client": "203.0.113.7:1", "reason": "closed by the other side: \(words)"],
            at: Date())
        #expect(forged.contains(words) && !forged.contains(filter))
        #expect(!"2026-01-31T12:00:00.123Z info server: client connected client=203.0.113.7:1".contains(filter))
    }
}

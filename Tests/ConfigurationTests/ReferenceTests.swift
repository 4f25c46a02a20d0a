import Foundation
import Testing

@testable import Configuration

/// docs/CONFIGURATION.md against the code that reads the settings.
@Suite struct ReferenceTests {
    private static let file = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "docs/CONFIGURATION.md")

    /// The first four columns of a row as they have to be: key, value, default, and whether SIGHUP takes it over.
    private func rows<Configuration: ConfigurationFile>(_ type: Configuration.Type) -> [String] {
        type.reference.map { setting in
            let fallback =
                switch setting.necessity {
                case .required: "required"
                case .optional: "–"
                case .standard(let text): "`\(text)`"
                }
            let reload = type.isReloadable(setting.key) ? "live" : "restart"
            return "| `\(setting.key)` | \(setting.expected) | \(fallback) | \(reload) | "
        }
    }

    private func documented(_ heading: String, in text: String) -> [Substring] {
        let section = text.split(separator: "\n## ").first { $0.hasPrefix(heading + "\n") } ?? ""
        return section.split(separator: "\n").filter { $0.hasPrefix("| `") }
    }

    @Test func everySettingIsDocumentedAsItIs() throws {
        let text = try String(contentsOf: Self.file, encoding: .utf8)
        for (heading, rows) in [
            ("The server's settings", rows(ServerConfiguration.self)),
            ("The client's settings", rows(ClientConfiguration.self)),
        ] {
            let lines = documented(heading, in: text)
            for row in rows {
                let line = lines.first { $0.hasPrefix(row) }
                #expect(line != nil, "docs/CONFIGURATION.md, \(heading): there has to be: \(row)MEANING |")
                #expect((line?.count ?? 99) > row.count + 6, "without a meaning: \(row)")
            }
            for line in lines {
                #expect(rows.contains { line.hasPrefix($0) }, "\(heading): no setting has the row: \(line)")
            }
        }
    }
}

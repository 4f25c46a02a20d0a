import TestSupport
import Testing

@testable import Configuration

/// Whatever is wrong with a configuration: each problem says where, which key, what, and what to do.
@Suite struct RefusalTests {
    let folder: TemporaryFolder
    init() throws { folder = try TemporaryFolder() }

    /// Every key of both sides with values that are wrong in many ways, one at a time.
    @Test func everyKeyIsRefusedWithItsPlaceAndARemedy() {
        let wrong = [
            "{ a: 1 }", "[{ a: 1 }]", "[[[a]]]", "", "\"\\e\"", "none/none", "-1", "99999999999999999999", "[]",
        ]
        var refused: [String: Int] = [:]
        for (side, minimal) in [(Side.client, minimalClient), (.server, minimalServer)] {
            for setting in side.reference {
                for value in wrong {
                    let text = with(setting.generalKey, value, in: minimal)
                    for problem in check(side, text.text) {
                        #expect(problem.position?.line == text.line || problem.key != setting.generalKey, "\(problem)")
                        refused["\(side) \(setting.generalKey)", default: 0] +=
                            problem.key == setting.generalKey ? 1 : 0
                    }
                }
            }
            for setting in side.reference {
                #expect(refused["\(side) \(setting.generalKey)", default: 0] > 0, "nothing is wrong for \(setting.key)")
            }
        }
    }

    /// The same by variables: the variable is named in place of the line.
    @Test func everyVariableIsRefusedByItsName() {
        for (side, minimal) in [(Side.client, minimalClient), (.server, minimalServer)] {
            for setting in side.reference {
                let variable = EnvironmentSettings.variable(for: setting.generalKey)
                let found = ["", "\u{1B}\0", "none/none,-1,,|"].flatMap { value in
                    check(side, minimal, environment: [variable: value])
                }
                #expect(found.contains { $0.file == variable && $0.position == nil && !$0.key.isEmpty }, "\(variable)")
            }
        }
    }

    /// Bytes of the examples changed at random.
    @Test(arguments: 1...6 as ClosedRange<UInt64>) func mutationsAreRefusedInWords(seed: UInt64) {
        var random = MutationRandom(state: seed)
        var count = 0
        for _ in 0..<1_000 {
            let side = Bool.random(using: &random) ? Side.client : .server
            var text = Array(side.example.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&text, &random) }
            count += check(side, String(decoding: text, as: UTF8.self), note: "seed \(seed)").count
        }
        #expect(count > 300, "seed \(seed): \(count) problems")
    }

    private enum Side: String {
        case client, server

        var reference: [SettingRecord] {
            self == .client ? ClientConfiguration.reference : ServerConfiguration.reference
        }
        var example: String { self == .client ? ClientConfiguration.example : ServerConfiguration.example }
    }

    /// The problems of a text, each of which is looked at.
    private func check(
        _ side: Side, _ text: String, environment: [String: String] = [:], note: String = ""
    ) -> [ConfigurationProblem] {
        let file = folder("\(side).yaml")
        let environment = EnvironmentSettings(environment)
        do {
            switch side {
            case .client: _ = try ClientConfiguration.parse(text, file: file, environment: environment)
            case .server: _ = try ServerConfiguration.parse(text, file: file, environment: environment)
            }
            return []
        } catch {
            #expect(!error.problems.isEmpty, "refused without a word: \(note)")
            for problem in error.problems { judge(problem, file, "\(problem) \(note)") }
            return error.problems
        }
    }

    private func judge(_ problem: ConfigurationProblem, _ file: String, _ shown: String) {
        if problem.file.hasPrefix(EnvironmentSettings.prefix) {
            #expect(problem.position == nil, "\(shown)")
        } else {
            #expect(problem.file == file, "\(shown)")
            // What the reader of bytes refuses has no line.
            #expect(problem.position != nil || problem.message.hasPrefix("this is not YAML"), "\(shown)")
        }
        let isOfTheFile = [
            "this is not YAML", "the file is not", "values are nested", "an anchor begins", "a key is not a word",
        ]
        .contains { problem.message.hasPrefix($0) }
        if !isOfTheFile {
            let name = problem.key.split(separator: ".").last.map(String.init) ?? ""
            #expect(!problem.key.isEmpty && problem.message.contains(printable(name)), "\(shown)")
        }
        let verbs = [
            "write", "add", "make", "name", "run:", "keep", "remove", "choose", "did you mean", "known keys", "see",
            "save",
            "set", "take", "give", "join", "leave", "copy", "close", "unset",
        ]
        #expect(verbs.contains { problem.remedy.hasPrefix($0) }, "a remedy says what to do: \(shown)")
        #expect(!problem.description.unicodeScalars.contains { $0.value < 32 }, "\(shown)")
    }

    /// The minimal file with one key more, or another value for one that it has, and the line that it is on.
    private func with(_ key: String, _ value: String, in minimal: String) -> (text: String, line: Int) {
        var parts = key.replacing("[]", with: "").split(separator: ".")
        let last = parts.removeLast()
        var lines = minimal.split(separator: "\n")
        let first = parts.first ?? last
        lines.removeAll { $0.hasPrefix("\(first):") }
        let opening = parts.map { "\($0): { " }.joined()
        lines.append("\(opening)\(last): \(value)\(String(repeating: " }", count: parts.count))")
        return (lines.joined(separator: "\n") + "\n", lines.count)
    }
}

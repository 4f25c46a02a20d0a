import Foundation
import Yams

/// One configuration file, and the problems found in it so far.
///
/// The readers of settings note problems here and go on, so that all of them are told at once. Only broken YAML and
/// keys that appear twice end the reading early: then there is no tree of values to look at.
final class ConfigurationDocument {
    /// Largest configuration file, in bytes.
    static let sizeLimit = 256 << 10
    /// Deepest indentation, in columns, and most opening brackets of a file: they bound how deep the values nest,
    /// since the YAML composer calls itself for each level.
    static let indentationLimit = 100
    static let bracketLimit = 200

    typealias Position = ConfigurationProblem.Position

    /// The file as the user named it.
    let file: String
    /// The command that prints an example of such a file.
    private let exampleCommand: String
    /// Relative paths in the file start here; empty or ending with a slash.
    let folder: String
    private(set) var problems: [ConfigurationProblem] = []
    /// Every setting that was asked for, in that order.
    private(set) var settings: [SettingRecord] = []
    private var places: [String: Int] = [:]
    /// Settings that come before the file's.
    let environment: EnvironmentSettings

    init(
        file: String, environment: EnvironmentSettings = EnvironmentSettings([:]),
        exampleCommand: String = "penstock config example"
    ) {
        self.file = file
        self.environment = environment
        self.exampleCommand = exampleCommand
        folder = file.lastIndex(of: "/").map { String(file[...$0]) } ?? ""
    }

    func note(
        _ message: String, remedy: String? = nil, key: String = "", at position: Position? = nil,
        from source: SettingRecord.Source = .standard
    ) {
        let place: (file: String, position: Position?) =
            if case .environment(let variable) = source { (variable, nil) } else { (file, position) }
        problems.append(
            ConfigurationProblem(
                file: place.file, position: place.position, key: key, message: message, remedy: remedy))
    }

    // MARK: What was asked for

    func record(_ setting: SettingRecord) {
        guard places[setting.key] == nil else { return }
        places[setting.key] = settings.count
        settings.append(setting)
    }

    /// A list of sections, whose entries are recorded by themselves. The environment cannot set it.
    func recordSections(_ key: String) {
        record(SettingRecord(key: key, expected: "a list of sections", necessity: .optional))
        if let (variable, _) = environment.value(of: key) {
            note(
                "'\(key)' is a list of sections, which the environment cannot set", remedy: "write it into \(file)",
                key: key, from: .environment(variable))
        }
    }

    func found(_ key: String, _ text: String, from source: SettingRecord.Source) {
        guard let place = places[key] else { return }
        settings[place].given = text
        settings[place].source = source
    }

    func found(_ key: String, _ file: LoadedFile) {
        guard let place = places[key] else { return }
        settings[place].file = file
    }

    /// A path of the file, where a relative one starts at the file's folder.
    func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : folder + path }

    /// The settings at the top of the file. Throws what keeps the file from being read at all.
    func readRoot() throws(ConfigurationError) -> ConfigurationSection {
        let contents: [UInt8]
        do {
            contents = try readFile(file, limit: Self.sizeLimit)
        } catch {
            let remedy = error == .notFound ? "see '\(exampleCommand)' for one to start from" : nil
            throw failure("the configuration file cannot be read: \(error)", remedy: remedy)
        }
        guard let text = String(validating: contents, as: UTF8.self), !contents.contains(0) else {
            throw failure("the configuration file is not text in UTF-8")
        }
        return try composeRoot(text)
    }

    /// The same for text that is already in memory.
    func composeRoot(_ text: String) throws(ConfigurationError) -> ConfigurationSection {
        if let position = tooDeep(text) {
            throw failure("values are nested too deeply here", remedy: "indent by two spaces a level", at: position)
        }
        let start = Position(line: 1, column: 1)
        guard let node = try compose(text) else { return ConfigurationSection(self, path: "", pairs: [], at: start) }
        guard case .mapping(let mapping) = node else {
            if isEmptyScalar(node) { return ConfigurationSection(self, path: "", pairs: [], at: start) }
            throw failure(
                "the file is not a list of settings", remedy: "write lines such as 'key: value'", at: node.position)
        }
        return ConfigurationSection(self, path: "", pairs: mapping.map { ($0.key, $0.value) }, at: start)
    }

    private func compose(_ text: String) throws(ConfigurationError) -> Node? {
        do {
            return try Parser(yaml: text, encoding: .utf8).singleRoot()
        } catch let error as YamlError {
            throw failure(from: error)
        } catch {
            throw failure("the YAML cannot be read: \(error)")
        }
    }

    private func failure(from error: YamlError) -> ConfigurationError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _):
            return failure("this is not YAML: \(problem)", at: mark.position)
        case .composer(_, let problem, let mark, _):
            return failure("this is not YAML that can be used: \(problem)", at: mark.position)
        case .duplicatedKeysInMapping(let duplicates, let context):
            let names = duplicates.map { "'\($0)'" }.joined(separator: ", ")
            return failure(
                duplicates.count == 1 ? "key \(names) appears more than once" : "keys \(names) appear more than once",
                remedy: duplicates.count == 1 ? "keep one" : "keep one of each", key: duplicates[0],
                at: context.mark.position)
        case .reader(let problem, _, _, _), .writer(let problem), .emitter(let problem), .representer(let problem):
            return failure("this is not YAML: \(problem)")
        case .no, .memory, .dataCouldNotBeDecoded:
            return failure("the YAML cannot be read")
        }
    }

    private func failure(
        _ message: String, remedy: String? = nil, key: String = "", at position: Position? = nil
    ) -> ConfigurationError {
        note(message, remedy: remedy, key: key, at: position)
        return ConfigurationError(problems)
    }

    /// Where the text passes the limits of nesting.
    private func tooDeep(_ text: String) -> Position? {
        var brackets = 0
        for (index, line) in text.utf8.split(omittingEmptySubsequences: false, whereSeparator: { $0 == 10 || $0 == 13 })
            .enumerated()
        {
            // Nested blocks open with spaces or, on one line, with the signs '-', '?' and ':'.
            let opening = line.prefix { $0 == 32 || $0 == 45 || $0 == 63 || $0 == 58 || $0 == 9 }
            if opening.count > Self.indentationLimit, opening.count < line.count {
                return Position(line: index + 1, column: opening.count + 1)
            }
            brackets += line.count { $0 == 91 || $0 == 123 }
            if brackets > Self.bracketLimit { return Position(line: index + 1, column: 1) }
        }
        return nil
    }
}

/// A value that was left out, as in `key:`, or written as `~` or `null`.
func isEmptyScalar(_ node: Node) -> Bool {
    guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return false }
    return scalar.string.isEmpty || scalar.string == "~" || scalar.string == "null"
}

extension Mark {
    var position: ConfigurationProblem.Position { ConfigurationProblem.Position(line: line, column: column) }
}

extension Node {
    var position: ConfigurationProblem.Position? { mark?.position }
}

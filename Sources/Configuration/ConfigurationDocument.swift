import Foundation
import Yams

/// One configuration file, and the problems found in it so far.
///
/// The readers of settings note problems here and go on, so that all of them are told at once. Only broken YAML and
/// keys that appear twice end the reading early: then there is no tree of values to look at.
package final class ConfigurationDocument {
    /// Largest configuration file, in bytes.
    static let sizeLimit = 256 << 10

    typealias Position = ConfigurationProblem.Position

    /// The file as the user named it.
    let file: String
    /// The command that prints an example of such a file.
    private let exampleCommand: String
    /// Relative paths in the file start here; empty or ending with a slash.
    let folder: String
    package private(set) var problems: [ConfigurationProblem] = []
    /// Every setting that was asked for, in that order.
    private(set) var settings: [SettingRecord] = []
    private var places: [String: Int] = [:]
    /// Settings that come before the file's.
    let environment: EnvironmentSettings
    /// Where the files come from that are named.
    let files: FileSource

    package init(
        file: String, environment: EnvironmentSettings = EnvironmentSettings([:]), files: FileSource = .disk,
        exampleCommand: String = "penstock config example"
    ) {
        self.file = file
        self.environment = environment
        self.files = files
        self.exampleCommand = exampleCommand
        folder = file.lastIndex(of: "/").map { String(file[...$0]) } ?? ""
    }

    func note(
        _ message: String, remedy: String, key: String = "", at position: Position? = nil,
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
    package func readRoot() throws(ConfigurationError) -> ConfigurationSection {
        let contents: [UInt8]
        do {
            contents = try files.read(file, Self.sizeLimit, .anyone)
        } catch {
            let remedy =
                error == .notFound ? "see '\(exampleCommand)' for one to start from" : error.remedy(path: file)
            throw failure("the configuration file cannot be read: \(error)", remedy: remedy)
        }
        guard let text = String(validating: contents, as: UTF8.self), !contents.contains(0) else {
            throw failure(
                "the configuration file is not text in UTF-8", remedy: "save it as UTF-8 in an editor, or name another")
        }
        return try composeRoot(text)
    }

    /// The same for text that is already in memory.
    package func composeRoot(_ text: String) throws(ConfigurationError) -> ConfigurationSection {
        if let position = NestingBound.firstExcess(in: text) {
            throw failure(
                "values are nested too deeply here", remedy: "close the brackets, and indent by two spaces a level",
                at: position)
        }
        if let position = firstAnchor(in: text) {
            throw failure(
                "an anchor begins here, and values are not taken by reference",
                remedy: "write the value itself at each place; a '&' that means itself has a space behind it",
                at: position)
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
            throw failure("the YAML cannot be read: \(error)", remedy: Self.syntax)
        }
    }

    /// What to do where libyaml alone knows what is wrong.
    private static let syntax =
        "write 'key: value', two spaces deeper in each section; texts with signs such as : # [ ] { } * stand in quotes"

    private func failure(from error: YamlError) -> ConfigurationError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _):
            return failure("this is not YAML: \(problem)", remedy: Self.syntax, at: mark.position)
        case .composer(_, let problem, let mark, _):
            return failure(
                "this is not YAML that can be used: \(problem)",
                remedy: "write the value itself, in quotes if it begins with '*', and one document alone",
                at: mark.position)
        case .duplicatedKeysInMapping(let duplicates, let context):
            let names = duplicates.prefix(5).map { "'\(printable($0))'" }.joined(separator: ", ")
            return failure(
                duplicates.count == 1 ? "key \(names) appears more than once" : "keys \(names) appear more than once",
                remedy: duplicates.count == 1 ? "keep one" : "keep one of each", key: duplicates[0],
                at: context.mark.position)
        case .reader(let problem, _, _, _), .writer(let problem), .emitter(let problem), .representer(let problem):
            return failure("this is not YAML: \(problem)", remedy: "save it as plain text in UTF-8")
        case .no, .memory, .dataCouldNotBeDecoded:
            return failure("the YAML cannot be read", remedy: "save it as plain text in UTF-8")
        }
    }

    private func failure(
        _ message: String, remedy: String, key: String = "", at position: Position? = nil
    ) -> ConfigurationError {
        note(message, remedy: remedy, key: key, at: position)
        return ConfigurationError(problems)
    }

    /// Where the first anchor may be, which `*` could refer to. By references a small file becomes one of any size as soon as
    /// its values are looked at, and the composer compares keys, whatever they are.
    ///
    /// An anchor cannot follow a letter or a digit, and has a letter or a digit behind it. Quotes and comments are not told
    /// apart: who could would have to be a whole parser.
    private func firstAnchor(in text: String) -> Position? {
        var position = Position(line: 1, column: 1)
        var previous = UInt8(ascii: "\n")
        var bytes = text.utf8[...]
        while let byte = bytes.popFirst() {
            if byte == UInt8(ascii: "&"), !isWordByte(previous), let next = bytes.first, isWordByte(next) {
                return position
            }
            if byte == UInt8(ascii: "\n") {
                position = Position(line: position.line + 1, column: 1)
            } else if byte & 0xC0 != 0x80 {
                position.column += 1
            }
            previous = byte
        }
        return nil
    }
}

/// A letter or a digit of ASCII, or one of the two signs that libyaml counts among them.
private func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"): true
    default: false
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

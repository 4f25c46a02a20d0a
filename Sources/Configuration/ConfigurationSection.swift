import Yams

/// One mapping of a configuration file, read key by key.
///
/// Every reading method notes what is wrong in the document and returns the default or nil; `refuseUnknownKeys` at the
/// end of a section's reading refuses what no method asked for.
package final class ConfigurationSection {
    typealias Position = ConfigurationProblem.Position

    /// Most entries of a list.
    static let listLimit = 4_096

    private let document: ConfigurationDocument
    /// Keys from the top, joined by dots; empty at the top.
    private let path: String
    private let pairs: [(key: Node, value: Node)]
    /// Where the section starts: what is missing in it is told there.
    private let start: Position?
    private var known: [String] = []

    init(_ document: ConfigurationDocument, path: String, pairs: [(Node, Node)], at start: Position?) {
        self.document = document
        self.path = path
        self.pairs = pairs.map { (key: $0.0, value: $0.1) }
        self.start = start
    }

    /// Options of a command line in place of a file.
    package convenience init(_ document: ConfigurationDocument, options: [(key: String, value: String)]) {
        let pairs = options.map { (Node($0.key), Node($0.value, .implicit, .singleQuoted)) }
        self.init(document, path: "", pairs: pairs, at: nil)
    }

    // MARK: Reading

    /// A setting that must be there. `sample` is a value for the remedy.
    package func required<Value>(_ key: String, _ kind: SettingKind<Value>, sample: String) -> Value? {
        record(key, kind, necessity: .required)
        guard let entry = entry(key) else {
            note("'\(name(key))' is missing", remedy: "add '\(key): \(sample)'", key: key, at: start)
            return nil
        }
        return read(entry, kind, key)
    }

    /// A setting that may be left out.
    package func optional<Value>(_ key: String, _ kind: SettingKind<Value>) -> Value? {
        record(key, kind, necessity: .optional)
        return entry(key).flatMap { read($0, kind, key) }
    }

    /// A setting with a default.
    package func value<Value>(_ key: String, _ kind: SettingKind<Value>, default fallback: Value) -> Value {
        record(key, kind, necessity: .standard(yamlScalar(kind.text(fallback))))
        return entry(key).flatMap { read($0, kind, key) } ?? fallback
    }

    /// A list of settings with a default. Entries that appear twice are kept once.
    package func list<Value: Hashable>(_ key: String, _ kind: SettingKind<Value>, default fallback: [Value]) -> [Value]
    {
        record(key, kind, isList: true, necessity: .standard(yamlList(fallback.map(kind.text))))
        guard let entry = entry(key) else { return fallback }
        let nodes: [Node]
        switch (entry.source, entry.node) {
        case (.environment, .scalar(let scalar)):
            nodes = scalar.string.split(separator: ",").map { part in
                Node(String(part.trimmingPrefix { $0 == " " }), Tag(.str), .doubleQuoted)
            }
        case (_, .sequence(let sequence)): nodes = Array(sequence)
        default:
            note(
                "'\(name(key))' is not a list", remedy: "write [first, second]", key: key, at: entry.node.position,
                from: entry.source)
            return fallback
        }
        guard nodes.count <= Self.listLimit else {
            note(
                "'\(name(key))' has more than \(Self.listLimit) entries", remedy: "leave some out", key: key,
                at: entry.node.position, from: entry.source)
            return fallback
        }
        var seen: Set<Value> = []
        let values = nodes.compactMap { convert($0, kind, key, from: entry.source) }
            .filter { seen.insert($0).inserted }
        document.found(name(key), yamlList(values.map(kind.text)), from: entry.source)
        return values
    }

    /// One setting, or a list of them; empty when it was left out. A list that is there has an entry: an empty one would
    /// say nothing, and could be meant to say "none" or "any".
    package func values<Value: Hashable>(_ key: String, _ kind: SettingKind<Value>) -> [Value] {
        guard let entry = entry(key) else {
            record(key, kind, necessity: .optional)
            return []
        }
        guard case .sequence(let sequence) = entry.node else {
            record(key, kind, necessity: .optional)
            return read(entry, kind, key).map { [$0] } ?? []
        }
        if sequence.isEmpty {
            note(
                "'\(name(key))' is empty", remedy: "leave it out, or write \(kind.expected)", key: key,
                at: entry.node.position)
        }
        return list(key, kind, default: [])
    }

    /// A list whose entries are values or lists of alternatives; none by default. In the environment alternatives have `|` between them.
    /// - Parameter sample: a list of alternatives for the remedy.
    func choices<Value>(_ key: String, _ kind: SettingKind<Value>, sample: String) -> [[Value]] {
        let expected = "a list; each \(kind.expected), or a list of those of which one is enough"
        document.record(SettingRecord(key: name(key), expected: expected, necessity: .standard(yamlList([]))))
        guard let entry = entry(key) else { return [] }
        let entries: [[Node]]
        switch (entry.source, entry.node) {
        case (.environment, .scalar(let scalar)):
            entries = scalar.string.split(separator: ",").map { part in
                part.split(separator: "|", omittingEmptySubsequences: false).map { text in
                    let word = text.drop { $0 == " " }.prefix { $0 != " " }
                    return Node(String(word), Tag(.str), .doubleQuoted)
                }
            }
        case (_, .sequence(let sequence)):
            entries = sequence.map { node in if case .sequence(let inner) = node { Array(inner) } else { [node] } }
        default:
            note(
                "'\(name(key))' is not a list", remedy: "write [\(sample)]", key: key, at: entry.node.position,
                from: entry.source)
            return []
        }
        guard entries.count <= Self.listLimit, entries.allSatisfy({ $0.count <= Self.listLimit }) else {
            note(
                "'\(name(key))' has more than \(Self.listLimit) entries", remedy: "leave some out", key: key,
                at: entry.node.position, from: entry.source)
            return []
        }
        if entries.contains(where: \.isEmpty) {
            note(
                "'\(name(key))' has a list without alternatives, which nobody could meet",
                remedy: "take it out, or write some into it, such as \(sample)", key: key, at: entry.node.position,
                from: entry.source)
        }
        let values = entries.map { alternatives in
            alternatives.compactMap { convert($0, kind, key, from: entry.source) }
        }.filter { !$0.isEmpty }
        let texts = values.map { $0.count == 1 ? yamlScalar(kind.text($0[0])) : yamlList($0.map(kind.text)) }
        document.found(name(key), "[" + texts.joined(separator: ", ") + "]", from: entry.source)
        return values
    }

    /// A section below this one; an empty one when it was left out.
    package func section(_ key: String) -> ConfigurationSection {
        optionalSection(key) ?? ConfigurationSection(document, path: name(key), pairs: [], at: start)
    }

    /// A section below this one; nil when it was left out, or is not a section, which is noted.
    func optionalSection(_ key: String) -> ConfigurationSection? {
        guard let node = node(key) else {
            // All of it may come from the environment.
            guard document.environment.mentions(section: name(key)) else { return nil }
            return ConfigurationSection(document, path: name(key), pairs: [], at: start)
        }
        if isEmptyScalar(node) {
            return ConfigurationSection(document, path: name(key), pairs: [], at: position(of: key))
        }
        guard case .mapping(let mapping) = node else {
            note(
                "'\(name(key))' is not a section", remedy: "write '\(key): { key: value }'", key: key, at: node.position
            )
            return nil
        }
        return ConfigurationSection(
            document, path: name(key), pairs: mapping.map { ($0.key, $0.value) }, at: position(of: key) ?? node.position
        )
    }

    /// A list of sections; nil when it was left out, or is not such a list, which is noted.
    package func optionalSections(_ key: String) -> [ConfigurationSection]? {
        document.recordSections(name(key))
        guard let node = node(key) else { return nil }
        guard case .sequence(let sequence) = node else {
            note(
                "'\(name(key))' is not a list", remedy: "write each entry as '- key: value'", key: key,
                at: node.position)
            return nil
        }
        guard sequence.count <= Self.listLimit else {
            note(
                "'\(name(key))' has more than \(Self.listLimit) entries", remedy: "leave some out", key: key,
                at: node.position)
            return nil
        }
        return sequence.enumerated().compactMap { index, entry in
            let place = "\(name(key))[\(index + 1)]"
            guard case .mapping(let mapping) = entry else {
                note("'\(place)' is not a section", remedy: "write '- key: value'", key: key, at: entry.position)
                return nil
            }
            return ConfigurationSection(
                document, path: place, pairs: mapping.map { ($0.key, $0.value) }, at: entry.position)
        }
    }

    /// A file that a setting names.
    func file(
        _ key: String, sample: String, limit: Int = 1 << 20, for audience: FileAudience = .anyone
    ) -> LoadedFile? {
        guard let text = required(key, .path, sample: sample) else { return nil }
        return read(text, key, limit: limit, for: audience)
    }

    /// A file that a setting names, which may be left out.
    func optionalFile(_ key: String, limit: Int = 1 << 20, for audience: FileAudience = .anyone) -> LoadedFile? {
        guard let text = optional(key, .path) else { return nil }
        return read(text, key, limit: limit, for: audience)
    }

    private func read(_ text: String, _ key: String, limit: Int, for audience: FileAudience) -> LoadedFile? {
        let path = document.resolve(text)
        do {
            let file = LoadedFile(path: path, contents: try document.files.read(path, limit, audience))
            document.found(name(key), audience == .ownerOnly ? file.fingerprint : file)
            return file
        } catch {
            let place = error == .notFound && text != path ? "; relative paths start at the folder of this file" : ""
            refuse(key, "'\(name(key))' names \(path): \(error)", remedy: error.remedy(path: path) + place)
            return nil
        }
    }

    /// A place where the program keeps data of its own; nil when it was left out. It need not exist, but must be one where it
    /// can: what `look` finds is noted.
    func storage(_ key: String, _ place: KeyPath<StoragePlaces, StoragePlaces.Look>) -> String? {
        guard let path = optional(key, .path).map(document.resolve) else { return nil }
        do {
            try document.files.places[keyPath: place](path)
        } catch {
            refuse(key, "'\(name(key))' names \(path): \(error.reason)", remedy: error.remedy)
        }
        return path
    }

    /// A path of the file, where a relative one starts at the file's folder.
    func resolve(_ path: String) -> String { document.resolve(path) }

    // MARK: Problems

    /// Notes a problem with the value of a key that was read before, or with its absence.
    package func refuse(_ key: String, _ message: String, remedy: String) {
        let entry = entry(key)
        note(message, remedy: remedy, key: key, at: entry?.node.position ?? start, from: entry?.source ?? .standard)
    }

    /// Whether the file or the environment has the key.
    package func has(_ key: String) -> Bool { entry(key) != nil }

    /// The key with its sections, for messages.
    package func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// Notes every key that nobody asked for, with the nearest one that somebody did ask for.
    package func refuseUnknownKeys() {
        for (node, _) in pairs {
            guard case .scalar(let scalar) = node else {
                note("a key is not a word", remedy: "write 'key: value'", key: "", at: node.position)
                continue
            }
            let key = scalar.string
            if known.contains(key) { continue }
            let place = path.isEmpty ? "" : " in '\(path)'"
            let near = nearestName(to: key, among: known).map { "did you mean '\($0)'?" }
            let all = "known keys here: \(known.joined(separator: ", "))"
            note("unknown key '\(printable(key))'\(place)", remedy: near ?? all, key: key, at: node.position)
        }
    }

    private func record<Value>(
        _ key: String, _ kind: SettingKind<Value>, isList: Bool = false, necessity: SettingRecord.Necessity
    ) {
        document.record(
            SettingRecord(
                key: name(key), expected: isList ? "a list; each \(kind.expected)" : kind.expected,
                necessity: necessity, isSecret: kind.isSecret))
    }

    /// A scalar, which is kept with its source when it is good.
    private func read<Value>(_ entry: Entry, _ kind: SettingKind<Value>, _ key: String) -> Value? {
        guard let value = convert(entry.node, kind, key, from: entry.source) else { return nil }
        document.found(name(key), yamlScalar(kind.text(value)), from: entry.source)
        return value
    }

    private func convert<Value>(
        _ node: Node, _ kind: SettingKind<Value>, _ key: String, from source: SettingRecord.Source
    ) -> Value? {
        guard case .scalar(let scalar) = node else {
            let what =
                switch node {
                case .sequence: "a list"
                case .mapping: "a section"
                case .scalar, .alias: "a reference"
                }
            note(
                "'\(name(key))' is \(what)", remedy: "write \(kind.expected)", key: key, at: node.position, from: source
            )
            return nil
        }
        if isEmptyScalar(node) {
            note(
                "'\(name(key))' has no value", remedy: "write \(kind.expected)", key: key, at: node.position,
                from: source)
            return nil
        }
        switch kind.parse(scalar.string) {
        case .value(let value): return value
        case .refused(let reason):
            let because = reason.map { ", but \($0)" } ?? ""
            let shown = kind.isSecret ? "wrong" : "'\(printable(scalar.string))'"
            note(
                "'\(name(key))' is \(shown)\(because)", remedy: "write \(kind.expected)", key: key, at: node.position,
                from: source)
            return nil
        }
    }

    private func note(
        _ message: String, remedy: String, key: String, at position: Position?,
        from source: SettingRecord.Source = .standard
    ) {
        document.note(message, remedy: remedy, key: key.isEmpty ? path : name(key), at: position, from: source)
    }

    private struct Entry {
        var node: Node
        var source: SettingRecord.Source
    }

    /// What was said of a key: the environment comes before the file.
    private func entry(_ key: String) -> Entry? {
        let node = node(key)
        if let (variable, text) = document.environment.value(of: name(key)) {
            // In quotes, so that no text stands for "no value" but the empty one.
            return Entry(
                node: Node(text, Tag(.str), text.isEmpty ? .plain : .doubleQuoted), source: .environment(variable))
        }
        return node.map { Entry(node: $0, source: .file($0.position)) }
    }

    private func node(_ key: String) -> Node? {
        if !known.contains(key) { known.append(key) }
        return pairs.first { $0.key.scalar?.string == key }?.value
    }

    private func position(of key: String) -> Position? {
        pairs.first { $0.key.scalar?.string == key }?.key.position
    }
}

/// Text of a file as it can stand in a message of one line: no control characters, and not long.
package func printable(_ text: String) -> String {
    withoutControls(String(String.UnicodeScalarView(text.unicodeScalars.prefix(60))))
        + (text.unicodeScalars.count > 60 ? "…" : "")
}

/// The text with a sign in place of every control character (C0, DEL and C1).
func withoutControls(_ text: String) -> String {
    let shown = text.unicodeScalars.map { scalar in
        scalar.value < 32 || (127...159).contains(scalar.value) ? "\u{FFFD}" : scalar
    }
    return String(String.UnicodeScalarView(shown))
}

/// Bounds how deep the values of a YAML text nest, before it is composed: the composer calls itself for each level, and libyaml's own
/// limit counts brackets that it has read ahead.
///
/// Brackets are counted without a parser, and never too few: a closing one counts only where it cannot be part of a text in quotes,
/// hence on no line with quotes, and on none behind a line with an odd number of them, where such a text may go on.
struct NestingBound {
    /// Deepest indentation, in columns.
    static let indentation = 100
    /// Most brackets inside brackets.
    static let brackets = 200

    private var depth = 0
    private var mayBeQuoted = false

    /// Where the text passes a limit, or may pass it; nil where it does not.
    static func firstExcess(in text: String) -> ConfigurationProblem.Position? {
        var bound = NestingBound()
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            if let column = bound.firstExcess(inLine: Array(line)) {
                return ConfigurationProblem.Position(line: index + 1, column: column)
            }
        }
        return nil
    }

    private mutating func firstExcess(inLine whole: [UInt8]) -> Int? {
        // Nested blocks open with spaces or, on one line, with the signs '-', '?' and ':'. A lone CR is a line end, too.
        for line in whole.split(separator: UInt8(ascii: "\r")) {
            let opening = line.prefix { $0 == 32 || $0 == 45 || $0 == 63 || $0 == 58 || $0 == 9 }
            if opening.count > Self.indentation, opening.count < line.count {
                return line.startIndex + opening.count + 1
            }
        }
        let line = mayBeQuoted ? whole[...] : withoutComment(whole)
        let quotes = [UInt8(ascii: "'"), UInt8(ascii: "\"")].map { quote in line.count { $0 == quote } }
        let closes = !mayBeQuoted && quotes == [0, 0]
        for (index, byte) in line.enumerated() {
            if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") {
                depth += 1
                if depth > Self.brackets { return index + 1 }
            } else if closes, byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}") {
                depth = max(0, depth - 1)
            }
        }
        if quotes.contains(where: { $0 % 2 != 0 }) { mayBeQuoted = true }
        return nil
    }

    /// A `#` behind a space and no quotes begins a comment. One with other signs than those of ASCII may have a line end in it.
    private func withoutComment(_ line: [UInt8]) -> ArraySlice<UInt8> {
        let end = line.indices.first { index in
            line[index] == UInt8(ascii: "#") && (index == 0 || line[index - 1] == 32 || line[index - 1] == 9)
        }
        guard let end, line[..<end].allSatisfy({ $0 != UInt8(ascii: "'") && $0 != UInt8(ascii: "\"") }),
            line[end...].allSatisfy({ $0 < 128 && $0 != UInt8(ascii: "\r") })
        else { return line[...] }
        return line[..<end]
    }
}
